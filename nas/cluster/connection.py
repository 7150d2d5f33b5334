"""Starting Ray or joining a cluster, and how many trials fit there at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from nas.cluster import ENVIRONMENT
from nas.cluster.protocol import Ask, NoRay
from nas.cluster.reach import no_token
from nas.cpus import available_cpus
from search_space.lookup import describe


def connect(address: str | None, folder: Path | None = None) -> dict[str, float]:
    """Start Ray on this machine, or connect to a cluster; give its resources, such as {"CPU": 8, "GPU": 1}.

    Args:
        address: of a cluster, `auto` for one running on this machine, None to start one here.
        folder: for the files of a Ray that is started here; None = Ray's own choice.
    Raises: NoRay if no cluster answers there, or it refuses.
    """
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what it says of failed trials, the log says better
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    try:
        if address is None:  # `local` never follows the traces of an earlier cluster
            ray.init(
                address="local",
                num_cpus=available_cpus(),
                include_dashboard=False,
                _temp_dir=folder and str(folder),
                **quiet,
            )
        else:
            ray.init(address=address, runtime_env={"env_vars": ENVIRONMENT}, **quiet)
    except ray.exceptions.AuthenticationError:
        raise NoRay(no_token(address)) from None
    except (ConnectionError, RuntimeError, ValueError) as error:
        whither = "start Ray" if address is None else f"connect to a Ray cluster at {address!r}"
        raise NoRay(f"cannot {whither}: {describe(error)}") from None
    return {name: float(amount) for name, amount in ray.cluster_resources().items()}


def disconnect() -> None:
    """Stop what `connect` started, or leave the cluster."""
    ray.shutdown()


def count_nodes(ask: Ask) -> int:
    """Say how many nodes there are."""
    return sum(bool(node["Alive"]) for node in ray.nodes())


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
