"""Locks of files, which the operating system releases when their holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def exclusive(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a file, which is made where it is not there.

    Args:
        wait: for the process that holds it.
    Raises: BlockingIOError if another process holds it, unless `wait`. OSError where it cannot be made, or its file
        system has no locks: whoever went on without one would not be alone.
    """
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:  # of an open file the system does not say which
            raise OSError(error.errno, error.strerror, str(path)) from None
        yield
