"""Where a trial comes from: what the process that evaluates it is, not what the search's driver is."""

from __future__ import annotations

import importlib.metadata
import socket
from functools import lru_cache

from nas.runs.folder import git_commit


@lru_cache(maxsize=1)
def origin() -> dict[str, str | None]:
    """Give the columns of a trial that say where it ran and with which versions; None for what is not known here."""
    return {
        "host": socket.gethostname(),
        "torch_version": _version("torch"),
        "toolkit_version": _version("training-aware-nas"),
        "git_commit": git_commit(),
    }


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
