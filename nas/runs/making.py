"""How a part of an index is made: from lines of a log, or from two others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from nas.runs.curve import OpenLog
from nas.runs.encoding import Column, columns_of, decoded, encoded, joined
from nas.runs.log import Line
from nas.runs.part import (
    ARCH_ID,
    CURVE_SIZE,
    CURVE_START,
    DEVICE_S,
    ENDED_AT,
    LENGTH,
    METRICS,
    ODD,
    OFFSET,
    ROW,
    RUN_ID,
    SCORE,
    STATUS,
    TRIAL_ID,
    Part,
    Unfit,
    Values,
)
from nas.runs.ranking import score
from nas.runs.rebuilt import rebuilt
from nas.runs.row import row_of, stages_of
from nas.runs.trial import Trial, wrong_numbers
from search_space.ops import find_op


def made(log: Path, block: Sequence[Line], found: Sequence[Part]) -> Part:
    """Make the columns of lines. Raises Unfit."""
    start, before = (found[-1].end, sum(part.lines for part in found)) if found else (0, 0)
    known: dict[str, list[Any]] = {name: [] for name in _OF_LINES}
    trials: list[Trial] = []
    rows: list[dict[str, Any]] = []
    epochs: list[Mapping[str, Any]] = []
    of_rows: list[int] = []
    names: set[str] = set()
    for number, line in enumerate(block):
        trial = _plain(line.record)
        trials.append(trial)
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
    part = Part(
        start=start,
        end=last.start + len(last.text) + 1,
        lines=last.number - before,
        rows=len(rows),
        digests=[(last.start + len(last.text) + 1, _digest_of(log, start, block))],
        ops=options_of(names),
        first=first,
        made={**columns, **known},
        epochs_made={ROW: of_rows, **epoch_columns},
    )
    pairs = zip(trials, rebuilt(part), known[CURVE_SIZE], strict=True)
    odd = [not _alike(trial, again) or bool(trial.curve and not size) for trial, again, size in pairs]
    return replace(part, made={**part.made, ODD: odd})


def _alike(trial: Trial, again: Trial) -> bool:
    """Whether a trial is the same, but for its curve, and so is the type of each value."""
    pairs = ((getattr(trial, name), getattr(again, name)) for name in _COMPARED)
    return all(type(a) is type(b) and (a == b if type(a) is not dict else repr(a) == repr(b)) for a, b in pairs)


_COMPARED = tuple(f.name for f in fields(Trial) if f.name != "curve")


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
        METRICS: json.dumps(trial.metrics) if trial.metrics else None,
    }


_OF_LINES = (
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
    METRICS,
)
_OF_TRIALS = (*_OF_LINES, ODD)


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
) -> dict[str, Values]:
    return {name: joined((one.get(name), other.get(name)), lengths) for name in names}
