"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any


def short(value: float) -> str:
    """12345678 -> 12.3M, as in papers."""
    for unit, size in (("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g}{unit}" if abs(value) < 999.5 * size else f"{value / size:.0f}{unit}"
    return f"{value:.3g}"


def fixed(digits: int) -> Callable[[Any], str]:
    """Numbers with that many digits behind the point."""
    return lambda value: f"{value:,.{digits}f}"


def times(value: float) -> str:
    """Write a multiple: 3.0 -> 3x."""
    return f"{value:.3g}x"


def duration(seconds: float) -> str:
    """3725 -> 1:02:05."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def listed(words: Iterable[str]) -> str:
    """Name several: 1, 2 and 4."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def bars(values: Sequence[float]) -> str:
    """A bar for each value, from the lowest for nothing to the highest for the largest of them."""
    largest = max([*values, 0.0])
    return "".join(_BARS[round(value / largest * (len(_BARS) - 1))] if largest else _BARS[0] for value in values)


def bar(share: float, width: int) -> str:
    """A share of 1 as a lying bar, `width` characters for all of it."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8]


_EIGHTHS: tuple[str, ...] = ("", *"▏▎▍▌▋▊▉")
_BARS = "▁▂▃▄▅▆▇█"
