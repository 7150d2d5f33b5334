"""Signals that ask a process to stop: what Ctrl-C, `timeout`, systemd, Slurm and a terminal that closes send."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Handler = Callable[[int, Any], None]


class Signalled(KeyboardInterrupt):
    """What Ctrl-C raises, for any signal that asks to stop; its number is `signum`."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by signal {signum}")
        self.signum = signum


@contextlib.contextmanager
def handled(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    """Handle signals, but those that this process was told to ignore, as `nohup` does; afterwards all is as before.

    Nothing outside the main thread, which alone hears signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in {*STOPS, *handlers}}
    for number, handler in handlers.items():
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, known in before.items():
            if known is not None and signal.getsignal(number) is not known:  # None: not set from Python
                signal.signal(number, known)


@contextlib.contextmanager
def interrupting() -> Iterator[None]:
    """Have each signal that asks to stop end what runs inside as Ctrl-C does, so that it is left in good order."""

    def interrupt(signum: int, frame: Any) -> None:
        raise Signalled(signum)

    with handled(dict.fromkeys(STOPS, interrupt)):
        yield


@contextlib.contextmanager
def kept_from_children() -> Iterator[None]:
    """Processes started inside never hear of stopping: what a whole group or job is sent is for this process to obey.

    It obeys afterwards, by the handlers of before, whatever else has been set inside.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        with handled({}):
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def deaf_children_end() -> Iterator[None]:
    """A child that is asked to end inside and cannot hear it is killed: whoever asks would wait for it in vain.

    Where there is no /proc, nothing is done.
    """
    over = threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_S):
            for child in _children():
                if _has_pending(child, signal.SIGTERM):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


_LOOK_S = 0.02


def _children() -> list[int]:
    try:
        return [int(child) for file in Path("/proc/self/task").glob("*/children") for child in file.read_text().split()]
    except OSError:
        return []


def _has_pending(process: int, number: signal.Signals) -> bool:
    """Whether a process was sent a signal that it blocks."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return False
    masks = [int(line.split()[1], 16) for line in lines if line.startswith("ShdPnd:")]
    return any(mask & 1 << number - 1 for mask in masks)


def heard_by_children() -> None:
    """Have processes that this thread starts hear of stopping, where its own was started as one that does not."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
