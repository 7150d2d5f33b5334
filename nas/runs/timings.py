"""The timings of a search that times several candidates for each one that it trains: `timings.jsonl`, a line each.

A line has the columns of a trial, with the status `timed` or why it could not be timed, and no accuracy; `trial_id`
counts from -1 down, and `after` says how many trials had been told before it. They are no trials: nothing that reads
`trials.jsonl` meets them. What was trained has its timing's columns in its own line, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from nas.runs.folder import TIMINGS
from nas.runs.log import read_lines
from nas.runs.trial import Trial

TIMED = "timed"  # the status of a timing that there is


class Timing(NamedTuple):
    """One of them."""

    trial: Trial
    after: int  # trials of the log that were told before it


def read_timings(run: Path) -> list[Timing]:
    """Read a run's timings; none where it has none.

    Raises: ValueError if a line is no timing.
    """
    log = run / TIMINGS
    if not log.exists():
        return []
    return [Timing(Trial.from_dict(record), int(record.get("after", 0))) for record in read_lines(log)]


def as_told(trials: Sequence[Trial], timings: Iterable[Timing]) -> Iterator[Trial]:
    """Give trials and timings in the order in which they were told."""
    told = 0
    for timing in timings:
        yield from trials[told : max(told, timing.after)]
        told = max(told, timing.after)
        yield timing.trial
    yield from trials[told:]
