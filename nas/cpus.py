"""How many CPUs this process may use, whatever the machine has. No torch."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path


def available_cpus() -> int:
    """Give the CPUs that affinity (`taskset`, a cluster's scheduler) and the container's limit leave; at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.floor(min(affinity, container_limit())))


def container_limit(own: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")) -> float:
    """Give the CPU time that this process's control groups allow it, in CPUs; inf where there is no limit.

    The tightest limit of a group and those above it holds. In a container a group's path may be the host's: what of it
    is not there is passed over, and what the container sees as the root is its own group.

    Args:
        own: which groups the process is in.
        mounted: where the file systems of control groups are, versions 1 and 2.
    """
    return min((limit for folder in control_groups("cpu", own, mounted) for limit in _limits(folder)), default=math.inf)


def control_groups(
    controller: str, own: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")
) -> Iterator[Path]:
    """Give the folders of this process's control groups and of those above; some may not be there.

    Args:
        controller: such as cpu or memory.
        own, mounted: see `container_limit`.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        roots = [mounted, mounted / "unified"] if not controllers else []
        if controller in controllers.split(","):
            roots = [mounted / controllers, mounted / controller]
        for root in roots:
            yield from _upwards(root, path)


def _upwards(root: Path, path: str) -> Iterator[Path]:
    """Give a group's folder and those above it, up to the root."""
    folder = root / path.strip("/")
    yield folder
    while folder != root:
        folder = folder.parent
        yield folder


def _limits(group: Path) -> Iterator[float]:
    """Give what a group says, in CPUs: microseconds of CPU time per period."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        if quota not in ("max", "-1"):
            yield int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return
