"""The training step: what it updates, by how much, and that its parts make the same step."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nas.training.settings import ExecutionSettings, TrainSettings
from nas.training.step import TrainingStep, make_step

CPU = torch.device("cpu")
Build = Callable[..., nn.Module]


def batch(n: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 1, 8, 8, generator=generator), torch.randint(10, (n,), generator=generator)


def step_of(network: nn.Module, **settings: object) -> TrainingStep:
    executed = {name: settings.pop(name) for name in ("micro_batch", "precision") if name in settings}
    given = TrainSettings(**{"drop_path": 0.0, "dropout": 0.0, "warmup_epochs": 0, "batch_size": 256, **settings})  # type: ignore[arg-type]
    execution = ExecutionSettings(**executed)  # type: ignore[arg-type]
    return make_step(network, given, device=CPU, total_steps=100, execution=execution)


def test_a_step_changes_every_weight(make_network: Build) -> None:
    """The update belongs to the step, and no parameter is forgotten by the optimiser."""
    network = make_network()
    before = [parameter.clone() for parameter in network.parameters()]
    step_of(network)(*batch())
    assert not any(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_the_parts_make_the_same_step(make_network: Build) -> None:
    """A timer that is told when forward, backward and update end times exactly what the training does, to the bit."""
    networks = [make_network(), make_network()]
    whole, parts = (step_of(network, ema_decay=0.9, clip_norm=1.0, micro_batch=5) for network in networks)
    for number in range(3):
        images, labels = batch(8, number)
        marks: list[str] = []
        assert torch.equal(whole(images, labels), parts.eager(images, labels, marks.append))
        assert marks == ["begin", "forward", "backward", "forward", "backward", "update"]  # 5 images and 3
    assert whole.ema is not None
    assert parts.ema is not None
    for a, b in ((whole.network, parts.network), (whole.ema.network, parts.ema.network)):
        assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    assert whole.index == parts.index == 3


def test_the_average_follows_each_update(make_network: Build) -> None:
    """After the first step the average is a tenth of the old weights and nine tenths of the updated ones."""
    network = make_network()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    step = step_of(network, ema_decay=0.999)
    step(*batch())
    assert step.ema is not None
    for old, new, average in zip(before, network.parameters(), step.ema.network.parameters(), strict=True):
        torch.testing.assert_close(average, 0.1 * old + 0.9 * new)


def test_accumulation_gives_the_gradients_of_the_full_batch() -> None:
    """Uneven micro-batches weigh by their images: same update and same loss as the batch at once."""
    networks = [nn.Sequential(nn.Flatten(), nn.Linear(64, 10)) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    images, labels = batch(8)
    full = step_of(networks[0])(images, labels)
    split = step_of(networks[1], micro_batch=3)(images, labels)
    assert split.item() == pytest.approx(full.item(), rel=1e-6)
    torch.testing.assert_close(networks[1][1].weight, networks[0][1].weight, rtol=1e-5, atol=1e-7)


def test_labels_are_smoothed() -> None:
    """The loss is the cross entropy against 0.9 of the class and 0.1 spread over all classes."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    images, labels = batch(4)
    target = 0.9 * nn.functional.one_hot(labels, 10) + 0.1 / 10
    expected = -(target * network(images).log_softmax(1)).sum(1).mean().item()
    assert step_of(network, label_smoothing=0.1)(images, labels).item() == pytest.approx(expected, rel=1e-6)


def test_soft_labels_equal_hard_ones_where_they_agree(make_network: Build) -> None:
    """Mixed labels and classes go through the same loss: one-hot rows give the loss of their classes."""
    images, labels = batch()
    hard = step_of(make_network())(images, labels)
    soft = step_of(make_network())(images, nn.functional.one_hot(labels, 10).float())
    assert soft.item() == pytest.approx(hard.item(), rel=1e-6)


def test_the_learning_rate_follows_the_schedule() -> None:
    """Weights without gradient noise move by the scheduled rate: the schedule reaches the optimiser."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(1, 2, bias=False))
    step = step_of(network, schedule="cosine", optimizer="adamw", weight_decay=0.0, learning_rate=0.1)
    images, labels = torch.ones(4, 1, 1, 1), torch.zeros(4, dtype=torch.long)
    before = network[1].weight.clone()
    step.index = 50  # half-way: half of the peak; Adam's first step is the rate itself
    step(images, labels)
    assert (network[1].weight - before).abs().max().item() == pytest.approx(0.05, rel=1e-3)


def test_gradients_are_clipped() -> None:
    """A gradient longer than clip_norm is scaled to that length before the update."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(1, 2, bias=False))
    step = step_of(network, clip_norm=0.001, schedule="constant", learning_rate=1.0, weight_decay=0.0)
    before = network[1].weight.clone()
    step(100 * torch.ones(4, 1, 1, 1), torch.zeros(4, dtype=torch.long))
    assert (network[1].weight - before).norm().item() == pytest.approx(1.9 * 0.001, rel=1e-3)  # 1 + momentum: Nesterov


def test_the_network_is_prepared(make_network: Build) -> None:
    """The settings' regularisation, batch norm momentum and memory format reach the network that trains."""
    network = make_network().eval()
    settings = TrainSettings(drop_path=0.4, dropout=0.3, bn_momentum="paper")
    make_step(network, settings, device=CPU, total_steps=1)
    assert network.training
    assert {m.momentum for m in network.modules() if isinstance(m, nn.BatchNorm2d)} == {0.01}
    assert network.dropout.p == 0.3
    assert max(getattr(m, "rate", 0.0) for m in network.modules()) == pytest.approx(0.4 * 3 / 4)
    assert network.blocks[0][0].conv.weight.is_contiguous(memory_format=torch.channels_last)


