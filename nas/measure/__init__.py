"""The only timing code: step time, reference, device lock, memory; and what else is measured of a candidate.

A measurer is a function of a Subject that gives numbers by name; they become the trial's metrics, and columns.
`measure: [inference]` in a configuration names it: a key of MEASURERS, or `module:function`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nas.measure.subject import Subject
from search_space.lookup import find

Measurer = Callable[[Subject], dict[str, float]]

# Name in a configuration -> the measurer, or `module:function` where it is, for each needs torch.
MEASURERS: dict[str, Measurer | str] = {"inference": "nas.measure.inference:inference"}


def find_measurers(names: Iterable[str]) -> list[Measurer]:
    """Give the measurers of these names. Raises ValueError for one that is unknown or cannot be imported."""
    found = {name: find("measurer", name, MEASURERS) for name in names}
    made = {name: find("measurer", one, {}) if isinstance(one, str) else one for name, one in found.items()}
    for name, measurer in made.items():
        if not callable(measurer):
            raise ValueError(f"measurer {name!r} must be a function, got {measurer!r}")
    return list(made.values())


__all__ = ["MEASURERS", "Measurer", "Subject", "find_measurers"]
