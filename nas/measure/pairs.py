"""Time two things alternately until the ratio of their times is known well enough. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nas.measure.location import pseudo_median
from nas.measure.settings import StepTimeSettings

RETAKEN = "retaken"  # disturbed pairs were thrown away and taken again


@dataclass(frozen=True)
class Ratio:
    """The centre of the ratios of pairs, and its confidence interval."""

    ratio: float
    low: float
    high: float

    def within(self, interval: float) -> bool:
        """Whether half the interval's width is at most this share of the ratio."""
        return self.high - self.low <= 2 * interval * self.ratio


@dataclass(frozen=True)
class Pairs:
    """Times of two things done alternately, in seconds; one entry a pair."""

    candidate_s: tuple[float, ...]
    reference_s: tuple[float, ...]
    marks: frozenset[str]  # RETAKEN, and what disturbed pairs that were kept
    converged: bool

    @property
    def ratios(self) -> tuple[float, ...]:
        """Candidate over reference, pair by pair."""
        return tuple(mine / theirs for mine, theirs in zip(self.candidate_s, self.reference_s, strict=True))


def centre(ratios: Sequence[float], confidence: float) -> Ratio:
    """Give the pseudo-median of the ratios' logarithms, as a ratio.

    The order within a pair alternates, so that a steady drift makes the ratios too large and too small in turn, by the
    same factor; the mean of two neighbours is free of it, and so is the median of the means of all twos.
    """
    estimate, low, high = pseudo_median([math.log(ratio) for ratio in ratios], confidence)
    return Ratio(math.exp(estimate), math.exp(low), math.exp(high))


def take_pairs(
    time_candidate: Callable[[], float],
    time_reference: Callable[[], float],
    settings: StepTimeSettings,
    disturbed: Callable[[], frozenset[str]] = frozenset,
) -> Pairs:
    """Take pairs until the ratio's interval is as narrow as the settings ask, or there are `max_pairs`.

    A pair is a turn of each. A turn is `turn` steps in a row, and its time the fastest one's: what interrupts a step
    only ever makes it longer.

    Args:
        time_candidate, time_reference: do one step and give its seconds.
        disturbed: asked after each pair, names what disturbed it. Such a pair is taken again, at most `retakes` times
            in all; after that it counts, and the names go into `marks`.
    """

    def turn(time_step: Callable[[], float]) -> float:
        return min(time_step() for _ in range(settings.turn))

    mine: list[float] = []
    theirs: list[float] = []
    marks: set[str] = set()
    retakes, converged = settings.retakes, False
    while len(mine) < settings.max_pairs and not converged:
        if len(mine) % 2 == 0:
            candidate_s, reference_s = turn(time_candidate), turn(time_reference)
        else:
            reference_s, candidate_s = turn(time_reference), turn(time_candidate)
        names = disturbed()
        if names and retakes:
            retakes -= 1
            marks.add(RETAKEN)
            continue
        marks |= names
        mine.append(candidate_s)
        theirs.append(reference_s)
        pairs = Pairs(tuple(mine), tuple(theirs), frozenset(marks), False)
        enough = len(mine) >= settings.min_pairs
        converged = enough and centre(pairs.ratios, settings.confidence).within(settings.interval)
    return Pairs(tuple(mine), tuple(theirs), frozenset(marks), converged)
