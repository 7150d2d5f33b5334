"""What an objective measures of a network over batches: accuracy, loss and metrics of one's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nas.training.objective import CLASSIFICATION, Objective
from nas.training.workers import ALONE, Workers


class Evaluation(NamedTuple):
    """How a network does on a split: top-1 accuracy in [0, 1], mean cross entropy (no label smoothing), images.

    With another objective than classification these are the numbers that it calls accuracy and loss.
    """

    accuracy: float
    loss: float
    images: int
    metrics: dict[str, float]  # what else the objective measures

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `metrics` only where there are any."""
        record = self._asdict()
        return record if self.metrics else {key: value for key, value in record.items() if key != "metrics"}


def evaluate(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    dtype: torch.dtype | None = None,
    channels_last: bool = True,
    workers: Workers = ALONE,
    objective: Objective = CLASSIFICATION,
) -> Evaluation:
    """Evaluate a network, in evaluation mode and left in the mode it was in; the device is waited for once, at the end.

    Args:
        batches: (images (N, C, H, W), labels (N,)) on the network's device; every image counts the same.
        dtype: compute under autocast in this type; None = as the weights are.
        channels_last: the memory format that the network is in.
        workers: those that evaluate together, each with batches of its own: all get the whole result.
        objective: says what is measured.
    Raises: ValueError if there is no image, or the objective does not measure what it says.
    """
    was_training = network.training
    network.eval()
    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    sums = torch.zeros(len(objective.counted) + 1, dtype=torch.float64, device=device)  # the last one counts images
    with torch.inference_mode():
        for images, targets in batches:
            if channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            with torch.autocast(images.device.type, dtype, enabled=dtype is not None):
                outputs = network(images)
            for place, value in zip(sums, (*objective.sums(outputs, targets), len(images)), strict=True):
                place += value
    network.train(was_training)
    *totals, count = workers.sum(sums).tolist()
    if not count:
        raise ValueError("there are no images to evaluate on")
    return _evaluation(objective, dict(zip(objective.counted, totals, strict=True)), int(count))


def _evaluation(objective: Objective, sums: dict[str, float], images: int) -> Evaluation:
    metrics = objective.metrics(sums, images)
    if missing := {objective.accuracy, "loss"} - metrics.keys():
        raise ValueError(f"objective {type(objective).__name__} does not give its metric {', '.join(sorted(missing))}")
    try:  # Python's own floats: NumPy's could be saved in a checkpoint, but not read again
        numbers = {name: float(value) for name, value in metrics.items()}
    except (TypeError, ValueError):
        raise ValueError(f"objective {type(objective).__name__} gives a metric that is no number: {metrics}") from None
    others = {name: value for name, value in numbers.items() if name not in (objective.accuracy, "loss")}
    return Evaluation(numbers[objective.accuracy], numbers["loss"], images, others)
