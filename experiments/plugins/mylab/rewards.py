"""A reward: accuracy less a price for every doubling of the training step time."""

from __future__ import annotations

from math import log2


def additive(accuracy: float, step_time: float, *, price: float = 0.05, free_below: float = 0.5) -> float:
    """Score a candidate; higher is better.

    Args:
        accuracy: top-1 on minival, [0, 1].
        step_time: over the reference network's, > 0.
        price: accuracy that a doubling of the step time must bring.
        free_below: step time below which being faster is worth nothing more.
    """
    return accuracy - price * max(0.0, log2(step_time / free_below))
