"""The reward of EfficientNetV2's search: accuracy, softly traded against training step time and size."""

from __future__ import annotations

from rewards.measurement import check_accuracy, check_positive


def weighted_product(accuracy: float, step_time: float, params: float, *, w: float = -0.07, v: float = -0.05) -> float:
    """Score a candidate: accuracy * step_time**w * params**v; higher is better.

    Args:
        accuracy: top-1 on the minival split, in [0, 1].
        step_time: training step time over the reference network's on the same device; no unit, > 0.
        params: parameters over the reference network's; no unit, > 0.
        w: exponent of the step time; with -0.07, half the time is worth 5 % of the accuracy (2**0.07 = 1.05).
        v: exponent of the parameters; with -0.05, half the size is worth 3.5 %.
    Raises: ValueError if step_time or params is not positive and finite, or accuracy is outside [0, 1].
    Source: EfficientNetV2 (arXiv:2104.00298), section 3.3.
    """
    check_accuracy(accuracy)
    check_positive("step_time", step_time)
    check_positive("params", params)
    return float(accuracy * step_time**w * params**v)
