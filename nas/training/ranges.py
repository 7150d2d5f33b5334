"""What a setting may be; each check names the setting, its value and what is allowed. No torch."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from search_space.lookup import with_hint


def check_range(
    settings: object, name: str, *, lowest: float, below: float = math.inf, open_below: bool = False
) -> None:
    """Refuse a number outside [lowest, below), or (lowest, below) if `open_below`; None is no number and passes."""
    value = getattr(settings, name)
    if value is None:
        return
    high_enough = value > lowest if open_below else value >= lowest
    if not (high_enough and value < below):
        lower = f"> {lowest:g}" if open_below else f">= {lowest:g}"
        upper = "finite" if below == math.inf else f"< {below:g}"
        raise ValueError(f"{name} must be {lower} and {upper}, got {value!r}")


def check_choice(settings: object, choices: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse what is not among a setting's choices."""
    for name, known in choices.items():
        if getattr(settings, name) not in known:
            raise ValueError(f"unknown {name} {getattr(settings, name)!r}; known: {', '.join(known)}")


def check_named(settings: object, name: str, known: Iterable[str]) -> None:
    """Refuse what is neither a known name nor the address, `module:Name`, of a thing in another package."""
    value = getattr(settings, name)
    if value not in known and not re.fullmatch(r"[\w.]+:[\w.]+", value):
        raise ValueError(f"unknown {name} {with_hint(value, known)}, or module:Name of one's own")
