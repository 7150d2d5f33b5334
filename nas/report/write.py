"""Writes the report of a run, once or again and again while its search runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from nas.analysis.plots import save
from nas.report.page import REFRESH_S, page, pictures, readings
from nas.report.reading import Reading
from nas.runs.folder import TRIALS
from nas.runs.status import status
from nas.whole_files import folder_for, write_whole


def write_report(
    run: str | Path,
    path: str | Path | None = None,
    *,
    against: str | Path | None = None,
    figures: str | Path | None = None,
    refresh: bool = False,
) -> Path:
    """Write a run up as one HTML file; give its path.

    Args:
        run: run folder.
        path: of the file; default: `report.html` in the run folder.
        against: another run, such as one of random search, whose distribution is drawn beside this one's.
        figures: a folder for the figures, each as SVG and PDF.
        refresh: have the page read itself anew as long as the search runs.
    Raises: ValueError if it is no run folder, or no trial of it has finished and no search is running there.
    """
    reading, other = readings(run, against)
    path = _write(reading, other, path, refresh)
    if figures is not None:
        for picture in pictures(reading, other):
            save(picture.drawn, Path(figures), picture.name)
    return path


def _write(reading: Reading, other: Reading | None, path: str | Path | None, refresh: bool) -> Path:
    text = page(reading, other, refresh=refresh)
    path = Path(path) if path is not None else reading.folder / "report.html"
    with folder_for(path.parent):
        write_whole(path, text.encode("utf-8", "backslashreplace"))
    return path


def watch_report(
    run: str | Path,
    path: str | Path | None = None,
    *,
    against: str | Path | None = None,
    every_s: float = REFRESH_S,
    told: Callable[[Path, str], None] | None = None,
) -> Path:
    """Write a run's report whenever more trials have finished, until its search runs no more; give its path.

    Args:
        run, path, against: as `write_report` has them.
        every_s: seconds between two looks; a report that takes long to write is written less often.
        told: is called with the path and the run's state after each time it was written.
    Raises: ValueError as `write_report` does.
    """
    run, seen = Path(run), None
    while True:
        state, size = status(run).state, (run / TRIALS).stat().st_size if (run / TRIALS).exists() else 0
        began = time.monotonic()
        if (state, size) != seen:
            # A search that was seen running may have ended without a trial: its last page says so.
            may_be_empty = state == "running" or seen is not None
            read = readings(run, against, may_be_empty=may_be_empty)
            written, seen = _write(*read, path, refresh=True), (state, size)
            if told is not None:
                told(written, state)
        if state != "running":
            return written
        time.sleep(max(every_s, 5 * (time.monotonic() - began)))
