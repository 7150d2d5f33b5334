"""A log of trials as columns in a hidden folder beside it: a cache, which the lines of the log always overrule.

A long log takes seconds to parse, its columns a fraction of one. The columns are kept in parts, each of some megabytes
of lines, whose SHA-256 stands in it: a part counts only while the log has these very bytes, and the part itself is
whole. What no part covers is read from the lines. Parts are written under another name and renamed, so that two readers
or a `kill -9` leave whole ones; where nothing can be written there are none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from nas.runs.curve import Curve, OpenLog
from nas.runs.encoding import Column, columns_of, decoded, encoded, joined
from nas.runs.log import LARGE, Line, lines
from nas.runs.ranking import score
from nas.runs.row import row_of, stages_of
from nas.runs.trial import Trial, wrong_numbers
from search_space.ops import find_op

FOLDER = ".index"
_VERSION = 1  # of what a part holds
_BLOCK = 32 << 20  # bytes of lines in a part, about

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
        return _columns_in(self.file, names)

    def epochs(self) -> Mapping[str, Column]:
        """Give the columns of all epochs of all curves."""
        if self.path is None:
            return self.epochs_made
        for path in self.path.parent.glob(f"{self.path.stem}-*.curves"):
            if (file := _whole_file(path)) is not None:
                return _columns_in(file, None)
        with contextlib.suppress(OSError):
            self.path.unlink()  # to be made anew, with them
        raise Unfit


def parts(log: Path) -> list[Part] | None:
    """Give a large log as parts, made from the lines where there are none yet; None if the lines must be read.

    Raises: ValueError as `nas.runs.log.read_lines` does.
    """
    found = list(_covering(log))
    try:
        for block in _blocks(log, found):
            part = _made(log, block, found)
            found.append(_kept(log, part, found) if part.end - part.start >= LARGE else part)
    except Unfit:
        return None
    return found or None


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


# ---- made from lines


def _blocks(log: Path, found: Sequence[Part]) -> Iterator[list[Line]]:
    """Give the lines behind the parts, some megabytes at a time."""
    block: list[Line] = []
    start, before = (found[-1].end, sum(part.lines for part in found)) if found else (0, 0)
    for line in lines(log, start=start, before=before):
        block.append(line)
        if line.start + len(line.text) - block[0].start >= _BLOCK:
            yield block
            block = []
    if block:
        yield block


def _made(log: Path, block: Sequence[Line], found: Sequence[Part]) -> Part:
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
        ops=_options(names),
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


def _options(names: set[str]) -> dict[str, str]:
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


# ---- on disk


def _covering(log: Path) -> Iterator[Part]:
    """Give the parts on disk that fit together and are of the log as it is."""
    folder = log.parent / FOLDER
    by_start: dict[int, list[tuple[int, Path]]] = {}
    for path in folder.glob(f"{log.name}-*.arrow") if folder.is_dir() else ():
        if match := _NAME.fullmatch(path.name.removeprefix(f"{log.name}-")):
            by_start.setdefault(int(match[1]), []).append((int(match[2]), path))
    end = 0
    while end in by_start:
        found = (_opened(path, log, end) for _, path in sorted(by_start[end], reverse=True))
        part = next((one for one in found if one is not None), None)
        if part is None:
            return
        yield part
        end = part.end


_NAME = re.compile(r"(\d+)-(\d+)-[0-9a-f]{16}\.arrow")


def _opened(path: Path, log: Path, start: int) -> Part | None:
    """Open a part, if it is whole and the log still has its lines."""
    try:
        file = _whole_file(path)
        if file is None:
            return None
        about = json.loads(pa.ipc.open_file(file).schema.metadata[b"nas"])
        part = Part(**about["part"], file=file, path=path)
        alike = about["version"] == _VERSION and part.start == start and part.ops == _options(set(part.ops))
        return part if alike and _has_lines(log, part) else None
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None


def _whole_file(path: Path) -> Any:
    """Open a file whose name ends with the digest of what it holds; None if it holds something else."""
    try:
        file = pa.OSFile(str(path))
        return file if path.stem.endswith(hashlib.sha256(file.readall()).hexdigest()[:16]) else None
    except OSError:
        return None


def _has_lines(log: Path, part: Part) -> bool:
    start = part.start
    for end, known in part.digests:
        if _digest(log, start, end) != known:
            return False
        start = end
    return start == part.end


def _digest(log: Path, start: int, end: int) -> str:
    digest, buffer = hashlib.sha256(), bytearray(1 << 20)
    with log.open("rb", buffering=0) as file:
        file.seek(start)
        while start < end:
            read = file.readinto(memoryview(buffer)[: min(len(buffer), end - start)])
            if not read:
                break
            digest.update(memoryview(buffer)[:read])
            start += read
    return digest.hexdigest()


def _kept(log: Path, part: Part, found: list[Part]) -> Part:
    """Write a part, together with the last one if both are small; give what is to stand last."""
    folder = log.parent / FOLDER
    if log.stat().st_uid != os.geteuid():
        return part  # who only looks at another's run leaves nothing there
    if found and found[-1].path is not None and part.end - found[-1].start <= _BLOCK:
        with contextlib.suppress(Unfit):
            part = _together(found[-1], part)
            found.pop()
    try:
        folder.mkdir(exist_ok=True)
        curves = _bytes(part.epochs_made, {})
        about = {name: getattr(part, name) for name in _STORED}
        rows = _bytes(part.made, {"version": _VERSION, "part": about})
        path = folder / f"{log.name}-{part.start}-{part.end}-{hashlib.sha256(rows).hexdigest()[:16]}.arrow"
        _write(path.with_name(f"{path.stem}-{hashlib.sha256(curves).hexdigest()[:16]}.curves"), curves)
        _write(path, rows)
        _tidy(folder, log, path, part)
        return _opened(path, log, part.start) or part
    except OSError:  # a folder that may only be read, a full disk
        return part


_STORED = ("start", "end", "lines", "rows", "digests", "ops", "first")


def _together(one: Part, other: Part) -> Part:
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


def _bytes(columns: Mapping[str, Column], about: Mapping[str, Any]) -> bytes:
    """Columns as an Arrow file."""
    fields = [
        pa.field(name, column.values.type, metadata={"absent": "1" if column.absent else ""})
        for name, column in columns.items()
    ]
    schema = pa.schema(fields, metadata={"nas": json.dumps(about)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_batch(pa.record_batch([column.values for column in columns.values()], schema=schema))
    return bytes(sink.getvalue())


def _columns_in(file: Any, names: Sequence[str] | None) -> dict[str, Column]:
    """Read columns of an Arrow file: those of these names that it has, or all."""
    file.seek(0)
    known = pa.ipc.open_file(file).schema
    wanted = known.names if names is None else [name for name in names if known.get_field_index(name) >= 0]
    if not wanted:
        return {}
    indices = sorted(known.get_field_index(name) for name in wanted)
    file.seek(0)
    reader = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=indices))
    batch, absent = reader.get_batch(0), {f.name: f.metadata[b"absent"] == b"1" for f in known}
    return {name: Column(batch.column(name), absent[name]) for name in wanted}


def _write(path: Path, content: bytes) -> None:
    """Write a whole file or none."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _tidy(folder: Path, log: Path, kept: Path, part: Part) -> None:
    """Remove what a new part replaces, parts of a log that was another, and what a killed process left."""
    for path in folder.iterdir():
        if not path.name.startswith(f"{log.name}-") or path.name.startswith(kept.stem):
            continue
        match = re.match(r"(\d+)-(\d+)-", path.name.removeprefix(f"{log.name}-"))
        start, end = (int(match[1]), int(match[2])) if match is not None else (0, 0)
        replaced = part.start <= start < end <= part.end and path.suffix != ".tmp"
        with contextlib.suppress(OSError):
            if replaced or (start < part.end and end > part.start and time.time() - path.stat().st_mtime > _YOUNG_S):
                path.unlink()


_YOUNG_S = 3600  # what another process is writing is not to be taken from it
