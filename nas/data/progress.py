"""How far a long loop is: a bar with the time left on a terminal, now and then a log line elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

logger = logging.getLogger(__name__)
LOG_EVERY_S = 30.0


@contextmanager
def tracking(total: int, what: str, show: bool, before: int = 0) -> Iterator[Callable[[int], None]]:
    """Tell how far a loop is: what this gives is called with how many units more are done.

    Args:
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
            yield lambda units: bar.advance(task, units)
        return
    done, started = before, time.monotonic()
    logged = started

    def advance(units: int) -> None:
        nonlocal done, logged
        done += units
        now = time.monotonic()
        if now - logged >= LOG_EVERY_S:
            left_s = (now - started) * (total - done) / (done - before)
            logger.info("%s: %d of %d, %.0f s left", what, done, total, left_s)
            logged = now

    yield advance
