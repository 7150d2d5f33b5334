"""The record of everything a reward may look at, and the checks that rewards share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, nan


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
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)  # what else was measured, by name


def check_accuracy(accuracy: float) -> None:
    """Raise a ValueError unless the accuracy is a number in [0, 1]."""
    if not 0 <= accuracy <= 1:  # NaN fails as well
        raise ValueError(f"accuracy must be in [0, 1], got {accuracy!r}")


def check_positive(name: str, value: float) -> None:
    """Raise a ValueError that names the value unless it is positive and finite."""
    if not (value > 0 and isfinite(value)):
        raise ValueError(f"{name} must be positive and finite, got {value!r}")
