"""How often the kernel has ended a process because memory ran out: the machine's, or what a container may have."""

from __future__ import annotations

from pathlib import Path

from nas.cpus import control_groups

Kills = tuple[tuple[str, int], ...]  # each place that counts them, and its count


def memory_kills(
    own: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup"), machine: Path = Path("/proc/vmstat")
) -> Kills:
    """Count the processes that were ended for memory in this process's control groups; on the machine, if none counts.

    Args:
        own, mounted: see `nas.cpus.container_limit`.
        machine: the kernel's counters.
    """
    folders = dict.fromkeys(control_groups("memory", own, mounted))
    files = [folder / name for folder in folders for name in ("memory.events", "memory.oom_control")]
    return tuple(_counted(files)) or tuple(_counted([machine]))


def any_between(before: Kills, after: Kills) -> bool:
    """Whether a process was ended for memory between two counts."""
    then = dict(before)
    return any(count > then.get(place, count) for place, count in after)


def _counted(files: list[Path]) -> Kills:
    found: list[tuple[str, int]] = []
    for file in files:
        try:
            lines = [line.split() for line in file.read_text().splitlines()]
        except OSError:
            continue
        found += [(str(file), int(line[1])) for line in lines if len(line) == 2 and line[0] == "oom_kill"]
    return tuple(found)
