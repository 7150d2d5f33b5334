"""Runs one piece of work in several processes that torch.distributed joins, with Ray Train, in Ray's process."""

from __future__ import annotations

import functools
import logging
import tempfile
from collections.abc import Callable
from typing import Any

import ray
import torch
from ray.exceptions import RayTaskError
from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig, TrainingFailedError, get_context
from ray.train.torch import TorchConfig, TorchTrainer, get_device

from nas import faults
from nas.cluster.interface import HINT, NotReached, check_reached, name_interface
from nas.cluster.protocol import Ask
from nas.training.device import limit_threads
from nas.training.workers import Workers

Work = Callable[[Workers, torch.device], Any]


def run_workers(ask: Ask, work: Work, count: int, use_gpu: bool, threads: int, restarts: int) -> Any:
    """Run `work` in `count` processes, all anew if one of them dies; give what it returns in the first.

    Args:
        ask: is not needed.
        work: pickled; is told which of the workers it is, and its device.
        use_gpu: one GPU a worker, else one CPU.
        threads: CPU threads of each worker.
        restarts: how often at most they are started anew.
    Raises: ValueError if there is no room for so many workers, or none on a disk that one writes to, or they would look
        for each other by network interfaces that do not lead there. RuntimeError, with a line of why, if the last start
        failed too.
    """
    kind = "GPU" if use_gpu else "CPU"
    there = ray.cluster_resources().get(kind, 0)
    if there < count:
        raise ValueError(f"{count} workers need {count} {kind}s, but Ray has {there:g}")
    # Ray by itself would start a group whose workers cannot be had again and again, for ever.
    once = FailureConfig(max_failures=0, controller_failure_limit=0)
    unmet = 0  # starts in which workers lived, but did not find each other
    with tempfile.TemporaryDirectory(prefix="nas-train-") as scratch:  # our checkpoints do not go through Ray
        for restart in range(restarts + 1):
            trainer = TorchTrainer(
                functools.partial(_worker, work, threads),
                torch_config=_TorchConfig(),
                scaling_config=ScalingConfig(num_workers=count, use_gpu=use_gpu),
                run_config=RunConfig(storage_path=scratch, failure_config=once),
            )
            try:
                return trainer.fit().return_value
            except TrainingFailedError as error:
                rank, first = _first(error)
                fault = str(first) if isinstance(first, NotReached) else _disk_fault(first)
                if fault:  # the next start would meet it, too
                    raise ValueError(fault) from None
                unmet += isinstance(error, ControllerError) and isinstance(first, RayTaskError)
                if restart == restarts or unmet == _MEETINGS:
                    raise RuntimeError(_reason(rank, first)) from None
    raise AssertionError("there is at least one start")


class _TorchConfig(TorchConfig):  # type: ignore[misc]
    """Ray's, but that workers are told the network interface, and try it, before they look for each other."""

    @property
    def backend_cls(self) -> Any:
        """What sets up the process group."""

        class Backend(super().backend_cls):  # type: ignore[misc]
            def on_start(self, worker_group: Any, backend_config: Any) -> None:
                try:
                    worker_group.execute(name_interface)
                    check_reached(worker_group.execute)
                    super().on_start(worker_group, backend_config)
                except BaseException:
                    # Ray would leave them as they are, those who wait for another in their places, which the next
                    # start then cannot have.
                    worker_group.abort()
                    raise

        return Backend


def _worker(work: Work, threads: int) -> Any:
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    limit_threads(threads)
    context = get_context()
    try:
        return work(Workers(context.get_world_rank(), context.get_world_size()), get_device())
    except Exception as error:
        if faults.is_of_disk(error):  # whose file is known here alone
            raise OSError(f"{_DISK}{faults.line(error)}") from None
        raise


_MEETINGS = 3  # of workers that live; a port that another process took meanwhile is free the next time
_DISK = "of the disk: "


def _disk_fault(error: BaseException) -> str:
    """The line that a worker said of its disk; empty if that is not why it failed."""
    return next((line.partition(_DISK)[2] for line in str(error).splitlines() if _DISK in line), "")


def _first(error: TrainingFailedError) -> tuple[int, BaseException]:
    """The worker of lowest number that failed, and its error; or what failed before they began."""
    if isinstance(error, ControllerError):
        return 0, error.controller_failure
    failures: dict[int, BaseException] = getattr(error, "worker_failures", None) or {0: error}
    return min(failures.items())


def _reason(rank: int, error: BaseException) -> str:
    """The last line of a worker's error: of the candidate or of Ray, without the traceback."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    unreached = any(sign in str(error) for sign in _UNREACHED)
    return f"worker {rank}: {line}" + (f". Workers may not reach each other: {HINT}" if unreached else "")


# What gloo and NCCL say where an address is not that of the other.
_UNREACHED = (
    "connectFullMesh",
    "Gloo connect",
    "Unable to find address",
    "ncclSystemError",
    "ncclRemoteError",
    "Socket timeout",
    "NCCL error",
)
