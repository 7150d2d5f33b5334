"""Some lines of a log of trials as columns: how they are made from lines, and what is read from them."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.runs.arrow import columns_in, whole_file
from nas.runs.curve import Curve, OpenLog
from nas.runs.encoding import Column, columns_of, decoded, encoded, joined
from nas.runs.log import Line
from nas.runs.ranking import score
from nas.runs.row import row_of, stages_of
from nas.runs.trial import Trial, wrong_numbers
from search_space.ops import find_op

# Columns of a part that are of the trial, not of the table's row.
OFFSET, LENGTH, CURVE_START, CURVE_SIZE = ":offset", ":length", ":curve_start", ":curve_size"
TRIAL_ID, RUN_ID, ARCH_ID, STATUS, SCORE, DEVICE_S, ENDED_AT = (
    f":{name}" for name in ("trial_id", "run_id", "arch_id", "status", "score", "device_s", "ended_at")
)
ROW = ":row"  # of a curve's epoch: the trial's place in the part


class Unfit(Exception):
    """A line is no trial, or no plain one: then the lines alone say what the log holds."""


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
    made: Mapping[str, Column] = field(default_factory=dict, repr=False)  # the columns, unless they are in a file
    epochs_made: Mapping[str, Column] = field(default_factory=dict, repr=False)
    file: Any = field(default=None, repr=False)  # a pyarrow OSFile
    path: Path | None = None

    def columns(self, names: Sequence[str]) -> dict[str, Column]:
        """Give those of the columns that there are."""
        if self.file is None:
            return {name: self.made[name] for name in names if name in self.made}
        return columns_in(self.file, names)

    def epochs(self) -> Mapping[str, Column]:
        """Give the columns of all epochs of all curves."""
        if self.path is None:
            return self.epochs_made
        for path in self.path.parent.glob(f"{self.path.stem}-*.curves"):
            if (file := whole_file(path)) is not None:
                return columns_in(file, None)
        with contextlib.suppress(OSError):
            self.path.unlink()  # to be made anew, with them
        raise Unfit


def trials(log: Path, found: Sequence[Part]) -> Iterator[Trial]:
    """Give the trials of a log from its parts: the lines are parsed, but for the curves, which wait to be looked at."""
    opened = OpenLog(log)
    names = (OFFSET, LENGTH, CURVE_START, CURVE_SIZE, ARCH_ID)
    for part in found:
        columns = part.columns(names)
        block = opened.read(part.start, part.end - part.start).decode("ascii", errors="surrogateescape")
        for offset, length, start, size, arch_id in zip(*(decoded(columns[name]) for name in names), strict=True):
            begin = offset - part.start
            text = block[begin : begin + length]
            if size:
                record = json.loads(f"{text[:start]}[]{text[start + size :]}")
                curve = Curve(opened, offset + start, size)
                trial = Trial.from_dict(record, curve=curve)
            else:
                trial = Trial.from_dict(json.loads(text.encode("ascii", errors="surrogateescape")))
            vars(trial.architecture)["arch_id"] = arch_id  # a cached property: it takes as long as all the rest
            yield trial


def trial_at(log: Path, part: Part, row: int) -> Trial:
    """Give one trial of a part."""
    start, size = (column.values[row].as_py() for column in part.columns((OFFSET, LENGTH)).values())
    return Trial.from_dict(json.loads(OpenLog(log).read(start, size)))


def trial_with(log: Path, found: Sequence[Part], trial_id: int) -> Trial | None:
    """Give the trial of a number, the last one of a log that has several."""
    for part in reversed(found):
        numbers = decoded(part.columns((TRIAL_ID,))[TRIAL_ID])
        if trial_id in numbers:
            return trial_at(log, part, len(numbers) - 1 - numbers[::-1].index(trial_id))
    return None


# ---- made from lines, and from each other


def made(log: Path, block: Sequence[Line], found: Sequence[Part]) -> Part:
    """Make the columns of lines. Raises Unfit."""
    start, before = (found[-1].end, sum(part.lines for part in found)) if found else (0, 0)
    known: dict[str, list[Any]] = {name: [] for name in _OF_TRIALS}
    rows: list[dict[str, Any]] = []
    epochs: list[Mapping[str, Any]] = []
    of_rows: list[int] = []
    names: set[str] = set()
    for number, line in enumerate(block):
        trial = _plain(line.record)
        rows.append(_named("=", row_of(line.record, trial.architecture)) | _named("#", stages_of(trial.architecture)))
        names.update(stage.op for stage in trial.architecture.stages)
        for name, value in _of_trial(line, trial).items():
            known[name].append(value)
        epochs += trial.curve
        of_rows += [number] * len(trial.curve)
    columns, first = columns_of(rows)
    epoch_columns, _ = columns_of(epochs)
    if {"run_id", "trial_id", "arch_id", ROW} & epoch_columns.keys():
        raise Unfit
    last = block[-1]
    return Part(
        start=start,
        end=last.start + len(last.text) + 1,
        lines=last.number - before,
        rows=len(rows),
        digests=[(last.start + len(last.text) + 1, _digest_of(log, start, block))],
        ops=options_of(names),
        first=first,
        made=columns | {name: encoded(values) for name, values in known.items()},
        epochs_made={ROW: encoded(of_rows)} | epoch_columns,
    )


def _of_trial(line: Line, trial: Trial) -> dict[str, Any]:
    start, size = _curve_in(line)
    return {
        OFFSET: line.start,
        LENGTH: len(line.text),
        CURVE_START: start,
        CURVE_SIZE: size,
        TRIAL_ID: trial.trial_id,
        RUN_ID: trial.run_id,
        ARCH_ID: trial.arch_id,
        STATUS: trial.status,
        SCORE: score(trial),
        DEVICE_S: trial.device_s,
        ENDED_AT: trial.ended_at,
    }


_OF_TRIALS = (
    OFFSET,
    LENGTH,
    CURVE_START,
    CURVE_SIZE,
    TRIAL_ID,
    RUN_ID,
    ARCH_ID,
    STATUS,
    SCORE,
    DEVICE_S,
    ENDED_AT,
)


def _named(sign: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {sign + name: value for name, value in row.items()}


def _plain(record: Mapping[str, Any]) -> Trial:
    """Give a line's trial if it is what a search of today writes. Raises Unfit."""
    if wrong_numbers(record):
        raise Unfit
    try:
        trial = Trial.from_dict(record)
    except ValueError:
        raise Unfit from None
    texts = (trial.run_id, trial.ended_at or "", trial.error or "")
    if not (all(isinstance(text, str) for text in texts) and type(trial.trial_id) is int):
        raise Unfit
    if not all(isinstance(epoch, dict) for epoch in trial.curve):
        raise Unfit
    return trial


