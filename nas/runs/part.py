"""Some lines of a log of trials as columns, and what is read from them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.runs.arrow import columns_in, whole_file
from nas.runs.encoding import Column, decoded, encoded

# Columns of a part that are of the trial, not of the table's row.
OFFSET, LENGTH, CURVE_START, CURVE_SIZE = ":offset", ":length", ":curve_start", ":curve_size"
TRIAL_ID, RUN_ID, ARCH_ID, STATUS, SCORE, DEVICE_S, ENDED_AT = (
    f":{name}" for name in ("trial_id", "run_id", "arch_id", "status", "score", "device_s", "ended_at")
)
METRICS = ":metrics"  # as JSON
ODD = ":odd"  # whether the trial is to be read from its line: the columns alone do not give it
ROW = ":row"  # of a curve's epoch: the trial's place in the part


class Unfit(Exception):
    """A line is no trial, or no plain one: then the lines alone say what the log holds."""


Values = Column | Sequence[Any]  # of a column, MISSING among them


@dataclass(frozen=True)
class Part:
    """Columns of some lines of a log: those of the trial table, of each trial and of the epochs of the curves.

    Columns are named `=reward` for the table's own, `#stage1_op` for the fields of stages, `:offset` for the trial's.
    """

    start: int  # bytes of the log before it
    end: int  # and with it
    lines: int  # that these bytes hold, blank ones included
    rows: int  # trials
    digests: Sequence[tuple[int, str]]  # SHA-256 of the bytes up to each of these ends
    ops: Mapping[str, str]  # that the architectures have, with their options
    first: Mapping[str, int]  # column -> the row in which it comes first; in that order
    made: Mapping[str, Values] = field(default_factory=dict, repr=False)  # the columns, unless they are in a file
    epochs_made: Mapping[str, Values] = field(default_factory=dict, repr=False)
    file: Any = field(default=None, repr=False)  # a pyarrow OSFile
    path: Path | None = None

    def columns(self, names: Sequence[str]) -> dict[str, Column]:
        """Give those of the columns that there are."""
        if self.file is None:
            return {name: encoded(self.made[name]) for name in names if name in self.made}
        return columns_in(self.file, names)

    def values(self, *names: str) -> list[Sequence[Any]]:
        """Give the values of columns that there are."""
        if self.file is None:
            return [_values(self.made[name]) for name in names]
        found = columns_in(self.file, names)
        return [decoded(found[name]) for name in names]

    def epochs(self) -> Mapping[str, Column]:
        """Give the columns of all epochs of all curves."""
        if self.path is None:
            return {name: encoded(values) for name, values in self.epochs_made.items()}
        for path in self.path.parent.glob(f"{self.path.stem}-*.curves"):
            if (file := whole_file(path)) is not None:
                return columns_in(file, None)
        with contextlib.suppress(OSError):
            self.path.unlink()  # to be made anew, with them
        raise Unfit


def _values(values: Values) -> Sequence[Any]:
    return decoded(values) if isinstance(values, Column) else values
