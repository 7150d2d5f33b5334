"""How far a long loop is: a bar with the time left on a terminal, now and then a log line elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

logger = logging.getLogger(__name__)
T = TypeVar("T")
LOG_EVERY_S = 30.0


def track(steps: Iterable[tuple[int, T]], total: int, what: str, show: bool, before: int = 0) -> Iterator[T]:
    """Pass on the items of `steps` while telling how far they are.

    Args:
        steps: (how many units this item completes, the item).
        total: units in all.
        what: the loop's name.
        show: whether to draw a bar, if standard error is a terminal.
        before: units that were done before, and do not tell how quick it goes.
    """
    console = Console(stderr=True)
    if show and console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(what, total=total, completed=before)
            for units, item in steps:
                bar.advance(task, units)
                yield item
        return
    done, started = before, time.monotonic()
    logged = started
    for units, item in steps:
        done += units
        now = time.monotonic()
        if now - logged >= LOG_EVERY_S:
            left_s = (now - started) * (total - done) / (done - before)
            logger.info("%s: %d of %d, %.0f s left", what, done, total, left_s)
            logged = now
        yield item
