"""What is good: scores over measurements. Pure functions, no torch.

A reward is a function. Its positional parameters name what it reads: fields of Measurement, or metrics. Its annotated
keyword-only parameters, each with a default, are its settings. So a new one is one file and one line in REWARDS, or
none: `module:function` names one that is anywhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping
from math import isnan, nan
from typing import Any

from rewards.measurement import Measurement
from rewards.mnasnet import mnasnet_hard, mnasnet_soft
from rewards.signature import Reward, make_settings, reads
from rewards.weighted_product import weighted_product
from search_space.lookup import find

REWARDS: dict[str, Reward] = {
    "weighted_product": weighted_product,
    "mnasnet_soft": mnasnet_soft,
    "mnasnet_hard": mnasnet_hard,
}


def find_reward(name: str) -> Reward:
    """Give the reward of that name: a key of REWARDS, or `module:function`. Raises ValueError if there is none."""
    if name not in REWARDS and ":" not in name:
        raise ValueError(f"unknown reward {name!r}; known: {', '.join(REWARDS)}")
    found = find("reward", name, REWARDS)
    if not (callable(found) and isinstance(found, Hashable)):
        raise ValueError(f"reward {name!r} must be a function, got {found!r}")
    return found


def reward(name: str, measurement: Measurement, settings: Mapping[str, Any] | None = None) -> float:
    """Score one candidate by the reward of that name; higher is better.

    Args:
        name: a key of REWARDS, or `module:function`.
        measurement: what was measured of the candidate.
        settings: the reward's settings that shall not keep their default; `reward_settings(name)` lists them.
    Raises: ValueError for an unknown reward or setting, a setting that is not of the annotated type, and a number that
        the reward reads but was not measured: a missing number never becomes a score.
    """
    function, chosen = find_reward(name), reward_settings(name, settings or {})
    read = {field: _measured(measurement, field) for field in reads(function)}
    missing = [field for field, value in read.items() if isnan(value)]
    if missing:
        raise ValueError(f"reward {name} needs {', '.join(missing)}, which was not measured")
    score = function(*read.values(), **chosen)
    try:  # NumPy's numbers and tensors of one element are numbers
        return float(score)
    except (TypeError, ValueError):
        raise ValueError(f"reward {name} must give a number, got {score!r}") from None


def reward_settings(
    name: str, given: Mapping[str, Any] | None = None, *, path: str = "setting {key!r} of reward {name}"
) -> dict[str, Any]:
    """Give all settings of a reward: those given, and the others' defaults.

    Args:
        path: how a message names a setting: its `key` and the reward's `name` are put in.
    Raises: ValueError for an unknown name or setting, or a value that is not of the annotated type.
    """
    function = find_reward(name)
    known = dataclasses.asdict(make_settings(function, {}, str))
    for key in given or {}:
        if key not in known:
            raise ValueError(f"unknown setting {key!r} of reward {name}; known: {', '.join(known)}")
    return dataclasses.asdict(make_settings(function, given or {}, lambda key: path.format(key=key, name=name)))


def _measured(measurement: Measurement, name: str) -> float:
    """A field of the measurement, else the metric of that name; NaN if it is neither."""
    if name in _FIELDS:
        return float(getattr(measurement, name))
    value = measurement.metrics.get(name)
    return nan if value is None else float(value)


_FIELDS = {field.name for field in dataclasses.fields(Measurement)} - {"metrics"}
