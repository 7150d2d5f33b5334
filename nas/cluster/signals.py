"""Signals that stop a search."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Turn SIGINT and SIGTERM into the one signal on which Ray Tune ends in good order; give those caught so far."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def pass_on(signum: int, frame: Any) -> None:
        caught.append(signum)
        if len(caught) > 2:  # asked three times: now
            os._exit(128 + signum)
        signal.raise_signal(signal.SIGUSR1)

    # Tune takes SIGUSR1 over while it runs; before and after, it must not end the process.
    before = {signal.SIGUSR1: signal.signal(signal.SIGUSR1, lambda signum, frame: None)}
    before |= {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
