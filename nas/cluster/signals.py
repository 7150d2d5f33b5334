"""Signals that stop a search."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

from nas.signals import STOPS, handled


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Turn what asks to stop into the one signal on which Ray Tune ends in good order; give those caught so far."""
    caught: list[int] = []

    def pass_on(signum: int, frame: Any) -> None:
        caught.append(signum)
        if len(caught) > 2:  # asked three times: now
            os._exit(128 + signum)
        signal.raise_signal(signal.SIGUSR1)

    # Tune takes SIGUSR1 over while it runs; before and after, it must not end the process.
    with handled({signal.SIGUSR1: lambda signum, frame: None, **dict.fromkeys(STOPS, pass_on)}):
        yield caught
