"""The append-only logs of a search: one JSON object a line, on disk before the search goes on."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read every whole line; blank ones are none.

    A torn last line (its writer was killed) is reported and ignored; no file gives [].

    Raises: ValueError with the line's number if any other line is not a JSON object.
    """
    records, _ = _read(path)
    return records


def has_lines(path: Path) -> bool:
    """Whether a log has a whole line; the rest is not read."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        return any(line.strip() and line.endswith(b"\n") for line in file)


class JsonLines:
    """Appends to a file of JSON lines; `append` returns when the line is on disk. One writer at a time."""

    def __init__(self, path: Path) -> None:
        """Open for appending; a torn last line is cut off, so that the next line does not join it."""
        self.path = path
        _, whole_bytes = _read(path)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        sync_folder(path.parent)
        if os.fstat(self._file).st_size > whole_bytes:
            os.ftruncate(self._file, whole_bytes)
            os.fsync(self._file)

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one line and wait until it is on disk; where that fails, none of it stays.

        Raises: ValueError if a number in it is not finite; OSError where it cannot be written.
        """
        line = json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        before = os.fstat(self._file).st_size
        try:
            while line:  # a short write is possible on a full or a network disk
                line = line[os.write(self._file, line) :]
        except OSError:
            os.ftruncate(self._file, before)  # what is appended later would join half a line
            raise
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def sync_folder(folder: Path) -> None:
    """Have the names of a folder on disk: a file made or renamed in it may have none after a power failure."""
    with contextlib.suppress(OSError):  # some network file systems cannot, some folders may not be read
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The records and the number of bytes of their lines."""
    if not path.exists():
        return [], 0
    records, position = [], 0
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        last = number == len(lines)
        if not line.strip() and not last:  # such as an editor, or `cat` of two logs, leaves
            position += len(line) + 1
            continue
        if last and not line:
            break
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError
        except ValueError:
            # A crash of the machine can leave a block of zeros where the last line's end should be.
            if last or not any(rest.strip(b"\0") for rest in lines[number:]):
                logger.warning("%s: line %d is torn and was ignored", path, number)
                break
            raise ValueError(f"{path}: line {number} is not a JSON object") from None
        if last:  # parses, but its line end is missing: whether it is whole cannot be known
            logger.warning("%s: line %d is torn and was ignored", path, number)
            break
        records.append(record)
        position += len(line) + 1
    return records, position
