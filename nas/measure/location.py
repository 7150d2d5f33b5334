"""Where a noisy sample lies: quantiles, and the Hodges-Lehmann estimate with its confidence interval. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pseudo_median(values: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Give the Hodges-Lehmann estimate, the median of the means of all pairs of values, and its confidence interval.

    It withstands outliers as the median does (up to 29 % of the values) and needs two thirds of its sample for the same
    precision: in normal noise it has 0.955 of the mean's efficiency, the median 0.637. The interval inverts Wilcoxon's
    signed-rank test: of values that scatter independently and symmetrically it covers the centre with at least this
    confidence, whatever their distribution. With too few values for any interval (5 at 95 %) it is infinite.

    Args:
        values: one or more, in any order.
        confidence: in (0, 1).
    Returns: (estimate, low, high).
    Source: Hodges and Lehmann, Annals of Mathematical Statistics 34 (1963), 598-611.
    """
    sample = np.asarray(values, dtype=np.float64)
    first, second = np.triu_indices(len(sample))
    means = np.sort((sample[first] + sample[second]) / 2)
    rank = _signed_rank(len(sample), confidence)
    low, high = (means[rank - 1], means[-rank]) if rank else (-np.inf, np.inf)
    return float(np.median(means)), float(low), float(high)


def quantiles(values: Sequence[float], *shares: float) -> tuple[float, ...]:
    """Give the values below which these shares of the sample lie, interpolated between neighbours."""
    return tuple(float(value) for value in np.quantile(np.asarray(values, dtype=np.float64), shares))


@lru_cache(maxsize=1024)
def _signed_rank(n: int, confidence: float) -> int:
    """The largest r with 2 P(W < r) <= 1 - confidence, W being Wilcoxon's signed-rank statistic of n values."""
    chance: NDArray[Any] = np.ones(1)  # of each sum of a random subset of 1..k
    for k in range(1, n + 1):
        chance = (np.pad(chance, (0, k)) + np.pad(chance, (k, 0))) / 2
    return int(np.searchsorted(np.cumsum(chance), (1 - confidence) / 2, side="right"))
