"""The append-only logs of a search: one JSON object a line, on disk before the search goes on."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from nas.whole_files import sync_folder, to_disk

logger = logging.getLogger(__name__)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read every whole line; blank ones are none.

    A torn last line (its writer was killed) is reported and ignored; no file gives [].

    Raises: ValueError with the line's number if any other line is not a JSON object.
    """
    return [line.record for line in lines(path)]


class Line(NamedTuple):
    """A whole line of a log that is not blank."""

    number: int  # counted from 1, blank ones included
    start: int  # bytes before it
    text: bytes  # without its end
    record: dict[str, Any]


def lines(
    path: Path,
    *,
    start: int = 0,
    before: int = 0,
    instead: Callable[[bytes], dict[str, Any] | None] = lambda text: None,
) -> Iterator[Line]:
    """Give the lines of a log one by one, as `read_lines` does: a log may be larger than the memory.

    Args:
        start: bytes to begin at, the start of a line.
        before: lines that these bytes hold.
        instead: given a whole line, gives its record where that need not be parsed, else None.
    Raises: ValueError as `read_lines` does.
    """
    if not path.exists():
        return
    with path.open("rb", buffering=_BLOCK) as file:
        file.seek(start)
        for number, raw in enumerate(file, start=before + 1):
            whole = raw.endswith(b"\n")
            if whole and not raw.strip():  # such as an editor, or `cat` of two logs, leaves
                start += len(raw)
                continue
            # Without its end, whether it is whole cannot be known.
            record = instead(raw[:-1]) or parsed(raw) if whole else None
            if record is None:
                if whole and not _only_zeros(file):
                    raise ValueError(f"{path}: line {number} is not a JSON object")
                logger.warning("%s: line %d is torn and was ignored", path, number)
                return
            yield Line(number, start, raw[:-1], record)
            start += len(raw)


def parsed(text: bytes | str) -> dict[str, Any] | None:
    """Give the JSON object that a line is; None if it is none."""
    try:
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _only_zeros(file: BinaryIO) -> bool:
    """Whether nothing follows but what a crash of the machine can leave where the last line's end should be."""
    return not any(block.strip(b"\0\n") for block in iter(lambda: file.read(_BLOCK), b""))


_BLOCK = 1 << 20
LARGE = 1 << 20  # bytes of a log that takes long to parse


def has_lines(path: Path) -> bool:
    """Whether a log has a whole line; the rest is not read."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        return any(line.strip() and line.endswith(b"\n") for line in file)


class JsonLines:
    """Appends to a file of JSON lines; `append` returns when they are on disk. One writer at a time."""

    def __init__(self, path: Path) -> None:
        """Open for appending; a torn last line is cut off, so that the next line does not join it."""
        self.path = path
        whole_bytes = _whole_bytes(path)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        sync_folder(path.parent)
        if os.fstat(self._file).st_size > whole_bytes:
            os.ftruncate(self._file, whole_bytes)
            to_disk(self._file, path)

    def append(self, *records: Mapping[str, Any]) -> None:
        """Write a line a record and wait until they are on disk; where that fails, none of it stays.

        Raises: ValueError if a number in it is not finite; OSError where it cannot be written.
        """
        text = "".join(json.dumps(each, separators=(",", ":"), allow_nan=False) + "\n" for each in records).encode()
        before = os.fstat(self._file).st_size
        try:
            while text:  # a short write is possible on a full or a network disk
                text = text[os.write(self._file, text) :]
            to_disk(self._file, self.path)  # only now a network drive may say that it is full
        except OSError:
            os.ftruncate(self._file, before)  # what is appended later would join half a line
            raise

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _whole_bytes(path: Path) -> int:
    """The bytes before what is torn, found from the end: the rest of a long log need not be read.

    Raises: ValueError as `read_lines` does, where a line near the end is no JSON object and was not torn.
    """
    if not path.exists():
        return 0
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        reach = _BLOCK
        while True:
            start = file.seek(max(0, size - reach))
            tail = file.read()
            first = tail.find(b"\n") + 1 if start else 0
            if (whole := _whole_of(tail[first:])) is not None:
                return start + first + whole
            if not start:
                break
            reach *= 2
    read_lines(path)  # raises, for a line that was not torn is broken, or
    return 0  # nothing was ever whole


def _whole_of(tail: bytes) -> int | None:
    """The bytes of a log's end that are whole; None if no whole line with the JSON of an object is in it."""
    whole = end = tail.rfind(b"\n") + 1
    torn = tail[end:]
    while end:
        begin = tail.rfind(b"\n", 0, end - 1) + 1
        line = tail[begin:end]
        if parsed(line) is not None:
            return whole
        if line.strip():
            if torn.strip(b"\0\n"):
                return None
            whole = begin
        torn, end = line + torn if line.strip() else torn, begin
    return None
