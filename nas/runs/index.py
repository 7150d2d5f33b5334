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
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from nas.runs.arrow import arrow_bytes, whole_file
from nas.runs.log import LARGE, Line, lines
from nas.runs.part import Part, Unfit, made, options_of, together
from nas.whole_files import write_whole

FOLDER = ".index"
_VERSION = 1  # of what a part holds
_BLOCK = 32 << 20  # bytes of lines in a part, about


def parts(log: Path) -> list[Part] | None:
    """Give a large log as parts, made from the lines where there are none yet; None if the lines must be read.

    Raises: ValueError as `nas.runs.log.read_lines` does.
    """
    found = list(_covering(log))
    try:
        for block in _blocks(log, found):
            part = made(log, block, found)
            found.append(_kept(log, part, found) if part.end - part.start >= LARGE else part)
    except Unfit:
        return None
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
        file = whole_file(path)
        if file is None:
            return None
        about = json.loads(pa.ipc.open_file(file).schema.metadata[b"nas"])
        part = Part(**about["part"], file=file, path=path)
        alike = about["version"] == _VERSION and part.start == start and part.ops == options_of(set(part.ops))
        return part if alike and _has_lines(log, part) else None
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


def _kept(log: Path, part: Part, found: list[Part]) -> Part:
    """Write a part, together with the last one if both are small; give what is to stand last."""
    folder = log.parent / FOLDER
    if log.stat().st_uid != os.geteuid():
        return part  # who only looks at another's run leaves nothing there
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
