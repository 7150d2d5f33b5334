"""Which clock a training step is timed with."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import torch


def choose_clock(setting: str, device: torch.device) -> tuple[Literal["wall", "cpu"], Callable[[], float]]:
    """Give the name of the clock and the clock itself, in seconds.

    `auto` is the CPU time of the calling thread where the whole step is computed in it (on a CPU, with one thread): it
    stands still while other processes have the core. Elsewhere it is wall time, with the device synchronised at
    both ends of what is timed.

    Raises: ValueError for the clock `cpu` where other threads, or a GPU, do the work.
    """
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    if setting == "cpu" and not alone:
        found = f"{device.type} with {torch.get_num_threads()} threads"
        raise ValueError(f"clock 'cpu' needs device cpu with one thread, got {found}; use wall or auto")
    if setting == "wall" or not alone:
        return "wall", time.perf_counter
    return "cpu", time.thread_time
