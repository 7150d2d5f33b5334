"""Who has a lock file: the processes that the operating system names, and what they run. No torch."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

_SHOWN = 100  # characters of a command


def lock_folder() -> Path:
    """Give the folder of this user's lock files on this host."""
    return Path(tempfile.gettempdir()) / f"training-aware-nas-{os.getuid()}"


def holders(files: Iterable[int | Path]) -> frozenset[int]:
    """Give the numbers of the processes that hold `flock` locks of files; none where the system does not tell.

    Args:
        files: open files or paths.
    """
    inodes = {str(os.stat(file).st_ino) for file in files}  # noqa: PTH116 - of open files, too
    try:
        lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:  # not Linux
        return frozenset()
    # `1: FLOCK  ADVISORY  WRITE 1234 fe:00:56789 0 EOF`; behind `->` stand those who wait.
    found = (line for line in lines if len(line) > 5 and line[1] == "FLOCK")
    return frozenset(int(line[4]) for line in found if line[5].rpartition(":")[2] in inodes)


def users_of_locks(folder: Path | None = None) -> frozenset[int]:
    """Give the numbers of the other processes that time or train on a device of this host right now."""
    files = [path for kind in ("gate", "use") for path in (folder or lock_folder()).glob(f"*.{kind}")]
    return holders(files) - {os.getpid()}


def described(process: int) -> str:
    """Say which process that is, and what it runs; of a worker of Ray's, what started that."""
    runs, number = command(process), process
    while (runs.startswith("ray::") or "raylet" in runs) and (number := _parent(number)) > 1:
        runs = command(number) or runs
    runs = re.sub(r" -c .+", " -c ...", runs)  # code says nothing
    return f"process {process} ({runs[:_SHOWN]})" if runs else f"process {process}"


def is_sibling(process: int) -> bool:
    """Whether a process and this one are workers of the same Ray: of one search, which waits for itself by design."""
    parent = _parent(process)
    return parent == os.getppid() and "raylet" in command(parent)


def command(process: int) -> str:
    """Give the command of a process in one line; empty where it is not to be had."""
    try:
        return " ".join(Path(f"/proc/{process}/cmdline").read_text(errors="replace").replace("\0", " ").split())
    except OSError:
        return ""


def _parent(process: int) -> int:
    try:
        text = Path(f"/proc/{process}/stat").read_text(errors="replace")
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[1])  # behind the name, which may hold anything
