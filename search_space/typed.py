"""Values against type hints, to the leaf: for settings that code of the user's declares. In words, without pydantic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def type_hints(of: Any, title: str) -> dict[str, Any]:
    """Give the annotations of a function or class of the user's. Raises ValueError if one names nothing."""
    try:
        return get_type_hints(of)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:  # imported for the type checker alone, say
        raise ValueError(f"annotations of {title} cannot be read: {error}") from None


def typed(name: str, kind: Any, value: Any, *, finite: bool = False) -> Any:
    """Give a value as its type hint has it: an int for a float, a list for a tuple, and 20.0 for an int are read.

    Args:
        name: of the value, for messages.
        kind: bool, int, float, str, Literal, tuple of these, a union of these; of anything else the class is checked.
        finite: whether numbers must be finite.
    Raises: ValueError: one line with name, value and what is allowed.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _any_of(name, parts, value, finite)
    if origin is Literal:
        if not any(value == part and type(value) is type(part) for part in parts):
            raise ValueError(f"{name} must be one of {', '.join(map(str, parts))}, got {value!r}")
        return value
    if kind is tuple or origin is tuple:
        return _tuple(name, parts, value, finite)
    if kind in (int, float):
        return _number(name, kind, value, finite)
    if kind is Any:
        return value
    expected = origin or kind
    if isinstance(expected, type) and not isinstance(value, expected):
        raise ValueError(f"{name} must be {_WORDS.get(expected, f'a {expected.__name__}')}, got {value!r}")
    return value


def _any_of(name: str, parts: tuple[Any, ...], value: Any, finite: bool) -> Any:
    errors = []
    for part in parts:
        try:
            return typed(name, part, value, finite=finite)
        except ValueError as error:
            errors.append(error)
    raise errors[0]


def _tuple(name: str, parts: tuple[Any, ...], value: Any, finite: bool) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name} must be a list, got {value!r}")
    if not parts or parts[-1] is ...:
        parts = (parts[0] if parts else Any,) * len(value)
    if len(parts) != len(value):
        raise ValueError(f"{name} must be a list of {len(parts)}, got {value!r}")
    items = zip(parts, value, strict=True)
    return tuple(typed(f"{name}[{i}]", part, item, finite=finite) for i, (part, item) in enumerate(items))


def _number(name: str, kind: type[int] | type[float], value: Any, finite: bool) -> int | float:
    known = isinstance(value, int | float) and not isinstance(value, bool) and _is_float(value)
    if not known or (finite and not math.isfinite(value)):
        raise ValueError(f"{name} must be {'a finite number' if finite else 'a number'}, got {value!r}")
    if kind is int and not float(value).is_integer():
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    return kind(value)


def _is_float(value: float) -> bool:
    try:
        float(value)
    except OverflowError:  # an int beyond all floats
        return False
    return True


_WORDS: Mapping[type, str] = {bool: "true or false", str: "text", NoneType: "null"}
