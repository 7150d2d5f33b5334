"""A lock per physical device: training steps share it, timing has it alone, and a waiting timer goes first."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from nas.measure.holders import described, holders, is_sibling, lock_folder
from nas.training.device import synchronize

logger = logging.getLogger(__name__)

PATIENCE_S = 1.0  # of waiting before it is said for whom
CPU_SLOTS = 32  # lock files a host's CPU has at most; with more CPUs than that, neighbours share one


class DeviceLock:
    """Shared by training steps, exclusive for timing, among all processes of this user on this host.

    Made of `flock` files, which the operating system releases when their holder dies, however it dies. The device
    has two: `gate` and `use`. A trainer goes through the gate (shared, for microseconds) to the use of the device
    (shared). A timer shuts the gate (exclusive) and then takes the use (exclusive): once it holds the gate no new
    step starts, so that it waits for the steps that run and no longer. Waiting costs no CPU time; who waits long for
    others than the workers of its own search says for whom, once.

    A GPU is known by its UUID. A host's CPU has a pair of files per CPU, of which a process takes those of its affinity
    set: workers lock each other out where their sets overlap, and only there.

    Processes share a lock if they see the same `folder`.

    Args:
        device: the torch device, as `resolve_device` gives it.
        folder: of the lock files; default: one per user in the host's temporary folder.
    """

    def __init__(self, device: torch.device, folder: Path | None = None) -> None:
        self.device = device
        folder = folder or lock_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = lock_names(device)
        self._gates = [_open(folder / f"{name}.gate") for name in names]
        self._uses = [_open(folder / f"{name}.use") for name in names]
        weakref.finalize(self, _close, self._gates + self._uses)
        self._told: set[int] = set()  # processes that were named as those that are waited for
        if device.type == "cuda":
            (folder / f"{names[0]}.pid-{os.getpid()}").touch()

    @contextmanager
    def training(self) -> Iterator[None]:
        """Use the device together with other trainers: for one training step, or a few.

        On a GPU, queued work is finished before the device is released.
        """
        try:
            self._wait(self._gates, fcntl.LOCK_SH)
            self._wait(self._uses, fcntl.LOCK_SH)
            _lock(self._gates, fcntl.LOCK_UN)
            yield
        finally:
            try:
                synchronize(self.device)
            finally:
                _lock(self._gates + self._uses, fcntl.LOCK_UN)  # also what an interrupt left half taken

    def timer_waits(self) -> bool:
        """Whether a timer wants the device, so that who is in `training()` should leave it; costs microseconds."""
        try:
            _lock(self._gates, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            _lock(self._gates, fcntl.LOCK_UN)
        return False

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Have the device alone. Within `training()` of the same process it would wait for itself for ever."""
        try:
            self._wait(self._gates + self._uses, fcntl.LOCK_EX)
            for number in (*self._gates, *self._uses):
                os.utime(number)  # so that nothing that cleans temporary folders takes them for forgotten
            yield
        finally:
            _lock(self._uses + self._gates, fcntl.LOCK_UN)

    def _wait(self, files: list[int], kind: int) -> None:
        for number in files:  # always in the same order, so that no two processes wait for each other
            try:
                fcntl.flock(number, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                soon = threading.Timer(PATIENCE_S, self._say_for_whom, [number])
                soon.daemon = True
                soon.start()
                try:
                    fcntl.flock(number, kind)
                finally:
                    soon.cancel()

    def _say_for_whom(self, file: int) -> None:
        found = holders([file])
        others = {process for process in found if not is_sibling(process)} - self._told
        if os.getpid() in found or (found and not others):  # the wait is over, or is one for the own search
            return
        self._told |= others
        who = ", ".join(map(described, sorted(others))) or "another process"
        logger.warning("waiting for the %s, to have it alone: %s uses it", _WORDS.get(self.device.type, "device"), who)


_WORDS = {"cpu": "CPU", "cuda": "GPU"}


def lock_names(device: torch.device) -> list[str]:
    """Give the names of the device's locks: one for a GPU, one per slot of CPUs that this process may run on."""
    if device.type == "cuda":
        return [f"gpu-{torch.cuda.get_device_properties(device).uuid}"]
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
    total = max(os.cpu_count() or 1, max(cpus) + 1)
    return [f"cpu-{slot}" for slot in sorted({cpu * CPU_SLOTS // max(total, CPU_SLOTS) for cpu in cpus})]


def lock_users(device: torch.device, folder: Path | None = None) -> frozenset[int]:
    """Give the numbers of the living processes that have made a lock of this GPU."""
    users = set()
    for path in (folder or lock_folder()).glob(f"{lock_names(device)[0]}.pid-*"):
        number = int(path.name.rpartition("-")[2])
        if _lives(number):
            users.add(number)
        else:
            path.unlink(missing_ok=True)
    return frozenset(users)


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _lock(files: list[int], kind: int) -> None:
    for number in files:  # always in the same order, so that no two processes wait for each other
        fcntl.flock(number, kind)


def _open(path: Path) -> int:
    """Open the file of a lock. Raises OSError that names it also where its file system has no locks."""
    number = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with suppress(BlockingIOError):
            fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(number, fcntl.LOCK_UN)
    except OSError:
        os.close(number)
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), str(path)) from None
    return number


def _close(files: list[int]) -> None:
    for number in files:
        os.close(number)