def test_the_architectures_dropout_is_kept_unless_set(make_network: Build) -> None:
    """`dropout: null` leaves what the architecture says."""
    network = make_network()
    make_step(network, TrainSettings(), device=CPU, total_steps=1)
    assert network.dropout.p == 0.1


def test_bf16_computes_in_bf16_and_keeps_fp32_weights(make_network: Build) -> None:
    """Mixed precision is autocast: close to fp32, never equal, with master weights in fp32."""
    losses = {}
    for precision in ("fp32", "bf16"):
        step = step_of(make_network(), precision=precision)
        losses[precision] = step(*batch()).item()
        assert step.precision == precision
        assert all(parameter.dtype == torch.float32 for parameter in step.network.parameters())
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)


class TooLarge(nn.Module):
    """A network that runs out of memory above a number of images, as a GPU does."""

    def __init__(self, network: nn.Module, most: int, error: type[Exception] = torch.OutOfMemoryError) -> None:
        super().__init__()
        self.network, self.most, self.error = network, most, error
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(len(x))
        if len(x) > self.most:
            raise self.error("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.network(x)  # type: ignore[no-any-return]


def test_out_of_memory_halves_the_micro_batch_and_keeps_the_batch() -> None:
    """A candidate that does not fit is trained with the same effective batch in parts that do, and stays there."""
    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    network = TooLarge(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), most=3)
    network.network.load_state_dict(plain.state_dict())
    step, reference = step_of(network), step_of(plain)
    for number in range(2):
        images, labels = batch(8, number)
        loss, expected = step(images, labels), reference(images, labels)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(network.network[1].weight, plain[1].weight)
    assert step.micro_batch == 2
    assert network.seen == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]
    assert step.index == 2


def test_memory_that_runs_out_half_way_leaves_no_gradients() -> None:
    """A retried step does not add to what the failed attempt had already accumulated."""

    class SecondFails(TooLarge):
        def forward(self, x: Tensor) -> Tensor:
            self.most = 2 if len(self.seen) == 1 else 99
            return super().forward(x)

    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    network = SecondFails(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), most=99)
    network.network.load_state_dict(plain.state_dict())
    images, labels = batch(8)
    step_of(plain)(images, labels)
    step_of(network, micro_batch=4)(images, labels)
    assert network.seen == [4, 4, 2, 2, 2, 2]
    torch.testing.assert_close(network.network[1].weight, plain[1].weight)


def test_out_of_memory_with_one_image_is_raised() -> None:
    """When even one image does not fit the step says so instead of trying for ever."""
    network = TooLarge(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), most=0)
    with pytest.raises(torch.OutOfMemoryError):
        step_of(network)(*batch(8))
    assert network.seen == [8, 4, 2, 1]


def test_nine_images_are_five_and_four(make_network: Build) -> None:
    """Micro-batches of at most eight cut nine images evenly: a single one has no batch's statistics."""
    network = TooLarge(make_network(), most=99)
    step_of(network, micro_batch=8)(*batch(9))
    assert network.seen == [5, 4]


@pytest.mark.parametrize(("images", "seen"), [(8, [8, 4, 2]), (9, [9, 5, 3]), (7, [7, 4, 3]), (3, [3]), (2, [2])])
def test_batch_norm_is_never_left_with_one_image(make_network: Build, images: int, seen: list[int]) -> None:
    """Halving stops at two images (three, of an odd batch), and what does not fit then is out of memory, not a bug.

    Each attempt fails at its first part: an even one, so that `seen` holds the largest part of each.
    """
    network = TooLarge(make_network(), most=0)
    with pytest.raises(torch.OutOfMemoryError):
        step_of(network)(*batch(images))
    assert network.seen == seen


def test_other_errors_are_not_retried() -> None:
    """An error that is not about memory passes at once."""
    network = TooLarge(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), most=0, error=ValueError)
    with pytest.raises(ValueError, match="out of memory"):
        step_of(network)(*batch(8))
    assert network.seen == [8]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adamw"])
def test_a_captured_step_trains_as_the_eager_one(make_network: Build, optimizer: str) -> None:
    """On a GPU the replayed graph follows learning rate, EMA warm-up and new batches exactly as eager steps do."""
    device = torch.device("cuda", 0)
    steps = [
        make_step(
            make_network(),
            TrainSettings(
                optimizer=optimizer,  # type: ignore[arg-type]
                learning_rate=0.01,
                drop_path=0.0,
                dropout=0.0,
                ema_decay=0.9,
                clip_norm=1.0,
            ),
            device=device,
            total_steps=8,
            execution=ExecutionSettings(precision="fp32", cuda_graph=cuda_graph),  # type: ignore[arg-type]
        )
        for cuda_graph in ("on", "off")
    ]
    for number in range(8):
        images, labels = (tensor.to(device) for tensor in batch(16, number))
        losses = [step(images, labels).item() for step in steps]
        assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert all(step.ema is not None for step in steps)
    for a, b in zip(*(step.ema.network.parameters() for step in steps if step.ema), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-3)
    assert steps[0].captured
    assert not steps[1].captured
