"""The record of everything a reward may look at."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan


@dataclass(frozen=True)
class Measurement:
    """What was measured of one trained candidate, beside the reference network of the search. NaN = not measured."""

    accuracy: float = nan  # top-1 on the minival split, in [0, 1]
    step_time: float = nan  # training step time over the reference network's, no unit (the paper's S, normalised)
    params: float = nan  # parameters over the reference network's, no unit (the paper's P, normalised)
    step_time_s: float = nan  # median training step, seconds
    step_time_spread: float = nan  # half-width of the interval of `step_time`, relative
    reference_step_time_s: float = nan  # median training step of the reference network, seconds
    params_count: float = nan  # parameters
    macs: float = nan  # multiply-accumulates of one image
    peak_memory_mb: float = nan  # of a training step, MiB
