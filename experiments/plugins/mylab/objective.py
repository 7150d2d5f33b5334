"""An objective on two metrics: top-1 accuracy, and how often the right class is among the first two."""

from __future__ import annotations

from torch import Tensor

from nas.training.objective import Classification


class TopTwo(Classification):
    """Classification that measures `top2` as well; it becomes a column of the trials."""

    counted = (*Classification.counted, "top2")

    def sums(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        """Count the images of which one of the two highest logits is right, besides."""
        found = (outputs.topk(2).indices == targets[:, None]).any(1)
        return (*super().sums(outputs, targets), found.sum())
