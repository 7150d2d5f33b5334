"""How well each proxy, after each of its epochs, ranks architectures as long training does. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nas.claims.rank_agreement import (
    Floats,
    Interval,
    expected_regret,
    kendall,
    percentiles,
    perfect_low,
    regret,
    resamples,
    spearman,
)

LEAST_ARCHITECTURES = 5  # with fewer nothing is said

Statistic = Callable[[Floats, Floats, Floats], Floats]  # of two scores and the counts of resamples


@dataclass(frozen=True)
class Measured:
    """One series of trainings: what each architecture came to after each epoch."""

    accuracy: Floats  # on minival, (seeds, architectures, epochs); NaN = not known
    device_hours: Floats  # of training up to each epoch, the mean of the architectures, (epochs,)


@dataclass(frozen=True)
class Regret:
    """What is lost by looking only at the best of a ranking: accuracy, in [0, 1]."""

    seen: float  # of these architectures
    expected: float  # of as many others
    low: float  # of the expected one
    high: float


@dataclass(frozen=True)
class Agreement:
    """How one ranking of architectures agrees with long training's; None where too few architectures have both."""

    architectures: int  # that have both
    tau: Interval | None  # Kendall's tau-b, in [-1, 1]
    rho: Interval | None  # Spearman's
    regrets: tuple[Regret | None, ...]  # of looking at the best 1, 3, ... alone


@dataclass(frozen=True)
class Ranking:
    """Pairs of scores that are to agree: each by a training, and by a long one of another seed; means are taken."""

    pairs: tuple[tuple[Floats, Floats], ...]

    @classmethod
    def of(cls, proxy: Measured, epoch: int, long: Measured) -> Ranking:
        """Take the epoch of a proxy, or of the long training itself, and the end of each long training.

        Args:
            epoch: index of it.
        """
        ends = long.accuracy[:, :, -1]
        mine = range(len(proxy.accuracy))
        itself = proxy is long
        return cls(
            tuple(
                (proxy.accuracy[one, :, epoch], ends[other])
                for one in mine
                for other in range(len(ends))
                if not (itself and one == other)
            )
        )

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Whether each architecture has all of the scores, (architectures,)."""
        finite = [np.isfinite(each) for pair in self.pairs for each in pair]
        return np.asarray(np.logical_and.reduce(finite))

    def taken(self, chosen: NDArray[np.bool_]) -> Ranking:
        """Give the ranking of some of the architectures."""
        return Ranking(tuple((x[chosen], y[chosen]) for x, y in self.pairs))

    def mean(self, statistic: Statistic, counts: Floats) -> Floats:
        """Give the mean of a statistic over the pairs, in each resample, (draws,)."""
        return np.asarray(np.mean([statistic(x, y, counts) for x, y in self.pairs], axis=0))


@dataclass(frozen=True)
class Judge:
    """By what proxies are judged."""

    top: tuple[int, ...] = (1, 3)  # of the best so many are looked at, for the regret
    confidence: float = 0.95
    draws: int = 2000  # resamples of the architectures
    seed: int = 0

    def agreement(self, ranking: Ranking) -> Agreement:
        """Say how a ranking agrees with long training's."""
        count = int(ranking.known.sum()) if ranking.pairs else 0
        if count < LEAST_ARCHITECTURES:
            return Agreement(count, None, None, (None,) * len(self.top))
        taken = ranking.taken(ranking.known)
        lowest = perfect_low(count, self.confidence)
        tau = self._correlation(taken, count, kendall, 2 / math.pi * math.asin(lowest))
        rho = self._correlation(taken, count, spearman, 6 / math.pi * math.asin(lowest / 2))
        return Agreement(count, tau, rho, tuple(self._regret(taken, count, top) for top in self.top))

    def difference(self, one: Ranking, other: Ranking) -> Interval | None:
        """Give Kendall's tau of one ranking less another's, of architectures that have both, on the same resamples."""
        known = one.known & other.known if one.pairs and other.pairs else np.zeros(1, bool)
        if (count := int(known.sum())) < LEAST_ARCHITECTURES:
            return None
        a, b = one.taken(known), other.taken(known)
        point, draws = (a.mean(kendall, each) - b.mean(kendall, each) for each in self._counts(count))
        return self._interval(point, draws)

    def _correlation(self, ranking: Ranking, count: int, statistic: Statistic, lowest: float) -> Interval | None:
        """Give a correlation with its interval.

        Args:
            lowest: where the interval begins if all architectures are ordered alike, and ends if all are the other way.
        """
        point, draws = (ranking.mean(statistic, each) for each in self._counts(count))
        found = self._interval(point, draws)
        if found is None or abs(found.value) < 1 - 1e-9:
            return found
        return replace(found, low=min(found.low, lowest)) if found.value > 0 else replace(found, high=-lowest)

    def _regret(self, ranking: Ranking, count: int, top: int) -> Regret | None:
        seen = float(ranking.mean(lambda x, y, counts: regret(x, y, counts, top), np.ones((1, count)))[0])
        point, draws = (
            ranking.mean(lambda x, y, counts: expected_regret(x, y, counts, top), each) for each in self._counts(count)
        )
        found = self._interval(point, draws)
        return None if found is None else Regret(seen, found.value, found.low, found.high)

    def _counts(self, count: int) -> tuple[Floats, Floats]:
        """Give the architectures as they are, and resamples of them."""
        return np.ones((1, count)), resamples(count, self.draws, self.seed)

    def _interval(self, point: Floats, draws: Floats) -> Interval | None:
        ends = percentiles(draws, self.confidence)
        if ends is None or not math.isfinite(point[0]):
            return None
        return Interval(float(point[0]), *ends)
