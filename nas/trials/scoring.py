"""The reward of a trial, from its fields: when it is measured, and again under other settings. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

from rewards import find_reward, reward
from rewards.measurement import Measurement
from rewards.signature import reads


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


def score_error(fields: Mapping[str, Any], name: str, settings: Mapping[str, Any], *, confidence: float) -> float:
    """Give the standard error of a trial's reward: what its accuracy and S leave open, carried through the reward.

    The reward is scored again at both ends of each number's error, all else as it is; the effects add up as squares.
    What has no error in the trial counts as exact: params are, a metric without `NAME_low` and `NAME_high` is taken so.

    Args:
        fields: of a Trial, `reward` among them.
        name, settings: of the reward.
        confidence: of the intervals of S and of metrics.
    Returns: the error, or NaN where it is not known: accuracy has none, an interval has no end, nothing that the reward
        reads has an error, or this reward is not what gave the trial's.
    """
    known = fields.get("reward")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    try:
        if known is None or not math.isclose(score(fields, name, settings), known, rel_tol=1e-6, abs_tol=1e-12):
            return math.nan
        found = [ends for read in reads(find_reward(name)) if (ends := _ends(fields, read, z)) is not None]
        effects = [share * (score(high, name, settings) - score(low, name, settings)) for low, high, share in found]
    except (ValueError, ArithmeticError):  # an end is not known, or the reward has no value there
        return math.nan
    return math.hypot(*effects) if effects else math.nan


_Fields = Mapping[str, Any]


def _ends(fields: _Fields, read: str, z: float) -> tuple[_Fields, _Fields, float] | None:
    """Give the trial at both ends of what one of its numbers may be, and the share of that way which is one error.

    Args:
        read: the number, as rewards call it.
        z: errors from the middle of an interval to its end.
    Returns: None for a number without an error.
    """
    metrics = fields.get("metrics") or {}
    if read == "accuracy":
        accuracy, error = fields["accuracy"], fields.get("accuracy_se") or math.nan
        low, high = max(0.0, accuracy - error), min(1.0, accuracy + error)
        return {**fields, read: low}, {**fields, read: high}, error / (high - low)
    numbers, name = (fields, "s") if read == "step_time" else (metrics, read)
    low, high = numbers.get(f"{name}_low"), numbers.get(f"{name}_high")
    if low is None and high is None:
        return None
    if read == "step_time":
        return {**fields, "s_normalised": low}, {**fields, "s_normalised": high}, 1 / (2 * z)
    return {**fields, "metrics": {**metrics, read: low}}, {**fields, "metrics": {**metrics, read: high}}, 1 / (2 * z)


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
