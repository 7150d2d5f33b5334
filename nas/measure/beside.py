"""What everything that is timed beside the reference network has in common: the device alone, and one way to time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch

from nas.measure.device_lock import DeviceLock
from nas.measure.settings import StepTimeSettings
from nas.seeds import seed_of
from nas.training.device import synchronize


@contextmanager
def alone(device: torch.device, settings: StepTimeSettings) -> Iterator[None]:
    """Have the device to oneself, if the settings ask for it, and leave the random generators as they were."""
    own = DeviceLock(device).timing() if settings.lock else nullcontext()
    with own, torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed_of(0, "timing"))
        yield


def seconds_of(do: Callable[[], object], device: torch.device, clock: Callable[[], float]) -> float:
    """Time one thing that is done on the device, which is waited for at both ends."""
    synchronize(device)
    start = clock()
    do()
    synchronize(device)
    return clock() - start
