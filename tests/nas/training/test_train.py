"""Training on scikit-learn's digits: it learns, it is reproducible, and every bad end has its status."""

import itertools
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from nas.training.batches import BatchOutOfMemory
from nas.training.device import is_out_of_memory
from nas.training.result import EpochResult, TrainResult
from nas.training.settings import ExecutionSettings, TrainSettings
from nas.training.step import TrainingStep
from nas.training.train import train

Build = Callable[..., nn.Module]
Digits = Callable[..., tuple]


def small_settings(**given: object) -> TrainSettings:
    return TrainSettings(**{"epochs": 2, "batch_size": 64, **given})  # type: ignore[arg-type]


def limited(seconds: float) -> ExecutionSettings:
    return ExecutionSettings(time_limit_s=seconds)


@pytest.mark.parametrize(("optimizer", "learning_rate"), [("sgd", 0.4), ("rmsprop", 0.06), ("adamw", 0.02)])
def test_a_network_learns_digits(make_network: Build, digits: Digits, optimizer: str, learning_rate: float) -> None:
    """A few epochs on real images: the loss falls, accuracy passes 80 %, and the curve tells it epoch by epoch."""
    settings = small_settings(epochs=4, optimizer=optimizer, learning_rate=learning_rate, drop_path=0.0)
    result = train(make_network(), *digits(64), settings)
    assert result.status == "ok"
    assert result.error is None
    assert result.accuracy is not None
    assert result.accuracy > 0.8
    losses = [epoch["train_loss"] for epoch in result.curve]
    assert 0.5 < losses[-1] < 0.7 * losses[0] < 0.7 * 2.5  # between what smoothed labels leave and chance
    assert [epoch["epoch"] for epoch in result.curve] == [0, 1, 2, 3]
    assert (result.curve[-1]["accuracy"], result.curve[-1]["loss"]) == (result.accuracy, result.loss)
    assert all(epoch["image_size"] == 8 and epoch["images_per_s"] > 0 for epoch in result.curve)
    assert (result.epochs_done, result.micro_batch, result.precision) == (4, 64, "fp32")
    assert 0 <= result.data_wait_s <= result.seconds


def outcome(result: TrainResult) -> tuple[object, ...]:
    timeless = [{k: v for k, v in epoch.items() if k not in ("seconds", "images_per_s")} for epoch in result.curve]
    return result.status, result.accuracy, result.loss, timeless


def test_the_same_seed_gives_the_same_result(make_network: Build, digits: Digits) -> None:
    """On a CPU the same weights, batches and seed repeat to the bit, whatever the global generator did before."""
    results = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        network = make_network()
        result = train(network, *digits(64), small_settings(), seed=5)
        results.append((outcome(result), [tensor.tolist() for tensor in network.state_dict().values()]))
    assert results[0] == results[1]


def test_another_seed_gives_another_result(make_network: Build, digits: Digits) -> None:
    """The seed reaches dropout and drop path: it is not a number that changes nothing."""
    first, second = (train(make_network(), *digits(64), small_settings(), seed=seed) for seed in (1, 2))
    assert outcome(first) != outcome(second)


def test_the_global_generator_is_left_alone(make_network: Build, digits: Digits) -> None:
    """Training a candidate does not change what the caller draws next."""
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    train(make_network(), *digits(700), small_settings(epochs=1), seed=9)
    assert torch.equal(torch.rand(3), expected)


def test_a_loss_that_explodes_is_nan(make_network: Build, digits: Digits) -> None:
    """An absurd learning rate ends with status `nan`, the curve so far, and no accuracy made up."""
    result = train(make_network(), *digits(64), small_settings(learning_rate=1e6, warmup_epochs=0))
    assert result.status == "nan"
    assert result.error is not None
    assert "loss" in result.error
    assert result.epochs_done < 2


def test_a_hopeless_candidate_costs_no_further_steps(make_network: Build, digits: Digits) -> None:
    """On a CPU a loss that is not finite ends the epoch at once, not at its end."""
    steps = itertools.count()
    settings = small_settings(learning_rate=1e6, warmup_epochs=0)
    train_batches, eval_batches = digits(64)
    train(make_network(), train_batches, eval_batches, settings, between_steps=lambda: next(steps) and None)
    assert next(steps) < len(train_batches)


