"""Which settings may change between the parts of a run: said at the field. No torch."""

from __future__ import annotations

import dataclasses
from typing import Any

_MAY_CHANGE, _LOCATES = "may_change", "locates"
LOCATES = {_LOCATES: True}  # metadata of a field that has a factory; see `locates`


def may_change(default: Any) -> Any:
    """Declare a field of a settings dataclass that changes no number: a run may go on with another value of it.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Settings:
    ...     batch_size: int = 128
    ...     threads: int | None = may_change(None)
    >>> sorted(may_change_fields(Settings))
    ['threads']
    """
    return dataclasses.field(default=default, metadata={_MAY_CHANGE: True})


def locates(default: Any) -> Any:
    """Declare a field that says where data lie, or how they are kept: a run may go on with another if they are equal.

    Whether it is, the fingerprint of pixels, labels and splits tells; without one the value must be the same.
    """
    return dataclasses.field(default=default, metadata=LOCATES)


def locating_fields(settings: type[Any]) -> frozenset[str]:
    """Give the names of the fields of a settings dataclass that say where data lie."""
    return frozenset(each.name for each in dataclasses.fields(settings) if each.metadata.get(_LOCATES))


def may_change_fields(settings: type[Any]) -> frozenset[str]:
    """Give the names of the fields of a settings dataclass that were declared so."""
    return frozenset(each.name for each in dataclasses.fields(settings) if each.metadata.get(_MAY_CHANGE))
