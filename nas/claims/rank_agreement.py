"""How well one score ranks architectures as another does: rank correlations, the regret of trusting it, intervals.

Architectures are drawn anew with replacement (the bootstrap), by how often each is drawn: a resample is a row of
counts. All statistics take many rows at once, and several scores are judged on the same rows, so that they can be
compared in pairs.

Intervals are percentiles. Of tau and rho these hold the truth in 94 to 98 % of simulations with 8 to 15 architectures;
BCa's in 92 to 99 %, and are wider, those by Fisher's z in 85 to 95 %. Regret is of the best alone: percentiles of
resampled regrets hold what is to be expected in 52 to 95 %. What is resampled is therefore the expected regret, see
`expected_regret`: 94 to 99 % (`experiments/benchmarks/rank_agreement.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ORDERS = 16  # in which equals are taken, where a proxy has some


@dataclass(frozen=True)
class Interval:
    """A number, and where it may lie with other architectures."""

    value: float
    low: float
    high: float


def resamples(count: int, draws: int, seed: int) -> Floats:
    """Draw `count` architectures with replacement, `draws` times: how often each was drawn, (draws, count)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)


def kendall(x: Floats, y: Floats, counts: Floats) -> Floats:
    """Kendall's tau-b of two scores in each resample, (draws,); NaN where either is the same throughout.

    Two copies of an architecture are a pair that is tied in both, which tau-b leaves out.

    Args:
        x, y: of each architecture, (architectures,).
        counts: of each architecture in each resample, (draws, architectures).
    """
    in_x, in_y = (np.sign(np.subtract.outer(each, each)) for each in (x, y))
    of_both, of_x, of_y = (_pairs(counts, each) for each in (in_x * in_y, in_x**2, in_y**2))
    return _ratio(of_both, np.sqrt(of_x * of_y))


def spearman(x: Floats, y: Floats, counts: Floats) -> Floats:
    """Spearman's rho of two scores in each resample, as `kendall` takes them: the correlation of their ranks."""
    ranks = [counts @ _below(each) for each in (x, y)]  # up to a constant, which no correlation sees
    total = counts.sum(axis=1, keepdims=True)
    a, b = (each - (counts * each).sum(axis=1, keepdims=True) / total for each in ranks)
    return _ratio((counts * a * b).sum(axis=1), np.sqrt((counts * a**2).sum(axis=1) * (counts * b**2).sum(axis=1)))


def regret(proxy: Floats, truth: Floats, counts: Floats, top: int) -> Floats:
    """Give what is lost by looking only at the `top` best of a proxy: the best of all less the best of those, (draws,).

    Where the proxy has equals, the mean over orders in which they could be taken.

    Args:
        proxy, truth: scores of each architecture, (architectures,); more is better.
        counts: of each architecture in each resample, (draws, architectures); two copies are two of the `top`.
        top: how many are looked at.
    """
    rng, orders = np.random.default_rng(0), 1 if len(np.unique(proxy)) == len(proxy) else _ORDERS
    lost = [_regret(np.lexsort((rng.random(len(proxy)), -proxy)), truth, counts, top) for _ in range(orders)]
    return np.asarray(np.mean(lost, axis=0))


def _regret(order: NDArray[np.intp], truth: Floats, counts: Floats, top: int) -> Floats:
    drawn = counts[:, order]
    looked_at = (drawn > 0) & (np.cumsum(drawn, axis=1) - drawn < top)
    best_of = [np.where(chosen, truth[order], -np.inf).max(axis=1) for chosen in (drawn > 0, looked_at)]
    return np.asarray(best_of[0] - best_of[1])


def expected_regret(proxy: Floats, truth: Floats, counts: Floats, top: int) -> Floats:
    """Give the regret to be expected of as many other architectures, in each resample, as `regret` takes them.

    Which of the architectures the best of those looked at is depends on the rank correlation alone, if the two scores
    are jointly normal on some scales (a Gaussian copula); what that costs is read off the true scores as they are. That
    a best one far ahead is found more easily does not enter: with normal scores it is a third to a half too much.
    """
    count = len(truth)
    reached = _best_looked_at(count, top)
    tau = np.nan_to_num(kendall(proxy, truth, counts))
    place = (np.sin(np.pi * tau / 2) + 1) / 2 * (len(reached) - 1)
    below = np.minimum(place.astype(int), len(reached) - 2)
    share = (place - below)[:, None]
    chances = reached[below] * (1 - share) + reached[below + 1] * share
    order = np.argsort(truth)
    passed = np.cumsum(counts[:, order], axis=1)
    values = truth[order][(passed[:, :, None] <= np.arange(count)).sum(axis=1)]  # ascending, copies included
    return np.asarray(values[:, -1] - (chances * values).sum(axis=1))


_CORRELATIONS = 41  # from -1 to 1, for which chances are simulated


@lru_cache
def _best_looked_at(count: int, top: int) -> Floats:
    """Chances that the best of the `top` by the proxy is the i-th from below in truth, (correlations, count)."""
    rng = np.random.default_rng(0)
    truth, noise = np.sort(rng.normal(size=(4000, count)), axis=1), rng.normal(size=(4000, count))
    chances = []
    for correlation in np.linspace(-1, 1, _CORRELATIONS):
        proxy = correlation * truth + np.sqrt(1 - correlation**2) * noise
        best = np.argpartition(-proxy, top - 1, axis=1)[:, :top].max(axis=1)
        chances.append(np.bincount(best, minlength=count) / len(best))
    return np.array(chances)


@lru_cache
def perfect_low(count: int, confidence: float) -> float:
    """Give the correlation of normal scores that order so many architectures alike with chance (1 - confidence) / 2.

    It is the lower end of an interval where all are ordered alike, for every resample of those is, too.
    """
    rng = np.random.default_rng(0)
    x, noise = np.sort(rng.normal(size=(4000, count)), axis=1), rng.normal(size=(4000, count))
    correlations = 1 - np.geomspace(1, 1e-6, 61)
    alike = [
        float((np.diff(each * x + np.sqrt(1 - each**2) * noise, axis=1) > 0).all(axis=1).mean())
        for each in correlations
    ]
    return float(np.interp((1 - confidence) / 2, np.maximum.accumulate(alike), correlations))


def percentiles(draws: Floats, confidence: float) -> tuple[float, float] | None:
    """Give the interval that holds the middle of the draws; None where too many of them are not known."""
    known = draws[np.isfinite(draws)]
    if len(known) < _LEAST_KNOWN * len(draws):
        return None
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


_LEAST_KNOWN = 0.9


def _pairs(counts: Floats, matrix: Floats) -> Floats:
    """Sum a matrix of pairs over the pairs of each resample, (draws,)."""
    return np.asarray(((counts @ matrix) * counts).sum(axis=1))


def _below(values: Floats) -> Floats:
    """How much of each other's count lies below a value, half of what is equal to it: [other, own]."""
    return np.asarray((values[:, None] < values) + 0.5 * (values[:, None] == values))


def _ratio(over: Floats, under: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(under > 1e-12, over / under, np.nan))