def test_weights_ruined_by_the_last_update_are_nan(digits: Digits) -> None:
    """A training loss that stayed finite does not hide that the network it left behind is not."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    settings = small_settings(epochs=1, learning_rate=1e38, warmup_epochs=0)
    train_batches, eval_batches = digits(1400)
    result = train(network, train_batches, eval_batches, settings)
    assert (result.status, result.accuracy) == ("nan", None)


def test_the_time_limit_ends_a_training(make_network: Build, digits: Digits) -> None:
    """Past its limit a candidate stops within a step and keeps the last evaluated accuracy."""
    ticks = itertools.count()
    stamps: list[int] = []

    def clock() -> float:
        stamps.append(next(ticks))
        return float(stamps[-1])

    result = train(make_network(), *digits(700), small_settings(epochs=50), execution=limited(40), clock=clock)
    assert result.status == "timeout"
    assert result.error is not None
    assert "40 s" in result.error
    assert 1 <= result.epochs_done < 50
    assert result.accuracy == result.curve[-1]["accuracy"]
    assert 40 < result.seconds < 50


def test_time_between_steps_counts_nowhere(make_network: Build, digits: Digits) -> None:
    """A candidate that waits while another is timed is neither slower in its record nor out of time."""
    now = [0.0]

    def wait() -> None:
        now[0] += 1000.0

    def clock() -> float:
        now[0] += 0.001
        return now[0]

    settings = small_settings(epochs=1)
    result = train(make_network(), *digits(700), settings, execution=limited(10), between_steps=wait, clock=clock)
    assert result.status == "ok"
    assert result.seconds < 10
    assert result.curve[0]["seconds"] < 10


def test_a_candidate_can_be_pruned(make_network: Build, digits: Digits) -> None:
    """Returning False from on_epoch ends the training after that epoch; returning nothing does not."""
    seen: list[EpochResult] = []

    def stop_after_two(result: EpochResult) -> bool | None:
        seen.append(result)
        return False if len(seen) == 2 else None

    result = train(make_network(), *digits(700), small_settings(epochs=5), on_epoch=stop_after_two)
    assert result.status == "pruned"
    assert result.epochs_done == len(seen) == 2
    assert result.accuracy == seen[-1].accuracy


def test_a_finished_candidate_is_not_pruned(make_network: Build, digits: Digits) -> None:
    """Being stopped after its last epoch changes nothing: the training is whole."""
    result = train(make_network(), *digits(700), small_settings(epochs=1), on_epoch=lambda epoch: False)
    assert (result.status, result.epochs_done) == ("ok", 1)


def test_evaluation_every_few_epochs(make_network: Build, digits: Digits) -> None:
    """`eval_every` leaves epochs between without accuracy, and the last one always has it."""
    result = train(make_network(), *digits(700), small_settings(epochs=4, eval_every=3))
    assert [epoch["accuracy"] is None for epoch in result.curve] == [True, True, False, False]
    assert result.accuracy == result.curve[3]["accuracy"]


def test_the_average_is_what_is_reported_and_left(make_network: Build, digits: Digits) -> None:
    """With EMA the reported accuracy is that of the weights which the network holds afterwards."""
    network = make_network()
    train_batches, eval_batches = digits(64)
    result = train(network, train_batches, eval_batches, small_settings(ema_decay=0.9))
    network.eval()
    right = sum((network(images).argmax(1) == labels).sum().item() for images, labels in eval_batches.epoch(0))
    assert right / len(eval_batches.images) == pytest.approx(result.accuracy)
    plain = train(make_network(), train_batches, eval_batches, small_settings())
    assert plain.loss != result.loss


class Limited(nn.Module):
    """Runs out of memory above a number of images."""

    def __init__(self, network: nn.Module, most: int, error: Exception) -> None:
        super().__init__()
        self.network, self.most, self.error = network, most, error

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) > self.most:
            raise self.error
        return self.network(x)  # type: ignore[no-any-return]


CPU_ALLOCATOR = RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory")


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), CPU_ALLOCATOR, MemoryError()])
def test_out_of_memory_is_met_with_smaller_parts(make_network: Build, digits: Digits, error: Exception) -> None:
    """The training goes on with the same batch in parts that fit, and the record says how large they were."""
    result = train(Limited(make_network(), 20, error), *digits(64), small_settings(epochs=1))
    assert (result.status, result.micro_batch) == ("ok", 16)


def test_out_of_memory_for_good_is_a_status(make_network: Build, digits: Digits) -> None:
    """If even one image does not fit, the result says `oom` and why."""
    result = train(
        Limited(make_network(), 0, torch.OutOfMemoryError("CUDA out of memory.")), *digits(64), small_settings()
    )
    assert result.status == "oom"
    assert result.error is not None
    assert "out of memory" in result.error
    assert (result.accuracy, result.epochs_done) == (None, 0)


def test_what_does_not_fit_with_two_images_is_oom(make_network: Build, digits: Digits) -> None:
    """Batch norm is not asked to learn from one image: it would raise, and the candidate would be a bug, not too large.

    The images are 2 px, so that the last stage has a single pixel.
    """
    train_batches, eval_batches = digits(64)
    train_batches.images = train_batches.images[..., :2, :2]
    network = Limited(make_network(), 1, torch.OutOfMemoryError("CUDA out of memory."))
    result = train(network, train_batches, eval_batches, small_settings())
    assert (result.status, result.micro_batch) == ("oom", 2)


class Hungry:
    """Batches of which the second cannot be made, until somebody makes room."""

    def __init__(self, batches: object) -> None:
        self.batches, self.room = batches, False

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        for i, batch in enumerate(self.batches.epoch(number)):  # type: ignore[attr-defined]
            if i == 1 and not self.room:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            yield batch


def test_memory_that_runs_out_in_a_batch_is_not_the_candidates(make_network: Build, digits: Digits) -> None:
    """Augmentation that does not fit is an error that says so, not the status of the network; so with evaluation."""
    train_batches, eval_batches = digits(64)
    for source in ((Hungry(train_batches), eval_batches), (train_batches, Hungry(eval_batches))):
        with pytest.raises(BatchOutOfMemory, match=r"while a batch was loaded.*lower training.batch_size") as caught:
            train(make_network(), *source, small_settings(epochs=1))
        assert not is_out_of_memory(caught.value)


def test_graphs_make_room_for_a_batch(make_network: Build, digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    """What captured steps keep is given back, and the training is that of one with enough memory."""
    train_batches, eval_batches = digits(64)
    expected = train(make_network(), train_batches, eval_batches, small_settings())
    hungry = Hungry(train_batches)
    made: list[bool] = []

    def drop(step: TrainingStep) -> bool:
        made.append(True)
        hungry.room = True
        return True

    monkeypatch.setattr(TrainingStep, "drop_graphs", drop)
    result = train(make_network(), hungry, eval_batches, small_settings())
    assert outcome(result) == outcome(expected)
    assert made == [True]


def test_an_error_in_a_network_is_raised(digits: Digits) -> None:
    """A bug is not swallowed as a bad candidate."""
    with pytest.raises(RuntimeError, match="shapes"):
        train(nn.Sequential(nn.Flatten(), nn.Linear(63, 10)), *digits(64), small_settings())


def test_no_batches_is_an_error(make_network: Build, digits: Digits) -> None:
    """A batch size above the split would train nothing and report chance: it is refused instead."""
    with pytest.raises(ValueError, match="no batches"):
        train(make_network(), *digits(5000), small_settings())


class Slow:
    """Batches that take a second of the test's clock each."""

    def __init__(self, batches: object, now: list[float]) -> None:
        self.batches, self.now = batches, now

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self.batches.epoch(number):  # type: ignore[attr-defined]
            self.now[0] += 1.0
            yield batch


def test_waiting_for_data_is_measured(make_network: Build, digits: Digits) -> None:
    """The time that batches took to come is reported apart, to the second."""
    now = [0.0]
    train_batches, eval_batches = digits(700)
    result = train(make_network(), Slow(train_batches, now), eval_batches, small_settings(), clock=lambda: now[0])
    assert result.data_wait_s == 4.0  # 2 epochs of 2 batches


def test_the_time_limit_holds_while_evaluating(make_network: Build, digits: Digits) -> None:
    """A minival that takes for ever ends the candidate as well, without a made-up accuracy."""
    now = [0.0]
    train_batches, eval_batches = digits(700)
    source = train_batches, Slow(eval_batches, now)
    result = train(make_network(), *source, small_settings(), execution=limited(0.5), clock=lambda: now[0])
    assert (result.status, result.accuracy) == ("timeout", None)