def _curve_in(line: Line) -> tuple[int, int]:
    """Where in a line its curve is, and how long; (0, 0) where that is not certain."""
    text, key = line.text, b'"curve":'
    if not line.record.get("curve") or text.count(b'"curve"') != 1 or not text.isascii():
        return 0, 0
    start = text.find(key) + len(key)
    if start < len(key) or text[start : start + 1] != b"[":
        return 0, 0
    curve, end = _DECODER.raw_decode(text.decode("ascii"), start)
    return (start, end - start) if curve == line.record["curve"] else (0, 0)


_DECODER = json.JSONDecoder()


def options_of(names: set[str]) -> dict[str, str]:
    """Give the options of ops: with others the same lines have other columns."""
    return {name: repr(sorted(find_op(name).options.items())) for name in sorted(names)}


def _digest_of(log: Path, start: int, block: Sequence[Line]) -> str:
    """The digest of the bytes that lines were read from; between them may be blank ones. Raises Unfit."""
    digest, opened = hashlib.sha256(), OpenLog(log)
    for line in block:
        if line.start > start:
            blank = opened.read(start, line.start - start)
            if blank.strip():
                raise Unfit  # changed while it was read
            digest.update(blank)
        digest.update(line.text)
        digest.update(b"\n")
        start = line.start + len(line.text) + 1
    return digest.hexdigest()


def together(one: Part, other: Part) -> Part:
    """Put two parts that follow each other into one."""
    lengths, first = (one.rows, other.rows), dict(one.first)
    for name, row in other.first.items():
        first.setdefault(name, one.rows + row)
    names = (*first, *_OF_TRIALS)
    epochs, further = dict(one.epochs()), dict(other.epochs())
    epochs_lengths = len(epochs[ROW].values), len(further[ROW].values)
    further[ROW] = encoded([row + one.rows for row in decoded(further[ROW])])
    return Part(
        start=one.start,
        end=other.end,
        lines=one.lines + other.lines,
        rows=sum(lengths),
        digests=[*one.digests, *other.digests],
        ops={**one.ops, **other.ops},
        first=first,
        made=_joined(names, one.columns(names), other.columns(names), lengths),
        epochs_made=_joined(tuple({**epochs, **further}), epochs, further, epochs_lengths),
    )


def _joined(
    names: Sequence[str], one: Mapping[str, Column], other: Mapping[str, Column], lengths: tuple[int, int]
) -> dict[str, Column]:
    return {name: joined((one.get(name), other.get(name)), lengths) for name in names}
