"""The reward of a trial, from its fields: when it is measured, and again under other settings. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rewards import reward
from rewards.measurement import Measurement


@dataclass(frozen=True)
class RewardSettings:
    """Which reward and its settings, such as `w` and `v` of `weighted_product`."""

    name: str = "weighted_product"  # a key of REWARDS, or module:function
    settings: dict[str, Any] = field(default_factory=dict)


def score(fields: Mapping[str, Any], name: str, settings: Mapping[str, Any]) -> float:
    """Score a trial.

    Args:
        fields: of a Trial; what is None or missing was not measured.
        name, settings: of the reward.
    Raises: ValueError if the reward reads what was not measured, or refuses its settings.
    """
    return reward(name, measurement(fields), settings)


def measurement(fields: Mapping[str, Any]) -> Measurement:
    """Give what a reward may look at, from the fields of a Trial."""

    def known(name: str, factor: float = 1.0) -> float:
        value = fields.get(name)
        return math.nan if value is None else float(value) * factor

    s = known("s_normalised")
    return Measurement(
        accuracy=known("accuracy"),
        step_time=s,
        params=known("p_normalised"),
        step_time_s=known("step_time_ms", 1e-3),
        step_time_spread=(known("s_high") - known("s_low")) / 2 / s if s else math.nan,
        reference_step_time_s=known("reference_step_time_ms", 1e-3),
        params_count=known("params"),
        macs=known("macs"),
        peak_memory_mb=known("peak_memory_mb"),
        metrics=fields.get("metrics") or {},
    )
