"""What a training minimises, and what an evaluation measures: classification, or an objective of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from nas.training.settings import OBJECTIVES, TrainSettings
from search_space.lookup import find


class Objective(Protocol):
    """Frozen, and on the device alone: `loss` and `sums` wait for nothing, so that a step can be a CUDA graph."""

    @property
    def counted(self) -> tuple[str, ...]:
        """Names of what `sums` gives."""

    @property
    def accuracy(self) -> str:
        """The one of the metrics that counts as the accuracy of a trial; more is better, in [0, 1] for most rewards."""

    def loss(self, outputs: Any, targets: Any) -> Tensor:
        """Give what a step minimises.

        Args:
            outputs: what the network puts out, (N, classes); in bf16 under autocast.
            targets: of the training batch: classes (N,), or probabilities (N, classes) where labels are mixed.
        Returns: the mean over the batch's images, without dimensions.
        """

    def sums(self, outputs: Any, targets: Any) -> tuple[Tensor, ...]:
        """Give what adds up over evaluation batches and workers, each without dimensions, in the order of `counted`."""

    def metrics(self, sums: Mapping[str, float], images: int) -> dict[str, float]:
        """Turn the sums over all images into named numbers, `loss` and the one called `accuracy` among them."""


@dataclass(frozen=True)
class Classification:
    """Cross entropy against classes or mixed labels; top-1 accuracy, and cross entropy without label smoothing.

    One more metric is one more sum:

    >>> import torch
    >>> class TopTwo(Classification):
    ...     counted = (*Classification.counted, "top2")
    ...
    ...     def sums(self, outputs, targets):
    ...         found = (outputs.topk(2).indices == targets[:, None]).any(1)
    ...         return (*super().sums(outputs, targets), found.sum())
    >>> logits, labels = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), torch.tensor([1, 2])
    >>> objective = TopTwo(TrainSettings())
    >>> sums = [float(each) for each in objective.sums(logits, labels)]
    >>> objective.metrics(dict(zip(objective.counted, sums)), len(labels))["top2"]
    0.5
    """

    settings: TrainSettings = field(default_factory=TrainSettings)

    counted: ClassVar[tuple[str, ...]] = ("accuracy", "loss")
    accuracy: ClassVar[str] = "accuracy"

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give the mean cross entropy, with the settings' label smoothing."""
        return nn.functional.cross_entropy(outputs.float(), targets, label_smoothing=self.settings.label_smoothing)

    def sums(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        """Count the images that are right, and add up their cross entropies."""
        logits = outputs.float()
        right = (logits.argmax(1) == targets).sum()
        return right, nn.functional.cross_entropy(logits, targets, reduction="sum")

    def metrics(self, sums: Mapping[str, float], images: int) -> dict[str, float]:
        """Give the mean of each sum over the images."""
        return {name: total / images for name, total in sums.items()}


CLASSIFICATION = Classification()


def metric_names(objective: Objective) -> frozenset[str]:
    """Give the names of the metrics besides accuracy and loss, as one image of which each sum is 1 would have them.

    Returns: none for an objective that cannot do with such sums.
    """
    try:
        metrics = objective.metrics(dict.fromkeys(objective.counted, 1.0), 1)
    except (ArithmeticError, LookupError, ValueError):
        return frozenset()
    return frozenset(metrics) - {objective.accuracy, "loss"}


_MEMBERS = ("counted", "accuracy", "loss", "sums", "metrics")


def make_objective(settings: TrainSettings) -> Objective:
    """Give the objective that the settings name.

    Raises: ValueError, of one line, for one that cannot be imported or is none.
    """
    make = find("objective", settings.objective, OBJECTIVES)
    make = find("objective", make, {}) if isinstance(make, str) else make
    try:
        objective: Objective = make(settings) if callable(make) else make
    except TypeError as error:
        raise ValueError(f"objective {settings.objective!r} is not made from TrainSettings: {error}") from None
    if missing := [name for name in _MEMBERS if not hasattr(objective, name)]:
        raise ValueError(f"objective {settings.objective!r} has no {', '.join(missing)}")
    return objective
