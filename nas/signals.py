"""Signals that ask a process to stop: what Ctrl-C, `timeout`, systemd, Slurm and a terminal that closes send."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
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
