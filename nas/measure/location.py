"""Where a noisy sample lies: quantiles, and the Hodges-Lehmann estimate with its confidence intervals. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, stdtrit


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


def block_interval(
    blocks: Sequence[Sequence[float]], confidence: float, *, correlation: float = 0.0
) -> tuple[float, float, float]:
    """Give the Hodges-Lehmann estimate of all values, with a confidence interval that allows for what a block shares.

    Values of one block err together, so that the values' own scatter says too little; the centres of the blocks do not,
    and their scatter is the estimate's. It is taken for normal: the interval is Student's, with as many degrees of
    freedom as there are blocks less one. Blocks may lie close together by luck; so their scatter counts at least as
    what the values' scatter within blocks alone would make it.

    Args:
        blocks: the values of each block, one or more in each.
        confidence: in (0, 1).
        correlation: of a block with the next, in [0, 1): of an AR(1) process, whose mean errs more than the scatter of
            its values says, by the square root of (1 + correlation) / (1 - correlation).
    Returns: (estimate, low, high); infinite with a single block.
    Source: method of batch means; e.g. Law, Simulation Modeling and Analysis, sections 4.4 and 9.5.
    """
    values = [value for block in blocks for value in block]
    estimate = pseudo_median(values, confidence)[0]
    count = len(blocks)
    if count == 1:
        return estimate, -math.inf, math.inf
    centres = [pseudo_median(block, confidence)[0] for block in blocks]
    within = [np.var(block, ddof=1) / len(block) for block in blocks if len(block) > 1]
    variance = max(float(np.var(centres, ddof=1)), float(np.mean(within)) if within else 0.0)
    error = math.sqrt(variance / count * (1 + correlation) / (1 - correlation))
    half = float(stdtrit(count - 1, (1 + confidence) / 2)) * error
    return estimate, estimate - half, estimate + half


@lru_cache(maxsize=64)
def scatter_bound(count: int, confidence: float = 0.9) -> float:
    """Give the factor by which normal values may scatter more than so many of them did, with this confidence."""
    freedom = count - 1
    return math.sqrt(freedom / (2 * float(gammaincinv(freedom / 2, 1 - confidence)))) if freedom else math.inf


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
