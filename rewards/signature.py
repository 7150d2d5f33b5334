"""What a reward's signature says: the numbers it reads, and its settings as a frozen dataclass."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from copy import copy
from functools import cache, partial
from typing import Any

from search_space.typed import type_hints, typed

Reward = Callable[..., float]


@cache
def reads(function: Reward) -> tuple[str, ...]:
    """Give the names of its positional parameters: fields of Measurement, or metrics."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(name for name, p in inspect.signature(function).parameters.items() if p.kind in kinds)


@cache
def settings_class(function: Reward) -> type[Any]:
    """Make a frozen dataclass of its keyword-only parameters, once for each reward.

    A setting without an annotation is of its default's type; a number then takes any number.

    Raises: ValueError for a setting without a default, or an annotation that names nothing.
    """
    title = getattr(function, "__name__", repr(function))
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    hints = type_hints(function, f"reward {title}")
    if missing := [p.name for p in parameters if p.default is p.empty]:
        raise ValueError(f"setting {missing[0]!r} of reward {title} has no default")
    settings = [
        (p.name, hints.get(p.name, _kind(p.default)), dataclasses.field(default_factory=partial(copy, p.default)))
        for p in parameters
    ]
    return dataclasses.make_dataclass("RewardSettings", settings, frozen=True)


def _kind(default: Any) -> Any:
    number = isinstance(default, int | float) and not isinstance(default, bool)
    return float if number else Any if default is None else type(default)


def make_settings(function: Reward, given: Mapping[str, Any], name: Callable[[str], str]) -> Any:
    """Give an instance of its settings, with defaults for what is not given.

    Args:
        given: of settings that the reward has.
        name: says how a message names a setting.
    Raises: ValueError that names the first value which is not of the annotated type; numbers are finite.
    """
    settings = settings_class(function)
    kinds = {field.name: field.type for field in dataclasses.fields(settings)}
    return settings(**{key: typed(name(key), kinds[key], value, finite=True) for key, value in given.items()})
