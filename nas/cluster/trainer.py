"""Runs one piece of work in several processes that torch.distributed joins, with Ray Train; Ray must be connected."""

from __future__ import annotations

import functools
import logging
import tempfile
from collections.abc import Callable
from typing import Any

import ray
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError, get_context
from ray.train.torch import TorchTrainer, get_device

from nas.training.device import limit_threads
from nas.training.workers import Workers

Work = Callable[[Workers, torch.device], Any]


def run_workers(work: Work, count: int, *, use_gpu: bool, threads: int, restarts: int) -> Any:
    """Run `work` in `count` processes, all anew if one of them dies; give what it returns in the first.

    Args:
        work: pickled; is told which of the workers it is, and its device.
        use_gpu: one GPU a worker, else one CPU.
        threads: CPU threads of each worker.
        restarts: how often at most they are started anew.
    Raises: ValueError if there is no room for so many workers. RuntimeError, with a line of why, if the last start
        failed too.
    """
    kind = "GPU" if use_gpu else "CPU"
    there = ray.cluster_resources().get(kind, 0)
    if there < count:
        raise ValueError(f"{count} workers need {count} {kind}s, but Ray has {there:g}")
    with tempfile.TemporaryDirectory(prefix="nas-train-") as scratch:  # our checkpoints do not go through Ray
        trainer = TorchTrainer(
            functools.partial(_worker, work, threads),
            scaling_config=ScalingConfig(num_workers=count, use_gpu=use_gpu),
            run_config=RunConfig(storage_path=scratch, failure_config=FailureConfig(max_failures=restarts)),
        )
        try:
            return trainer.fit().return_value
        except TrainingFailedError as error:
            raise RuntimeError(_reason(error)) from None


def _worker(work: Work, threads: int) -> Any:
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    limit_threads(threads)
    context = get_context()
    return work(Workers(context.get_world_rank(), context.get_world_size()), get_device())


def _reason(error: TrainingFailedError) -> str:
    """The last line of the first worker's error: of the candidate or of Ray, without the traceback."""
    failures = getattr(error, "worker_failures", None) or {0: error}
    rank, first = min(failures.items())
    return f"worker {rank}: " + (str(first).strip().splitlines() or [type(first).__name__])[-1]
