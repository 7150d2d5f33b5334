"""What a reader makes of a data set, and how readers word their errors."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# An image file's content, the file, or pixels (H, W), (H, W, 1) or (H, W, 3): bytes of which 255 is white, or numbers
# of more bits, whose white is sought in the whole data set (see nas/data/wide.py).
Encoded = bytes | Path | NDArray[Any]


@dataclass(frozen=True)
class Images:
    """One part of a data set, not decoded."""

    labels: NDArray[np.int64]  # (N,)
    read: Callable[[int, int], Sequence[Encoded]]  # images start..stop - 1
    name: Callable[[int], str]  # for messages: the file, or the row


@dataclass(frozen=True)
class Source:
    """A data set as it lies on disk."""

    num_classes: int
    class_names: tuple[str, ...] | None
    train: Images
    test: Images | None
    left_out: tuple[str, ...] = ()  # what lies there and is not used, a line a kind
    warnings: tuple[str, ...] = ()  # what whoever uses the data should know, a line each


def stamp(files: Iterable[str]) -> str:
    """A hash of every file's place, size in bytes and time of change: another one when a file changes."""
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        try:
            status = os.stat(file)  # noqa: PTH116 - a million Path objects would take longer than the calls
        except OSError as error:  # a link to nothing, say: told when the image is read
            told = f"{error.errno}"
        else:
            told = f"{status.st_size}\0{status.st_mtime_ns}"
        digest.update(os.fsencode(os.path.abspath(file)) + f"\0{told}\0".encode())  # noqa: PTH100
    return digest.hexdigest()


def printable(name: str | Path) -> str:
    """A file's name as it can be shown in one line, also where its bytes are no UTF-8."""
    text = os.fsencode(name).decode(errors="backslashreplace")
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]", lambda found: repr(found[0])[1:-1], text)


def some(names: Sequence[Any] | NDArray[Any]) -> str:
    """The first few names of a list."""
    shown = ", ".join(str(name) for name in names[:8])
    return f"{shown}, ... ({len(names)} in all)" if len(names) > 8 else shown


def nearby(path: Path) -> str:
    """What is there instead of a path that is not."""
    folder = path.parent
    if not folder.is_dir():
        return f"; nor is there a folder {str(folder)!r}"
    return f"; {folder} has: {some(sorted(printable(entry.name) for entry in folder.iterdir())) or 'nothing'}"


def first_line(error: BaseException) -> str:
    """An error in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
