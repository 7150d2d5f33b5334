"""How many trials run at once: what one holds, and what there is. No ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """What one trial holds while it runs."""

    cpus: float
    gpus: float  # a fraction: several trials on one GPU


def slots(share: Share, workers: int | None, resources: Mapping[str, float], *, elastic: bool) -> int:
    """How many trials run at once.

    Args:
        workers: at most, or None.
        resources: what `connect` gave.
        elastic: whether nodes may still join, so that too little now is no error.
    Raises: ValueError if not even one trial fits, or `workers` is more than fit, on a machine of our own.
    """
    wanted = {"CPU": share.cpus, "GPU": share.gpus}
    fit = min(int(resources.get(name, 0.0) / amount + 1e-9) for name, amount in wanted.items() if amount)
    if fit < 1 and not elastic:
        have = ", ".join(f"{resources.get(name, 0):g} {name}" for name in wanted)
        need = ", ".join(f"{amount:g} {name}" for name, amount in wanted.items() if amount)
        raise ValueError(f"a trial needs {need}, but this machine has {have}")
    if workers and workers > fit and not elastic:
        raise ValueError(f"search.workers is {workers}, but only {fit} trials fit on this machine at once")
    return workers or max(1, fit)
