"""Plain data -> typed, frozen records, with the path of what is wrong: the only folder that imports pydantic."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import pydantic
from pydantic import TypeAdapter

from search_space import yaml_text
from search_space.lookup import with_hint

Settings = TypeVar("Settings")


def load(path: Path, read: Callable[[Any], Settings]) -> Settings:
    """Read a YAML file and check it with `read`. Raises ValueError that names the file, too."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot read {path}: not UTF-8 at byte {error.start}") from None
    try:
        return read(yaml_text.load(text))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def check_keys(record: Mapping[Any, Any], known: Collection[str], path: str = "") -> None:
    """Raise a ValueError that names the first key which is not known, and the nearest that is."""
    for key in record:
        if key not in known:
            raise ValueError(f"unknown key {with_hint(str(key), known, path)}")


def section(name: str, settings: type[Settings], given: Any) -> Settings:
    """Check one section and fill in its defaults.

    Args:
        settings: a dataclass that checks its own ranges.
        given: a mapping of its fields, a record of it, or None for its defaults.
    Raises: ValueError: one line with the path of the key, its value and what is allowed.
    """
    if isinstance(given, settings):
        return given
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise ValueError(f"{name} must be a mapping, got {given!r}")
    check_keys(given, [field.name for field in dataclasses.fields(settings)], f"{name}.")  # type: ignore[arg-type]
    hints = get_type_hints(settings)
    fields = {key: _setting(f"{name}.{key}", hints[key], value) for key, value in given.items()}
    try:
        return settings(**fields)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _setting(path: str, kind: Any, value: Any) -> Any:
    of_settings = [
        each for each in (kind, *get_args(kind)) if isinstance(each, type) and dataclasses.is_dataclass(each)
    ]
    if not of_settings or (value is None and kind is not of_settings[0]):  # `Settings | None` may be None
        return checked(path, kind, value)
    return section(path, of_settings[0], value)


def checked(path: str, kind: Any, value: Any) -> Any:
    """Check one value, strictly but for lists, which YAML has for tuples."""
    try:
        return TypeAdapter(kind).validate_json(json.dumps(value, default=str), strict=True)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{path}: {first['msg'][0].lower()}{first['msg'][1:]}, got {value!r}") from None


def type_schema(kind: Any) -> dict[str, Any]:
    """Give the JSON schema of the values that `checked` takes for a type."""
    return {key: value for key, value in TypeAdapter(kind).json_schema().items() if key != "title"}


def at_least(low: int, name: str, value: Any) -> int:
    """Check a whole number that may not be below `low`."""
    number: int = checked(name, int, value)
    if number < low:
        raise ValueError(f"{name} must be >= {low}, got {number}")
    return number


def changes(old: Mapping[str, Any], new: Mapping[str, Any], may_change: Collection[str]) -> list[str]:
    """Say where two records differ, `training.epochs: 10 -> 5`, one string a key; but for the keys that may.

    The same change in several items of a list is one string: `space.stages.1,2,3.op: ...`.
    """
    before, after = _flat(old), _flat(new)
    found: dict[tuple[str, ...], list[str]] = {}
    for key in sorted({**before, **after}):
        if before.get(key) != after.get(key) and key not in may_change:
            change = f"{before.get(key, 'not set')!r} -> {after.get(key, 'not set')!r}"
            found.setdefault((_NUMBER.sub("*", key, count=1), change), []).append(key)
    return [f"{_together(keys)}: {change}" for (_, change), keys in found.items()]


def _together(keys: Sequence[str]) -> str:
    """Write keys that differ in the number of an item as one."""
    numbers = ",".join(number[0] for key in keys if (number := _NUMBER.search(key)))
    return _NUMBER.sub(numbers, keys[0], count=1)


_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


def _flat(record: Any, path: str = "") -> dict[str, Any]:
    if isinstance(record, Mapping):
        items = ((f"{path}.{key}" if path else str(key), value) for key, value in record.items())
        return {leaf: value for key, item in items for leaf, value in _flat(item, key).items()}
    if isinstance(record, list | tuple) and any(isinstance(item, Mapping) for item in record):
        items = ((f"{path}.{number}", item) for number, item in enumerate(record, start=1))
        return {leaf: value for key, item in items for leaf, value in _flat(item, key).items()}
    return {path: list(record) if isinstance(record, list | tuple) else record}
