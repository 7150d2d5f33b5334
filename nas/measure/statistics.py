"""Median, quantiles and a distribution-free confidence interval of the median. Plain Python, no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache


def quantile(values: Sequence[float], share: float) -> float:
    """Give the value below which `share` of the values lie, interpolated between neighbours. Needs one value or more."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def median_interval(values: Sequence[float], confidence: float) -> tuple[float, float]:
    """Give a confidence interval of the median from the order statistics alone, whatever the distribution.

    Of n independent values the number below the true median is Binomial(n, 1/2), so the r-th smallest and the r-th
    largest enclose it with probability 1 - 2 P(Binomial(n, 1/2) < r); r is the largest that keeps `confidence`. With
    too few values for any r (5 or fewer at 95 %) nothing is known: the interval is infinite.

    Args:
        values: the sample, in any order.
        confidence: in (0, 1).
    Returns: (low, high).
    Source: the sign test inverted; David and Nagaraja, Order Statistics, section 7.1.
    """
    rank = _rank(len(values), confidence)
    if rank == 0:
        return -math.inf, math.inf
    ordered = sorted(values)
    return ordered[rank - 1], ordered[-rank]


@lru_cache(maxsize=1024)
def _rank(n: int, confidence: float) -> int:
    """The largest r whose tail 2 P(Binomial(n, 1/2) < r) leaves `confidence`; 0 if there is none."""
    rank, tail = 0, 0.0
    while True:
        tail += 2 * math.comb(n, rank) / 2**n
        if tail > 1 - confidence or 2 * (rank + 1) > n:
            return rank
        rank += 1
