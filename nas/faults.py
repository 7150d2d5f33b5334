"""Errors of the operating system as one line: on which file, what is wrong, what to do about it."""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

from search_space.lookup import message_of

_ROOM = "make room, or choose another place"
_MAY = "choose a place that this user may use, or change its permissions"
_OTHER = "its file system cannot do that: choose a place on another"
_IN_THE_WAY = "a file stands where a folder should: move it, or choose another place"

# What to do, by the number of the error. First those of a disk, then others of the machine, or of rights on it.
_OF_DISK = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EROFS: "choose a place that can be written to",
    errno.EIO: "the disk or network drive fails",
    errno.ESTALE: "the network drive was mounted anew: start again",
    errno.ENOLCK: _OTHER,
}
_OF_MACHINE = _OF_DISK | {
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EACCES: _MAY,
    errno.EPERM: _MAY,
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "the whole machine has too many files open",
    errno.ENOMEM: "run less at once, or give it more memory",
    errno.EAGAIN: "raise the limit on processes (ulimit -u), or run less at once",
}
_REMEDIES = _OF_MACHINE | {
    errno.ENOENT: "check the path, and where links on it lead",
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
    errno.EISDIR: "a folder stands where a file should: choose another name",
    errno.ENAMETOOLONG: "choose a shorter one",
    errno.ELOOP: "its links lead in a circle",
    errno.ENOTCONN: "the network drive is gone: mount it anew",
    errno.ENOSYS: _OTHER,
    errno.EOPNOTSUPP: _OTHER,
}
# What libraries say that raise errors of their own, or without a number.
_SAYINGS = {os.strerror(number): number for number in _OF_MACHINE} | {
    "database or disk is full": errno.ENOSPC,
    "attempt to write a readonly database": errno.EROFS,
    "unable to open database file": errno.EACCES,
    "disk I/O error": errno.EIO,
    "can't start new thread": errno.EAGAIN,
}
_NO_TEMPORARY = "No usable temporary directory found"  # Python's, which has a number as if a file were missing
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")  # numpy's, of a disk that is full


def line(error: BaseException, where: str | None = None) -> str | None:
    """Put an error of the operating system into one line; None for any other error.

    Libraries raise errors of their own for these, with the system's behind them, or with its words.

    Args:
        where: what it is about; None = the file that the error speaks of.

    >>> try:
    ...     open("/no/such/folder/file")
    ... except OSError as error:
    ...     line(error)
    '/no/such/folder/file: No such file or directory; check the path, and where links on it lead'
    """
    if isinstance(error, OSError):
        return _line(error, where)
    # Behind others only what explains them: that a file was missing may be no more than where they began.
    return next((_line(each, where) for each in _behind(error) if _number(each) in _OF_MACHINE), None)


def in_text(text: str) -> str | None:
    """Give the system's words for a fault that a program printed last, what it said before them, and what to do.

    >>> in_text("starting\\nsocket: Too many open files\\ngood bye")
    'socket: Too many open files; raise the limit on open files (ulimit -n)'
    """
    for each in reversed(text.splitlines()):
        for saying, number in _SAYINGS.items():
            before, said, _ = each.partition(saying)
            if said:
                return f"{before.rpartition('what(): ')[2][-60:].lstrip()}{said}; {_REMEDIES[number]}"
    return None


class Gone(ValueError):
    """What was made once for all candidates is not there any more."""


def gone(where: object) -> Gone:
    """Give the error of a prepared data set that is not there any more."""
    return Gone(f"the data prepared for this are gone from {where}; the same command prepares them again")


def is_of_disk(error: BaseException) -> bool:
    """Whether a disk is full, fails, has no locks, cannot be written to or has lost what was made for all candidates.

    No candidate can be blamed for that.
    """
    return any(isinstance(each, Gone) or _number(each) in _OF_DISK for each in _behind(error))


def _behind(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it was raised from, or while they were handled."""
    seen: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in seen:
        yield at
        seen.append(at)
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)


def _number(error: BaseException) -> int | None:
    """The system's number for an error, also where a library has but the words."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    text = message_of(error)
    if _SHORT_WRITE.search(text):
        return errno.ENOSPC
    return next((number for saying, number in _SAYINGS.items() if saying in text), None)


def _line(error: BaseException, where: str | None) -> str:
    own = error.errno if isinstance(error, OSError) else None
    words = os.strerror(own) if own else " ".join(message_of(error).split())[:300] or type(error).__name__
    if isinstance(error, OSError) and _NO_TEMPORARY in str(error.strerror):
        return f"{error.strerror}; make room in one of these, or set TMPDIR to a folder that can be written to"
    number, where = _number(error), where or file_of(error)
    return (f"{where}: " if where else "") + words + (f"; {_REMEDIES[number]}" if number in _REMEDIES else "")


def file_of(error: BaseException) -> str:
    """Give the file that an error speaks of, or the two of a renaming; empty where none is known.

    An error of writing to a full disk names none. Then, of the places that it came through and that know a file, the
    nearest to it is asked: for the file that it has open, else for a path.
    """
    names = [getattr(error, name, None) for name in ("filename", "filename2")]
    if said := " -> ".join(str(name) for name in names if isinstance(name, str | os.PathLike)):
        return said
    found, traceback = "", error.__traceback__
    while traceback is not None:
        known = traceback.tb_frame.f_locals
        owner = getattr(known.get("self"), "__dict__", {}).get("path")  # of the object whose method it is
        opened = [getattr(value, "name", None) for value in known.values() if isinstance(value, io.IOBase)]
        paths = [value for value in (*known.values(), owner) if isinstance(value, Path)]
        found = next((str(name) for name in (*opened, *paths) if isinstance(name, str | Path)), found)
        traceback = traceback.tb_next
    return found
