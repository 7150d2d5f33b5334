"""How many trainings run side by side on Ray, and what each of them holds meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nas.cluster.share import Share, slots
from nas.config.train import TrainConfig


def share_of(
    configs: Sequence[TrainConfig], parallel: int | None, resources: Mapping[str, float], *, here: bool
) -> tuple[Share, int]:
    """Say what each of many trainings holds while it runs, and on how many CPU threads it computes.

    Args:
        configs: of the trainings.
        parallel: at most so many at once; None = one on each GPU, or as many as there are CPUs.
        resources: what Ray has.
        here: whether that is this machine alone; how the CPUs of a cluster lie beside its GPUs is not known.
    """
    gpus = resources.get("GPU", 0.0)
    on_gpu = any(config.device.startswith("cuda") for config in configs) or (
        gpus >= 1 and any(config.device == "auto" for config in configs)
    )
    told = [config.execution.threads for config in configs if config.execution.threads is not None]
    if not on_gpu:
        threads = max(told, default=1)
        return Share(threads, 0.0), threads
    on_each = 1 if parallel is None or gpus < 1 else -(-parallel // int(gpus))
    at_once = max(1.0, min(parallel or len(configs), gpus * on_each))
    threads = max(told, default=max(1, int(resources.get("CPU", 1) / at_once)) if here else 1)
    return Share(threads, 1 / on_each), threads


def places_for(share: Share, parallel: int | None, resources: Mapping[str, float], *, here: bool) -> int:
    """Say how many fit at once. Raises ValueError if not even one does, or not as many as are asked for."""
    fit = slots(share, None, resources, elastic=not here)
    if parallel and parallel > fit and here:
        raise ValueError(f"parallel is {parallel}, but only {fit} trainings fit on this machine at once")
    return parallel or fit
