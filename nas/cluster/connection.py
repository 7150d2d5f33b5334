"""Starting Ray or joining a cluster."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import ray
from ray._private.node import Node

from nas.cluster import ENVIRONMENT
from nas.cluster.protocol import Ask, NoRay, RayLate
from nas.cluster.reach import no_token
from nas.cpus import available_cpus
from search_space.lookup import describe

# By these Ray starts processes that serve its dashboard, its autoscaler, and drivers that want their workers' output:
# each is a Python that imports Ray, in all three seconds and 250 MB, and it waits for the first. Nothing here uses any
# of them, and to leave them out `ray.init` has no public way. Where Ray's names are others they are started.
_UNUSED = ("start_api_server", "start_monitor", "start_log_monitor")


def connect(address: str | None, folder: Path | None = None) -> dict[str, float]:
    """Start Ray on this machine, or connect to a cluster; give its resources, such as {"CPU": 8, "GPU": 1}.

    Args:
        address: of a cluster, `auto` for one running on this machine, None to start one here.
        folder: for the files of a Ray that is started here; None = Ray's own choice.
    Raises: NoRay if no cluster answers there, or it refuses. RayLate if Ray did not start in time here.
    """
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what it says of failed trials, the log says better
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    try:
        if address is None:
            for name in _UNUSED:
                setattr(Node, name, lambda self, **ignored: None)
            ray.init(  # `local` never follows the traces of an earlier cluster
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
    except Exception as error:  # a bare one where a busy machine takes longer than Ray waits
        if address is not None:
            raise NoRay(f"cannot connect to a Ray cluster at {address!r}: {describe(error)}") from None
        late = "timed out" in str(error)  # of its daemons' first sign of life, for which it waits 30 s
        raise (RayLate if late else NoRay)(f"cannot start Ray: {describe(error)}") from None
    return {name: float(amount) for name, amount in ray.cluster_resources().items()}


def disconnect() -> None:
    """Stop what `connect` started, or leave the cluster."""
    ray.shutdown()


def count_nodes(ask: Ask) -> int:
    """Say how many nodes there are."""
    return sum(bool(node["Alive"]) for node in ray.nodes())
