"""A training that goes on from a saved state is the training that was never stopped."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from nas.training import checkpoint
from nas.training.checkpoint import load_checkpoint, restore, save_checkpoint
from nas.training.progressive import Strengths
from nas.training.settings import EXECUTION, ExecutionSettings, TrainSettings
from nas.training.step import make_step
from nas.training.train import Progression, train

CPU = torch.device("cpu")
SETTINGS = TrainSettings(epochs=5, batch_size=8, dropout=0.3, drop_path=0.0, warmup_epochs=2)


class Fixed:
    """Three batches that depend on the epoch alone."""

    def __init__(self, size=4):
        self.size = size

    def __len__(self):
        return 3

    def epoch(self, number):
        generator = torch.Generator().manual_seed(number)
        for _ in range(3):
            yield torch.randn(8, 3, self.size, self.size, generator=generator), torch.arange(8) % 4


def small_network():
    torch.manual_seed(0)
    body = (nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(*body, nn.Flatten(), nn.Dropout(0.3), nn.Linear(8, 4))


def progression():
    """Image size and dropout change in the third epoch of five."""

    def schedule(progress):
        late = progress >= 0.4
        return Strengths(6 if late else 4, 0.0, 0.0, 0.0, 0.5 if late else 0.2, 0.0, 1.0)

    return Progression(schedule, lambda strengths: Fixed(strengths.image_size))


def trained(settings, source, path=None, stop_after=None, resume=None, execution=EXECUTION):
    """Train; save the state to `path` after each epoch, and stop after one."""

    def on_state(state):
        if path is not None:
            save_checkpoint(path, state, {})

    network = small_network()
    result = train(
        network,
        source,
        Fixed(),
        settings,
        execution=execution,
        seed=1,
        on_epoch=lambda epoch: epoch.epoch != stop_after,
        on_state=on_state,
        resume=resume,
        clock=itertools.count().__next__,
    )
    return network, result


@pytest.mark.parametrize("stop_after", [0, 1, 3])
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adamw"])
@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_resuming_changes_nothing(tmp_path, optimizer, ema_decay, stop_after):
    """Weights (bit for bit) and curve are those of an uninterrupted training, wherever in the stages it stopped."""
    settings = replace(SETTINGS, optimizer=optimizer, ema_decay=ema_decay)
    straight, expected = trained(settings, progression())
    trained(settings, progression(), tmp_path / "state.pt", stop_after)
    state, _ = load_checkpoint(tmp_path / "state.pt")
    assert len(state.curve) == stop_after + 1
    resumed, result = trained(settings, progression(), resume=state)
    for name, weight in straight.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    losses = [
        [(epoch["train_loss"], epoch["loss"], epoch["learning_rate"]) for epoch in r.curve] for r in (expected, result)
    ]
    assert losses[0] == losses[1]
    assert result.status == "ok"


def test_a_finished_training_resumes_to_its_result(tmp_path):
    """Nothing is trained anew, and the network holds the averaged weights that the result speaks of."""
    settings = replace(SETTINGS, ema_decay=0.5)
    straight, expected = trained(settings, Fixed(), tmp_path / "state.pt")
    state, _ = load_checkpoint(tmp_path / "state.pt")
    resumed, result = trained(settings, Fixed(), resume=state)
    assert result.curve == expected.curve
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in straight.state_dict().items())


def test_time_adds_up_and_counts_for_the_limit(tmp_path):
    """A training is no younger for having been stopped: its seconds and time limit go on."""
    trained(SETTINGS, Fixed(), tmp_path / "state.pt", stop_after=2)
    state, _ = load_checkpoint(tmp_path / "state.pt")
    assert state.seconds > 0
    _, result = trained(SETTINGS, Fixed(), resume=state)
    assert result.seconds > state.seconds
    _, result = trained(SETTINGS, Fixed(), resume=state, execution=ExecutionSettings(time_limit_s=state.seconds))
    assert result.status == "timeout"
    assert result.epochs_done == 3


def test_a_write_that_fails_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    """A full disk or a kill in the middle of writing loses one checkpoint, never both."""
    path = tmp_path / "state.pt"
    trained(SETTINGS, Fixed(), path, stop_after=0)
    state, _ = load_checkpoint(path)

    def torn(record, file):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", torn)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(path, state, {})
    assert load_checkpoint(path)[0].curve == state.curve


def test_what_is_no_checkpoint_is_named(tmp_path):
    """A wrong file is one line for the user, and code hidden in one is not run."""
    (tmp_path / "text.pt").write_text("hello")
    torch.save({"weights": torch.zeros(2)}, tmp_path / "other.pt")
    torch.save(Fixed(), tmp_path / "code.pt")
    for name in ("text.pt", "other.pt", "code.pt"):
        with pytest.raises(ValueError, match=f"{name} is no checkpoint"):
            load_checkpoint(tmp_path / name)
    with pytest.raises(ValueError, match=r"cannot read .*none.pt: No such file"):
        load_checkpoint(tmp_path / "none.pt")


def test_a_state_of_something_else_is_refused(tmp_path):
    """Weights of another network, or an average where none is kept, never end up half loaded in silence."""
    trained(SETTINGS, Fixed(), tmp_path / "state.pt", stop_after=0)
    state, _ = load_checkpoint(tmp_path / "state.pt")
    wider = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Flatten(), nn.Linear(64, 4))
    with pytest.raises(ValueError, match="of another network"):
        restore(make_step(wider, SETTINGS, device=CPU, total_steps=3), state)
    averaging = make_step(small_network(), replace(SETTINGS, ema_decay=0.9), device=CPU, total_steps=3)
    with pytest.raises(ValueError, match="trained without EMA"):
        restore(averaging, state)
