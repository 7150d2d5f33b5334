"""What else happens on a GPU while a step is timed on it: processes that are not ours, and lowered clocks.

NVML tells, through the optional package nvidia-ml-py; without it, and on a CPU, nothing is noticed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from nas.measure.device_lock import lock_users

logger = logging.getLogger(__name__)

FOREIGN_PROCESS = "foreign_process"  # a process that does not use our lock has the GPU open
THROTTLED = "throttled"  # the GPU has lowered its clocks: heat, power supply, or a slowdown asserted by the hardware

# Bits of NVML's clocks event reasons. The software power cap is not among them: large GPUs run into it in any long
# training, so that steps timed under it are the steps trained with.
_HW_SLOWDOWN, _SW_THERMAL, _HW_THERMAL, _POWER_BRAKE = 0x8, 0x20, 0x40, 0x80
_SLOWDOWNS = _HW_SLOWDOWN | _SW_THERMAL | _HW_THERMAL | _POWER_BRAKE


def watch(device: torch.device, folder: Path | None = None) -> Callable[[], frozenset[str]]:
    """Give a function that tells what disturbs the device now: none or some of FOREIGN_PROCESS and THROTTLED.

    Args:
        device: as `resolve_device` gives it.
        folder: of the lock whose users are no strangers; default as in `DeviceLock`.
    """
    if device.type != "cuda":
        return frozenset
    try:
        import pynvml

        pynvml.nvmlInit()
        uuid = str(torch.cuda.get_device_properties(device).uuid)
        handle = _handle(pynvml, uuid)
        disturbances(pynvml, handle, frozenset())
    except ImportError:
        logger.warning("nvidia-ml-py is not installed: foreign processes and throttling will not be noticed")
        return frozenset
    except pynvml.NVMLError as error:
        logger.warning("NVML does not answer (%s): foreign processes and throttling will not be noticed", error)
        return frozenset
    return lambda: disturbances(pynvml, handle, lock_users(device, folder))


def _handle(nvml: Any, uuid: str) -> Any:
    """Find a GPU, or a part of one, whose UUID PyTorch may have given without saying which it is."""
    if uuid.startswith(("GPU-", "MIG-")):
        return nvml.nvmlDeviceGetHandleByUUID(uuid)
    try:
        return nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except nvml.NVMLError:
        return nvml.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}")


def disturbances(nvml: Any, handle: Any, ours: frozenset[int]) -> frozenset[str]:
    """Ask NVML once.

    Where this process does not find itself among the GPU's processes, their numbers are those of another container or
    host, and no one can be told from a stranger.

    Args:
        nvml: the module pynvml.
        handle: of the device.
        ours: process numbers that may have the GPU open, besides this process's.
    """
    found = {process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)}
    marks = set()
    if os.getpid() in found and found - ours - {os.getpid()}:
        marks.add(FOREIGN_PROCESS)
    reasons = getattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons", None)  # its name since version 12.535
    if (reasons or nvml.nvmlDeviceGetCurrentClocksThrottleReasons)(handle) & _SLOWDOWNS:
        marks.add(THROTTLED)
    return frozenset(marks)
