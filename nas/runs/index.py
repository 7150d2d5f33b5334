"""A log of trials as columns in a hidden folder beside it: a cache, which the lines of the log always overrule.

A long log takes seconds to parse, its columns a fraction of one. The columns are kept in parts, each of some megabytes
of lines, whose SHA-256 stands in it: a part counts only while the log has these very bytes, and the part itself is
whole. What no part covers is read from the lines. Parts are written under another name and renamed, so that two readers
or a `kill -9` leave whole ones; where nothing can be written there are none.

To digest a log of some hundred megabytes takes a large part of a second. So what was found to fit is noted, with what
the system says of the files (inode, size, times to the nanosecond, that of the last change to the inode among them,
which nobody can set back), and counts as long as it says the same, as git does with its index.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from nas.runs.arrow import arrow_bytes, whole_file
from nas.runs.log import LARGE, Line, lines
from nas.runs.making import made, options_of, together
from nas.runs.part import Part, Unfit
from nas.whole_files import write_whole

FOLDER = ".index"
_VERSION = 2  # of what a part holds
_BLOCK = 32 << 20  # bytes of lines in a part, about
_RESTING_S = 600  # since the last line: then those at the end are kept, too, which would be with the next ones


def parts(log: Path) -> list[Part] | None:
    """Give a large log as parts, made from the lines where there are none yet; None if the lines must be read.

    Raises: ValueError as `nas.runs.log.read_lines` does.
    """
    states = _states(log)
    noted = _noted(log)
    found = list(_covering(log, _unchanged(log, states, noted)))
    try:
        for block in _blocks(log, found):
            part = made(log, block, found)
            worth = part.end - part.start >= LARGE or time.time() - log.stat().st_mtime > _RESTING_S
            found.append(_kept(log, part, found) if worth else part)
    except Unfit:
        return None
    _note(log, {name: states[name] for name in _names(log, found) if name in states}, noted)
    return found or None


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


# ---- on disk


def _covering(log: Path, unchanged: Container[str]) -> Iterator[Part]:
    """Give the parts on disk that fit together and are of the log as it is.

    Args:
        unchanged: names of the parts of which that is known.
    """
    folder = log.parent / FOLDER
    by_start: dict[int, list[tuple[int, Path]]] = {}
    for path in folder.glob(f"{log.name}-*.arrow") if folder.is_dir() else ():
        if match := _NAME.fullmatch(path.name.removeprefix(f"{log.name}-")):
            by_start.setdefault(int(match[1]), []).append((int(match[2]), path))
    end = 0
    while end in by_start:
        some = sorted(by_start[end], reverse=True)
        found = (_opened(path, log, end, known=path.name in unchanged) for _, path in some)
        part = next((one for one in found if one is not None), None)
        if part is None:
            return
        yield part
        end = part.end


_NAME = re.compile(r"(\d+)-(\d+)-[0-9a-f]{16}\.arrow")


def _opened(path: Path, log: Path, start: int, *, known: bool = False) -> Part | None:
    """Open a part, if it is whole and the log still has its lines, or that is known."""
    try:
        file = pa.OSFile(str(path)) if known else whole_file(path)
        if file is None:
            return None
        about = json.loads(pa.ipc.open_file(file).schema.metadata[b"nas"])
        part = Part(**about["part"], file=file, path=path)
        alike = about["version"] == _VERSION and part.start == start and part.ops == options_of(set(part.ops))
        return part if alike and (known or _has_lines(log, part)) else None
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
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


# ---- what was found to fit, and has not changed since

_State = Sequence[int]


def _states(log: Path) -> dict[str, _State]:
    """What the system says of the log and its parts, by name.

    One that changed a moment ago is left out: it may change again within the same tick of the system's clock.
    """
    states: dict[str, _State] = {}
    now = time.time_ns()
    for path in (log, *(log.parent / FOLDER).glob(f"{log.name}-*.arrow")):
        with contextlib.suppress(OSError):
            found = path.stat()
            if now - found.st_ctime_ns > _CALM_NS:
                states[path.name] = [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    return states


_CALM_NS = 2 * 10**9


def _noted(log: Path) -> Mapping[str, _State]:
    """What they were when they were found to fit."""
    try:
        record = json.loads((log.parent / FOLDER / f"{log.name}.seen").read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _unchanged(log: Path, states: Mapping[str, _State], noted: Mapping[str, _State]) -> set[str]:
    """The parts that fitted and are as they were, if the log is."""
    alike = {name for name, state in states.items() if noted.get(name) == state}
    return alike if log.name in alike else set()


def _names(log: Path, found: Sequence[Part]) -> list[str]:
    return [log.name, *(part.path.name for part in found if part.path is not None)]


def _note(log: Path, states: Mapping[str, _State], noted: Mapping[str, _State]) -> None:
    """Write down that these fit together."""
    if len(states) > 1 and log.name in states and states != noted and _is_ours(log):
        with contextlib.suppress(OSError):
            write_whole(log.parent / FOLDER / f"{log.name}.seen", json.dumps(states).encode())


def _is_ours(log: Path) -> bool:
    """Whether an index may be written: who only looks at another's run leaves nothing there."""
    return log.stat().st_uid == os.geteuid()


# ---- written


def _kept(log: Path, part: Part, found: list[Part]) -> Part:
    """Write a part, together with the last one if both are small; give what is to stand last."""
    folder = log.parent / FOLDER
    if not _is_ours(log):
        return part
    if found and found[-1].path is not None and part.end - found[-1].start <= _BLOCK:
        with contextlib.suppress(Unfit):
            part = together(found[-1], part)
            found.pop()
    try:
        folder.mkdir(exist_ok=True)
        curves = arrow_bytes(part.epochs_made, {})
        about = {name: getattr(part, name) for name in _STORED}
        rows = arrow_bytes(part.made, {"version": _VERSION, "part": about})
        path = folder / f"{log.name}-{part.start}-{part.end}-{hashlib.sha256(rows).hexdigest()[:16]}.arrow"
        write_whole(path.with_name(f"{path.stem}-{hashlib.sha256(curves).hexdigest()[:16]}.curves"), curves)
        write_whole(path, rows)
        _tidy(folder, log, path, part)
        return _opened(path, log, part.start) or part
    except OSError:  # a folder that may only be read, a full disk
        return part


_STORED = ("start", "end", "lines", "rows", "digests", "ops", "first")


def _tidy(folder: Path, log: Path, kept: Path, part: Part) -> None:
    """Remove what a new part replaces, parts of a log that was another, and what a killed process left."""
    for path in folder.iterdir():
        name = path.name.removeprefix(".")  # which begins that of a file that is being written
        if not name.startswith(f"{log.name}-") or name.startswith(kept.stem):
            continue
        match = re.match(r"(\d+)-(\d+)-", name.removeprefix(f"{log.name}-"))
        start, end = (int(match[1]), int(match[2])) if match is not None else (0, 0)
        replaced = part.start <= start < end <= part.end and name == path.name
        with contextlib.suppress(OSError):
            if replaced or (start < part.end and end > part.start and time.time() - path.stat().st_mtime > _YOUNG_S):
                path.unlink()


_YOUNG_S = 3600  # what another process is writing is not to be taken from it
