"""Files that are there whole or not at all, whatever ends the process that writes them."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

logger = logging.getLogger(__name__)

_LONG = 230  # bytes of a name, of 255 that most systems allow


@contextlib.contextmanager
def written_whole(path: Path, *, one_writer: bool = False) -> Iterator[BinaryIO]:
    """Open a file for writing that takes the place of `path` when all is on disk, and leaves it alone on an error.

    Args:
        one_writer: nobody else writes this file at the same time: what a killed process left of it is written over.
    Raises: OSError where it cannot be written.
    """
    long = len(os.fsencode(path.name)) > _LONG  # the system's limit is of the temporary name, too
    name = hashlib.blake2b(os.fsencode(path.name), digest_size=16).hexdigest() if long else path.name
    temporary = path.with_name(f".{name}.part" if one_writer else f".{name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            to_disk(file.fileno(), path)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)  # where the disk is full, all the more
        raise
    sync_folder(path.parent)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; text as UTF-8."""
    with written_whole(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def linked_whole(source: Path, path: Path) -> bool:
    """Make a whole file of this module's known as `path`, too, in place of what is there; give whether that could be.

    Both lie in one folder. Neither changes with the other: whoever writes either puts a new file in its place.
    """
    temporary = path.with_name(f".{path.name}.link")
    try:
        temporary.unlink(missing_ok=True)  # what a killed process left
        os.link(source, temporary)
        temporary.replace(path)
        temporary.unlink(missing_ok=True)  # is left where both were one file before
    except OSError:  # a file system that knows one name a file, for example
        return False
    sync_folder(path.parent)
    return True


@contextlib.contextmanager
def folder_for(folder: Path) -> Iterator[Path]:
    """Make a folder, and those that it is in; of those made here, what is empty when an error comes is taken away.

    Raises: OSError where it cannot be made.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    except BaseException:
        remove_empty(made)
        raise


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those of some folders, innermost first, that are there and in which nothing is."""
    for each in folders:
        with contextlib.suppress(OSError):
            each.rmdir()


def to_disk(descriptor: int, path: Path) -> None:
    """Wait until what was written to a file is on disk. Where its file system knows no such thing, that is said.

    Args:
        path: of the file, for what is said.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        _say_unsure(os.fstat(descriptor).st_dev, path.parent)


@functools.cache
def _say_unsure(device: int, folder: Path) -> None:
    logger.warning("%s: its file system cannot say when files are on disk; a power failure may cost some lines", folder)


def sync_folder(folder: Path) -> None:
    """Have the names of a folder on disk: a file made or renamed in it may have none after a power failure."""
    with contextlib.suppress(OSError):  # some network file systems cannot, some folders may not be read
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
