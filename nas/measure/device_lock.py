"""A lock per physical device: training steps share it, timing has it alone, and a waiting timer goes first."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

CPU_SLOTS = 32  # lock files per host at most: beyond 32 CPUs, neighbours share one


class DeviceLock:
    """Shared by training steps, exclusive for timing, across all processes of this user on this host.

    Made of `flock` files, which the operating system releases when their holder dies, however it dies. Each part of
    the device has two: `gate` and `device`. A trainer passes the gate (shared, for microseconds) to get the device
    (shared). A timer closes the gate (exclusive) and then takes the device (exclusive): once it stands at the gate no
    new step starts, so it waits for the steps that run and no longer. Waiting costs no CPU time.

    A GPU is one part, known by its UUID. A host's CPU has a part per CPU, and a process locks those of its
    affinity set, so that workers lock each other out where their sets overlap and only there.

    Args:
        device: the torch device.
        folder: where the lock files lie; default: a folder per user in the host's temporary folder.
    """

    def __init__(self, device: torch.device, folder: Path | None = None) -> None:
        self.device = device
        folder = folder or Path(tempfile.gettempdir()) / f"training-aware-nas-{os.getuid()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = _parts(device)
        self._gates = [_open(folder / f"{name}.gate") for name in names]
        self._devices = [_open(folder / f"{name}.device") for name in names]

    @contextmanager
    def training(self) -> Iterator[None]:
        """Hold the device together with other trainers; for one or a few training steps at a time.

        On a GPU the queued work is finished before the device is released.
        """
        _lock(self._gates, fcntl.LOCK_SH)
        _lock(self._devices, fcntl.LOCK_SH)
        _unlock(self._gates)
        try:
            yield
        finally:
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            _unlock(self._devices)

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Hold the device alone. Never inside `training()` of the same process: it would wait for itself."""
        _lock(self._gates, fcntl.LOCK_EX)
        _lock(self._devices, fcntl.LOCK_EX)
        try:
            yield
        finally:
            _unlock(self._devices)
            _unlock(self._gates)

    def close(self) -> None:
        """Close the files; the lock cannot be used any more."""
        for number in (*self._gates, *self._devices):
            os.close(number)


def _parts(device: torch.device) -> list[str]:
    if device.type == "cuda":
        return [f"gpu-{torch.cuda.get_device_properties(device).uuid}"]
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if cpus == 1 and not hasattr(os, "sched_getaffinity"):
        return ["cpu-0"]
    total = max(os.cpu_count() or 1, max(os.sched_getaffinity(0)) + 1)
    return [
        f"cpu-{slot}" for slot in sorted({cpu * CPU_SLOTS // max(total, CPU_SLOTS) for cpu in os.sched_getaffinity(0)})
    ]


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _lock(files: list[int], kind: int) -> None:
    for number in files:  # always in the same order, so that two timers cannot wait for each other
        fcntl.flock(number, kind)


def _unlock(files: list[int]) -> None:
    for number in files:
        fcntl.flock(number, fcntl.LOCK_UN)
