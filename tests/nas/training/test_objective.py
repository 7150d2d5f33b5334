"""What is minimised and measured: classification as it always was, and an objective of one's own."""

import doctest
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nas.training import objective as objectives
from nas.training.evaluate import evaluate
from nas.training.objective import OBJECTIVES, Classification, make_objective
from nas.training.settings import TrainSettings
from nas.training.train import train
from nas.training.workers import Workers

Build = Callable[..., nn.Module]
Digits = Callable[..., tuple]

TOP_FIVE = '''
from nas.training.objective import Classification


class TopFive(Classification):
    """Top-5 accuracy as well; the loss is half of what it was, to be seen in the curve."""

    counted = (*Classification.counted, "top5")

    def loss(self, outputs, targets):
        return super().loss(outputs, targets) / 2

    def sums(self, outputs, targets):
        found = (outputs.topk(5).indices == targets[:, None]).any(1)
        return (*super().sums(outputs, targets), found.sum())


class Nothing:
    def __init__(self, settings):
        pass
'''


@pytest.fixture
def mylab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user's module that can be imported by the name given."""
    name = f"mylab_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(TOP_FIVE)
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_gives_its_accuracy_and_loss(name: str) -> None:
    """The contract: as many sums as names, and among the metrics the loss and the accuracy that a trial reports."""
    objective = make_objective(TrainSettings(objective=name))
    outputs, targets = torch.randn(6, 10, requires_grad=True), torch.arange(6)
    assert objective.loss(outputs, targets).shape == ()
    totals = [each.item() for each in objective.sums(outputs, targets)]
    metrics = objective.metrics(dict(zip(objective.counted, totals, strict=True)), 6)
    assert {objective.accuracy, "loss"} <= metrics.keys()


def test_classification_is_the_default() -> None:
    """Smoothed cross entropy is trained with, top-1 and plain cross entropy are measured: worked by hand."""
    objective = make_objective(TrainSettings(label_smoothing=0.2))
    logits, labels = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), torch.tensor([0, 1, 1])
    logs = logits.log_softmax(1)
    plain = -logs[range(3), labels]
    assert objective.loss(logits, labels).item() == pytest.approx((0.8 * plain - 0.1 * logs.sum(1)).mean().item())
    right, loss = objective.sums(logits, labels)
    assert (right.item(), loss.item()) == (2, pytest.approx(plain.sum().item()))
    assert objective.metrics({"accuracy": 2.0, "loss": 3.0}, 4) == {"accuracy": 0.5, "loss": 0.75}


def test_a_plug_in_trains_and_measures_what_it_says(make_network: Build, digits: Digits, mylab: str) -> None:
    """Another loss is minimised and a second metric stands in curve and result, with no file of ours changed."""
    settings = TrainSettings(epochs=2, batch_size=64, objective=f"{mylab}:TopFive", eval_every=2)
    network = make_network()
    train_batches, eval_batches = digits(64)
    result = train(network, train_batches, eval_batches, settings)
    plain = train(make_network(), train_batches, eval_batches, TrainSettings(epochs=2, batch_size=64, eval_every=2))
    assert result.curve[0]["train_loss"] < 0.6 * plain.curve[0]["train_loss"]
    network.eval()
    batches = list(eval_batches.epoch(0))
    right = sum((network(x).topk(5).indices == y[:, None]).any(1).sum().item() for x, y in batches)
    assert result.metrics == {"top5": pytest.approx(right / sum(len(y) for _, y in batches))}
    assert [epoch.get("metrics") for epoch in result.curve] == [None, result.metrics]
    assert result.accuracy is not None
    assert result.accuracy < result.metrics["top5"]


def test_curves_of_classification_keep_their_form(make_network: Build, digits: Digits) -> None:
    """Without further metrics nothing is added to what is logged."""
    result = train(make_network(), *digits(700), TrainSettings(epochs=1, batch_size=700))
    keys = ["epoch", "train_loss", "loss", "accuracy", "learning_rate", "image_size", "seconds", "images_per_s"]
    assert list(result.curve[0]) == keys
    assert result.metrics == {}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("classificaton", "unknown objective 'classificaton'; did you mean 'classification'?"),
        ("MYLAB:TopSix", "objective 'MYLAB:TopSix' cannot be imported: module 'MYLAB' has no attribute 'TopSix'"),
        ("no_such_lab:TopFive", "objective 'no_such_lab:TopFive' cannot be imported: No module named 'no_such_lab'"),
        ("MYLAB:Nothing", "objective 'MYLAB:Nothing' has no counted, accuracy, loss, sums, metrics"),
    ],
)
def test_an_objective_that_cannot_be_had_is_one_line(mylab: str, name: str, message: str) -> None:
    """A misspelt or broken plug-in is named, in one line, before anything is trained."""
    with pytest.raises(ValueError) as error:
        make_objective(TrainSettings(objective=name.replace("MYLAB", mylab)))
    assert message.replace("MYLAB", mylab) in str(error.value)
    assert "\n" not in str(error.value)


@dataclass(frozen=True)
class Doubled(Workers):
    """Two workers of which the other one has the very same batches."""

    count: int = 2

    def sum(self, values: Tensor) -> Tensor:
        return 2 * values


def test_sums_are_those_of_all_workers(mylab: str) -> None:
    """Each metric is that of all images, whoever had them."""
    images, labels = torch.randn(7, 10, 1, 1), torch.arange(7) % 10
    objective = make_objective(TrainSettings(objective=f"{mylab}:TopFive"))
    alone = evaluate(nn.Flatten(), [(images, labels)], objective=objective)
    both = evaluate(nn.Flatten(), [(images, labels)], objective=objective, workers=Doubled())
    assert both == alone._replace(images=14)
    assert set(both.metrics) == {"top5"}
    assert set(both.to_dict()) == {"accuracy", "loss", "images", "metrics"}


def test_an_objective_without_its_accuracy_is_refused() -> None:
    """A metric that is promised and not given is an error, not an accuracy of 0."""

    class Forgetful(Classification):
        accuracy = "f1"

    batches = [(torch.randn(2, 10, 1, 1), torch.arange(2))]
    with pytest.raises(ValueError, match="objective Forgetful does not give its metric f1"):
        evaluate(nn.Flatten(), batches, objective=Forgetful())


def test_the_example_is_true() -> None:
    """What the docstring shows is what comes out."""
    assert doctest.testmod(objectives) == (0, 6)


def test_metrics_are_plain_numbers(make_network: Build) -> None:
    """NumPy's floats could be saved in a checkpoint and not read again; what is no number is said."""
    import numpy as np

    class Numpy(Classification):
        def metrics(self, sums, images):  # type: ignore[no-untyped-def]
            return {name: np.sqrt(total / images) for name, total in sums.items()} | {"own": np.float32(2)}

    class Words(Classification):
        def metrics(self, sums, images):  # type: ignore[no-untyped-def]
            return {"accuracy": 0.5, "loss": "low"}

    batches = [(torch.zeros(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64))]
    found = evaluate(make_network(), batches, objective=Numpy(TrainSettings()))
    assert [type(value) for value in (found.accuracy, found.loss, found.metrics["own"])] == [float] * 3
    with pytest.raises(ValueError, match="objective Words gives a metric that is no number"):
        evaluate(make_network(), batches, objective=Words(TrainSettings()))
