"""Whether trainings waited for their data, and what is said of it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

MUCH = 0.1  # share of a training's time waiting for data, from which on it is worth doing something


def about_waiting(shares: Iterable[float | None]) -> str | None:
    """Say in a line how much of their time trainings waited for data; None if that is little or not known.

    Args:
        shares: of each training, [0, 1]; None = not measured.

    >>> about_waiting([0.02, 0.3, None, 0.4])
    'trainings waited for data 30 % of their time, median: what to change is in (docs: faq)'
    >>> about_waiting([0.02, 0.05, 0.4])
    """
    known = [share for share in shares if share is not None]
    if not known or (median := statistics.median(known)) <= MUCH:
        return None
    who, of = ("the training", "its time") if len(known) == 1 else ("trainings", "their time, median")
    return f"{who} waited for data {median * 100:.0f} % of {of}: what to change is in (docs: faq)"
