"""Time two things alternately, in blocks, until the ratio of their times is known well enough. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from nas.measure.location import block_interval, scatter_bound
from nas.measure.settings import StepTimeSettings

RETAKEN = "retaken"  # disturbed pairs were thrown away and taken again
# What a machine does besides lasts longer than a block, so that those of one measurement, taken in a row, lie closer
# together than those of another time. Chosen so that intervals hold the truth: see `benchmarks/step_time.py`.
BLOCK_CORRELATION = 1 / 3

Timers = tuple[
    Callable[[], float], Callable[[], float]
]  # do one step of the candidate, the reference; give its seconds
Block = Callable[[], AbstractContextManager[Timers]]


@dataclass(frozen=True)
class Ratio:
    """The centre of the ratios of pairs, and its confidence interval."""

    ratio: float
    low: float
    high: float
    blocks: int  # that the interval comes from

    def within(self, interval: float) -> bool:
        """Whether half the interval's width is, with confidence, at most this share of the ratio.

        Of measurements that stop at a narrow interval, some have blocks that lie close together by luck, and those miss
        the truth. So the blocks are taken to scatter as much as they may with a confidence of 90 %.
        """
        return (self.high - self.low) * scatter_bound(self.blocks) <= 2 * interval * self.ratio


@dataclass(frozen=True)
class Pairs:
    """Times of two things done alternately, in seconds; one entry a pair."""

    candidate_s: tuple[float, ...]
    reference_s: tuple[float, ...]
    blocks: tuple[int, ...]  # the block that each pair was taken in
    marks: frozenset[str]  # RETAKEN, and what disturbed pairs that were kept
    converged: bool

    @property
    def ratios(self) -> tuple[float, ...]:
        """Candidate over reference, pair by pair."""
        return _ratios(self.candidate_s, self.reference_s)

    def centre(self, confidence: float) -> Ratio:
        """Give the ratio of the two things, with its confidence interval."""
        return centre(self.ratios, self.blocks, confidence)


def centre(ratios: Sequence[float], blocks: Sequence[int], confidence: float) -> Ratio:
    """Give the pseudo-median of the ratios' logarithms, as a ratio, with an interval from the scatter of the blocks.

    The order within a pair alternates, so that a steady drift makes the ratios too large and too small in turn, by the
    same factor; the mean of two neighbours is free of it, and so is the median of the means of all twos.
    """
    logs: dict[int, list[float]] = {}
    for ratio, block in zip(ratios, blocks, strict=True):
        logs.setdefault(block, []).append(math.log(ratio))
    estimate, low, high = block_interval(list(logs.values()), confidence, correlation=BLOCK_CORRELATION)
    return Ratio(math.exp(estimate), math.exp(low), math.exp(high), len(logs))


def take_pairs(block: Block, settings: StepTimeSettings, disturbed: Callable[[], frozenset[str]] = frozenset) -> Pairs:
    """Take blocks of pairs until the ratio's interval is as narrow as the settings ask, or there are `max_pairs`.

    A pair is a turn of each. A turn is `turn` steps in a row, and its time the fastest one's: what interrupts a step
    only ever makes it longer. A block is `block_pairs` pairs, and begins with everything built and allocated anew:
    where in memory weights and activations lie moves a step's time for as long as they lie there, and what the machine
    does besides lasts longer than a pair, so that pairs of one block err together.

    Args:
        block: builds both things; they are timed while its context is open.
        disturbed: asked after each pair, names what disturbed it. Such a pair is taken again, at most `retakes` times
            in all; after that it counts, and the names go into `marks`.
    """
    taken = _Taken(settings.retakes)
    while len(taken.blocks) < settings.max_pairs and not taken.converged(settings):
        full = min(len(taken.blocks) + settings.block_pairs, settings.max_pairs)
        number = taken.blocks[-1] + 1 if taken.blocks else 0
        with block() as timers:
            while len(taken.blocks) < full:
                taken.add(number, *_pair(timers, settings.turn, first=len(taken.blocks) % 2), disturbed())
        del timers  # with all that they hold, before the next is built
    return Pairs(
        tuple(taken.candidate_s),
        tuple(taken.reference_s),
        tuple(taken.blocks),
        frozenset(taken.marks),
        taken.converged(settings),
    )


@dataclass
class _Taken:
    """The pairs so far."""

    retakes: int  # disturbed pairs that may still be taken again
    candidate_s: list[float] = field(default_factory=list)
    reference_s: list[float] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    marks: set[str] = field(default_factory=set)

    def add(self, block: int, candidate_s: float, reference_s: float, disturbed: frozenset[str]) -> None:
        if disturbed and self.retakes:
            self.retakes -= 1
            self.marks.add(RETAKEN)
            return
        self.marks |= disturbed
        self.candidate_s.append(candidate_s)
        self.reference_s.append(reference_s)
        self.blocks.append(block)

    def converged(self, settings: StepTimeSettings) -> bool:
        if len(self.blocks) < settings.min_pairs:
            return False
        ratios = _ratios(self.candidate_s, self.reference_s)
        return centre(ratios, self.blocks, settings.confidence).within(settings.interval)


def _pair(timers: Timers, steps: int, *, first: int) -> tuple[float, float]:
    """Time a turn of each, the candidate's (0) or the reference's (1) first; give the candidate's seconds first."""
    seconds = [0.0, 0.0]
    for which in (first, 1 - first):
        seconds[which] = min(timers[which]() for _ in range(steps))
    return seconds[0], seconds[1]


def _ratios(candidate_s: Sequence[float], reference_s: Sequence[float]) -> tuple[float, ...]:
    return tuple(mine / theirs for mine, theirs in zip(candidate_s, reference_s, strict=True))
