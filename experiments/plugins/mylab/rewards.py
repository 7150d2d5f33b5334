"""Rewards: accuracy less a price for every doubling of the training step time, and accuracy within so many MACs."""

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


def within_macs(accuracy: float, macs: float, *, most: float = 1e6) -> float:
    """Score a candidate by its accuracy, less in proportion where it has more than so many MACs; higher is better.

    What a search comes to that counts MACs in place of measuring step times: `rewards.mnasnet.mnasnet_hard` beside it.

    Args:
        accuracy: top-1 on minival, [0, 1].
        macs: multiply-adds of one image, > 0.
        most: MACs that are free.
    """
    return accuracy * min(1.0, most / macs)
