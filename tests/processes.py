"""Processes as /proc shows them, for tests of what a command starts."""

from pathlib import Path


def descendants(pid):
    """A process, and all that it started, in whatever group or session."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += descendants(int(child))
    return found
