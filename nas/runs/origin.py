"""Where a trial comes from: what the process that evaluates it is, not what the search's driver is."""

from __future__ import annotations

import socket
from functools import lru_cache

from nas.runs.folder import git_commit, installed_version


@lru_cache(maxsize=1)
def origin() -> dict[str, str | None]:
    """Give the columns of a trial that say where it ran and with which versions; None for what is not known here."""
    return {
        "host": socket.gethostname(),
        "torch_version": installed_version("torch"),
        "toolkit_version": installed_version("training-aware-nas"),
        "git_commit": git_commit(),
    }
