"""A run as the two tables that DeepCAVE reads, its format "DataFrame": configspace.csv and trials.csv.

Source: DeepCAVE's docs/converters/dataframe.rst; Sass et al. 2022 (arXiv:2206.03493).
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from nas.export.study import Parameter, RunRecord, read_record
from nas.runs.columns import column
from nas.runs.trial import NUMBERS, Trial
from nas.whole_files import folder_for, write_whole

_STATUSES = {
    "ok": "success",
    "failed": "crashed",
    "oom": "memoryout",
    "nan": "failed",
    "timeout": "timeout",
    "pruned": "pruned",
    "interrupted": "aborted",
}
_OWN = ("seed",)  # columns of trials that DeepCAVE has, too


def export_deepcave(run: os.PathLike[str] | str, folder: os.PathLike[str] | str) -> tuple[Path, ...]:
    """Write a run as DeepCAVE's `configspace.csv` and `trials.csv`; they need neither DeepCAVE nor ConfigSpace.

    Its format knows no conditions: an option that the chosen op has not stands at its first choice. Trials of
    architectures that are not of the run's space are left out.

    Args:
        run: its folder, or a Run.
        folder: made if it is not there; what DeepCAVE then calls the run. Files in it of these names are replaced.
    Returns: the files.
    Raises: ValueError if it is no run folder.
    """
    record, folder = read_record(Path(run)), Path(folder)
    tables = {"configspace.csv": _space_rows(record.parameters), "trials.csv": list(_trial_rows(record))}
    with folder_for(folder):
        for name, rows in tables.items():
            write_whole(folder / name, _csv(rows))
    return tuple(folder / name for name in tables)


def _space_rows(parameters: Sequence[Parameter]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for one in parameters:
        row: dict[str, Any] = {"name": one.name, "log": False}
        if one.step == 1:
            row |= {"type": "integer", "lower": one.choices[0], "upper": one.choices[-1]}
        else:
            items = [_item(choice) for choice in one.choices]
            row |= {"type": "categorical", "default": items[0], "ordered": not isinstance(one.choices[0], str)}
            row |= {f"item_{number}": item for number, item in enumerate(items)}
        rows.append(row)
    first = ("name", "type", "log", "lower", "upper", "default", "distribution", "ordered")
    return [{**dict.fromkeys(first), **row} for row in rows]


def _item(choice: Any) -> str:
    """A category as text that stays one: pandas would read 3 as a number, of which DeepCAVE has no category."""
    return choice if isinstance(choice, str) else f"'{choice}'"


def _trial_rows(record: RunRecord) -> Iterator[dict[str, Any]]:
    steps, clock = {one.name: one.step for one in record.parameters}, 0.0
    known = [trial for trial in record.trials if trial.status == "ok"]
    for trial in record.trials:
        chosen = record.chosen(trial, inactive=True)
        if chosen is None:
            continue
        start, end = _times(trial, clock)
        clock = end
        row: dict[str, Any] = {"config_id": trial.trial_id}
        row |= {name: value if steps[name] == 1 else _item(value) for name, value in chosen.items()}
        values: list[Any] = record.values(trial) or [None] * len(record.objectives)
        heads = (_metric(name, more, known) for name, more in record.objectives.items())
        row |= dict(zip(heads, values, strict=True))
        status = "failed" if trial.status == "ok" and None in values else _STATUSES[trial.status]
        row |= {"status": status, "start_time": start, "end_time": end, "budget": len(trial.curve) or trial.epochs}
        row |= {"seed": trial.seed, "arch_id": trial.arch_id, "error": trial.error}
        others = {name: getattr(trial, name) for name in NUMBERS if name not in (*_OWN, *record.objectives)} | dict(
            trial.metrics
        )
        yield row | {name: value for name, value in others.items() if not name.startswith("metric")}


def _metric(name: str, more: bool, trials: Sequence[Trial]) -> str:
    """An objective's heading, with bounds: those of the column, where it has any, else of the trials."""
    line, values = column(name), [float(trial.get(name)) for trial in trials if trial.get(name) is not None]
    low = line.low if line.low is not None else min(values, default=0.0)
    high = line.high if line.high is not None else max(values, default=1.0)
    low, high = math.floor(low * 1e6) / 1e6, math.ceil(high * 1e6) / 1e6  # DeepCAVE reads no exponents
    return f"metric:{name} [{low:f}; {high:f}] ({'maximize' if more else 'minimize'})"


def _times(trial: Trial, clock: float) -> tuple[float, float]:
    """When a trial began and ended, s; where that is not known, it followed the one before."""
    if trial.started_at and trial.ended_at:
        start, end = (datetime.fromisoformat(text).timestamp() for text in (trial.started_at, trial.ended_at))
        return start, end
    return clock, clock + (trial.wall_s or 0.0)


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
