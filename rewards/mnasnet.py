"""MnasNet's rewards: accuracy against a target, here of the training step time instead of the inference latency.

Source: MnasNet (arXiv:1807.11626). Its equation 1 is the wish, the greatest accuracy among those not slower than the
target; equations 2 and 3 are the score that stands for it: accuracy * (step_time / target)**exponent, where the
exponent may be another below the target than above. Figure 3 names two choices, soft and hard.
"""

from __future__ import annotations

from rewards.measurement import check_accuracy, check_positive


def mnasnet_soft(accuracy: float, step_time: float, *, target: float = 1.0, w: float = -0.07) -> float:
    """Score a candidate: accuracy * (step_time / target)**w, so faster than the target is worth something as well.

    Args:
        accuracy: top-1 on the minival split, in [0, 1].
        step_time: training step time over the reference network's on the same device; no unit, > 0.
        target: the step time wished for, in the same unit: 1 is the reference network's.
        w: the exponent on both sides of the target (the paper's alpha = beta).
    Raises: ValueError if step_time or target is not positive and finite, or accuracy is outside [0, 1].
    Source: MnasNet (arXiv:1807.11626), equations 2 and 3 with alpha = beta = -0.07.
    """
    return _score(accuracy, step_time, target, below=w, above=w)


def mnasnet_hard(accuracy: float, step_time: float, *, target: float = 1.0, beta: float = -1.0) -> float:
    """Score a candidate: its accuracy up to the target, and accuracy * (step_time / target)**beta beyond it.

    Args:
        accuracy: top-1 on the minival split, in [0, 1].
        step_time: training step time over the reference network's on the same device; no unit, > 0.
        target: the step time not to be passed, in the same unit: 1 is the reference network's.
        beta: the exponent above the target; the more negative, the nearer to equation 1's strict bound.
    Raises: ValueError if step_time or target is not positive and finite, or accuracy is outside [0, 1].
    Source: MnasNet (arXiv:1807.11626), equations 2 and 3 with alpha = 0, beta = -1.
    """
    return _score(accuracy, step_time, target, below=0.0, above=beta)


def _score(accuracy: float, step_time: float, target: float, *, below: float, above: float) -> float:
    check_accuracy(accuracy)
    check_positive("step_time", step_time)
    check_positive("target", target)
    return float(accuracy * (step_time / target) ** (below if step_time <= target else above))
