"""The report of a run as one HTML page that needs nothing outside itself."""

from __future__ import annotations

import html
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from nas.report import found, outlook, searched, studies, why
from nas.report.figures import Picture
from nas.report.markup import paragraph
from nas.report.reading import Reading, read
from nas.report.trial_table import trial_table
from nas.runs.folder import is_locked

REFRESH_S = 30  # of a page that is written anew while the search runs


def report(run: str | Path, *, against: str | Path | None = None, refresh: bool = False) -> str:
    """Write a run up as HTML without links to anything outside.

    Args:
        run: run folder.
        against: another run, such as one of random search, whose distribution is drawn beside this one's.
        refresh: have the page read itself anew as long as the search runs, for it is written anew.
    Raises: ValueError if it is no run folder, or no trial of it has finished and no search is running there.
    """
    return page(*readings(run, against), refresh=refresh)


def readings(
    run: str | Path, against: str | Path | None = None, *, may_be_empty: bool = False
) -> tuple[Reading, Reading | None]:
    """Read a run, and the one it is compared with. Raises ValueError as `report` does, if it may not be empty."""
    folder = Path(run)
    reading = read(folder)
    if reading.frame.empty and not may_be_empty and not is_locked(folder):
        raise ValueError(f"{folder}: {reading.why_none}")
    return reading, None if against is None else read(Path(against))


def page(reading: Reading, other: Reading | None = None, *, refresh: bool = False) -> str:
    """Give the page of a run that was read; see `report`."""
    title, style = html.escape(reading.name), _file("page.css")
    running = reading.status.state == "running"
    again = f"setTimeout(() => location.reload(), {REFRESH_S * 1000});" if refresh and running else ""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><style>{style}</style></head>\n'
        f"<body><main>{''.join(_parts(reading, other))}</main>\n"
        f"<script>{_file('trials.js')}{again}</script></body></html>\n"
    )


def pictures(reading: Reading, other: Reading | None = None) -> list[Picture]:
    """Give the figures of a run's page; none where nothing has finished."""
    if reading.frame.empty:
        return []
    drawn = [*found.pictures(reading), *outlook.pictures(reading), *why.pictures(reading)]
    return [*drawn, *why.pictures_against(reading, other), *studies.pictures(reading)]


def _parts(reading: Reading, other: Reading | None) -> Iterator[str]:
    yield found.head(reading)
    yield searched.space(reading)
    if reading.frame.empty:
        yield paragraph("No trial has finished yet.")
        return
    yield found.result(reading)
    yield found.certainty(reading)
    yield outlook.outlook(reading)
    yield why.decisions(reading)
    yield found.trade_off(reading)
    yield why.against(reading, other)
    yield studies.studies(reading)
    yield trial_table(reading)
    yield found.failures(reading)
    yield searched.settings(reading)


def _file(name: str) -> str:
    return files("nas.report").joinpath(name).read_text(encoding="utf-8")
