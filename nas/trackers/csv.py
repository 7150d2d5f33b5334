"""Writes a CSV file beside the log: a row a finished trial, or a row an epoch of a full training."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.runs.trial import Trial
from nas.trackers.callback import Callback, SearchInfo, TrainingInfo
from nas.trackers.record import decisions
from nas.whole_files import write_whole
from search_space.space import SearchSpace

Row = Mapping[str, Any]
_LEFT_OUT = ("curve", "metrics", "proposal", "parents", "architecture")  # no single value, or a column of its own below


class CSV(Callback):
    """`trials.csv` with one column a decision, as `nas trials --format csv` has them; `metrics.csv` of a training.

    The file is written whole when a search begins or goes on, so it always agrees with the log; then a row is appended
    for each trial, unless it has a number that none had before: then all is written anew under a longer header.
    """

    live = False

    def on_search_begin(self, search: SearchInfo) -> None:
        """Write the rows of the trials that there are."""
        self.space = SearchSpace.from_dict(search.config["space"])
        self.table = _Table(search.folder / "trials.csv", [self._row(trial) for trial in search.trials])

    def on_trial_end(self, trial: Trial) -> None:
        """Add its row."""
        self.table.append(self._row(trial))

    def on_train_begin(self, training: TrainingInfo) -> None:
        """Write the rows of the epochs that there are."""
        self.table = _Table(training.folder / "metrics.csv", [_epoch_row(epoch) for epoch in training.curve])

    def on_epoch(self, epoch: Mapping[str, Any], trial_id: int | None = None) -> None:
        """Add its row."""
        self.table.append(_epoch_row(epoch))

    def _row(self, trial: Trial) -> Row:
        row = {key: value for key, value in trial.to_dict().items() if key not in _LEFT_OUT}
        row |= dict(trial.metrics) | decisions(self.space, trial.architecture)
        return row | {
            "architecture": trial.architecture.to_json(),
            "parents": " ".join(trial.parents),
            "proposal": json.dumps(dict(trial.proposal)),
        }


def _epoch_row(epoch: Mapping[str, Any]) -> Row:
    return {key: value for key, value in epoch.items() if key != "metrics"} | dict(epoch.get("metrics") or {})


class _Table:
    """A CSV file and its rows."""

    def __init__(self, path: Path, rows: list[Row]) -> None:
        self.path, self.rows = path, rows
        self._write()

    def append(self, row: Row) -> None:
        self.rows.append(row)
        if row.keys() <= set(self.names):
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self.names, lineterminator="\n").writerow(row)
        else:
            self._write()

    def _write(self) -> None:
        self.names = list(dict.fromkeys(key for row in self.rows for key in row))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.names, lineterminator="\n")
        if self.names:
            writer.writeheader()
        writer.writerows(self.rows)
        write_whole(self.path, text.getvalue())
