"""Temporary folders that do not outlive who uses them: whoever comes next removes what a killed process left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "nas-ray-"
_LOCK = "lock"
_TMPDIR = "TMPDIR to a folder that can be written to"
_REMOVE_S = 5.0  # for processes that still write into the folder to end
_NEW_S = 60.0  # for a folder that has no lock yet
# Ray makes sockets in it, whose paths the system limits; this is the longest one.
_SOCKET = f"/{_PREFIX}12345678/ray/session_2026-12-31_23-59-59_123456_4194304/sockets/plasma_store"
_ROOM_MB = 10  # what Ray writes at its start; with less it says nothing and waits
_MOST = 103 if sys.platform == "darwin" else 107  # bytes
_LONGEST = _MOST - len(_SOCKET)  # of the path of the folder that it is made in


@dataclass(frozen=True)
class Scratch:
    """A folder of one's own, and the lock that says that it is in use: held as long as a process has it open."""

    folder: Path
    lock: int  # a file descriptor; a child that inherits it keeps the folder, too


@contextlib.contextmanager
def scratch(*, sockets: bool = True) -> Iterator[Scratch]:
    """Make a folder that only this user can enter, and remove it at the end.

    Args:
        sockets: whether Ray makes its own in it.
    Raises: ValueError where there is no place for one, or what the system raises.
    """
    root = _root(sockets=sockets)
    sweep(root)
    _check_room(root)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
    lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Scratch(folder, lock)
    finally:
        remove(folder)
        os.close(lock)


def remove(folder: Path) -> None:
    """Remove a folder in which processes that are about to end may still write."""
    end = time.monotonic() + _REMOVE_S
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() > end:
            return
        time.sleep(0.05)


def sweep(root: Path) -> None:
    """Remove the folders whose processes are all gone."""
    for folder in root.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, one that is being removed now, or in use
            if not (folder / _LOCK).exists():  # it is being made, or what somebody wrote after it was removed
                if time.time() - folder.stat().st_mtime > _NEW_S:
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _root(*, sockets: bool) -> Path:
    """The folder of temporary files, or /tmp where its path is too long for Ray's sockets."""
    try:
        usual = tempfile.gettempdir()
    except FileNotFoundError as error:  # "No usable temporary directory found in [...]"
        raise ValueError(f"{error.strerror}: make room in one of them, or set {_TMPDIR}") from error
    if not sockets or len(os.fsencode(usual)) <= _LONGEST:
        return Path(usual)
    if os.access("/tmp", os.W_OK):
        return Path("/tmp")
    raise ValueError(
        f"{usual}: too long a path for Ray's sockets, and /tmp cannot be written to; "
        f"set {_TMPDIR}, with a path of at most {_LONGEST} bytes"
    )


def _check_room(root: Path) -> None:
    free_mb = shutil.disk_usage(root).free / 2**20
    if free_mb < _ROOM_MB:
        raise ValueError(f"{root} has {free_mb:.1f} MB free, Ray needs {_ROOM_MB}: make room, or set {_TMPDIR}")
