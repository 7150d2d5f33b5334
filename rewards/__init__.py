"""What is good: scores over measurements. Pure functions, no torch.

A reward is a function. Its positional parameters name the fields of Measurement that it reads; its keyword-only
parameters, numbers with a default, are its settings. So a new one is one file and one line in REWARDS.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from math import isfinite, isnan
from typing import Any

from rewards.measurement import Measurement
from rewards.mnasnet import mnasnet_hard, mnasnet_soft
from rewards.weighted_product import weighted_product

REWARDS: dict[str, Callable[..., float]] = {
    "weighted_product": weighted_product,
    "mnasnet_soft": mnasnet_soft,
    "mnasnet_hard": mnasnet_hard,
}


def reward(name: str, measurement: Measurement, settings: Mapping[str, Any] | None = None) -> float:
    """Score one candidate by the reward of that name; higher is better.

    Args:
        measurement: what was measured of the candidate.
        settings: the reward's settings that shall not keep their default; `reward_settings(name)` lists them.
    Raises: ValueError for an unknown reward or setting, a setting that is not a finite number, and a field that the
        reward reads but was not measured: a missing number never becomes a score.
    """
    known = reward_settings(name)
    for key, value in (settings or {}).items():
        if key not in known:
            raise ValueError(f"unknown setting {key!r} of reward {name}; known: {', '.join(known)}")
        if not is_finite_number(value):
            raise ValueError(f"setting {key!r} of reward {name} must be a finite number, got {value!r}")
    read = {field: getattr(measurement, field) for field in _parameters(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)}
    missing = [field for field, value in read.items() if isnan(value)]
    if missing:
        raise ValueError(f"reward {name} needs {', '.join(missing)}, which was not measured")
    return REWARDS[name](**read, **(settings or {}))


def is_finite_number(value: Any) -> bool:
    """Whether a setting's value is a number, which `true`, text and infinity are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def reward_settings(name: str) -> dict[str, float]:
    """Give the settings of a reward with their defaults. Raises ValueError for an unknown name."""
    return {key: parameter.default for key, parameter in _parameters(name, inspect.Parameter.KEYWORD_ONLY).items()}


def _parameters(name: str, kind: Any) -> dict[str, inspect.Parameter]:
    if name not in REWARDS:
        raise ValueError(f"unknown reward {name!r}; known: {', '.join(REWARDS)}")
    return {key: p for key, p in inspect.signature(REWARDS[name]).parameters.items() if p.kind == kind}
