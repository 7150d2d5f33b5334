"""Errors of a measured step time, for the synthetic landscapes: what a timer gives, interval included.

A measurement is of blocks, as the toolkit's own is (`nas/measure/`): each block errs by itself, and the interval of
95 % is Student's over the blocks, widened by 1.41. Now and then the machine is slow, from some moment of a measurement
on: the interval is wide then, unless it was slow all the while; there nothing tells of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import t

BLOCKS = 6
_WIDENED = float(t.ppf(0.975, BLOCKS - 1)) * 1.41 / math.sqrt(BLOCKS)


@dataclass(frozen=True)
class TimingNoise:
    """How a measured step time errs."""

    error: float  # standard deviation of the logarithm of S, outliers aside; 0 = exact, and no interval
    outliers: float = 0.05  # share of the measurements during which the machine is slow
    slower: float = 0.2  # by so much in the logarithm, at the mean of an exponential distribution


class TimedStep(NamedTuple):
    """A measured S and its interval; None where it is exact."""

    s: float
    low: float | None
    high: float | None


def timed(step_time: float, noise: TimingNoise, rng: np.random.Generator) -> TimedStep:
    """Time a step whose true S is known."""
    if noise.error == 0:
        return TimedStep(step_time, None, None)
    blocks = noise.error * math.sqrt(BLOCKS) * rng.normal(size=BLOCKS)
    if rng.random() < noise.outliers:
        blocks[rng.integers(0, BLOCKS) :] += rng.exponential(noise.slower)
    s, half = step_time * math.exp(blocks.mean()), _WIDENED * float(blocks.std(ddof=1))
    return TimedStep(s, s * math.exp(-half), s * math.exp(half))
