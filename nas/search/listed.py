"""The architectures of a list as the trials of a search: trained by its protocol, logged and resumed as they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from nas.algorithms.listed import space_of
from nas.analysis.run import Run
from nas.config.search import Config
from nas.config.settings import AlgorithmSettings, SearchSettings
from nas.search.run import run_search
from search_space.architecture import Architecture

# What of a search's settings is kept: where and how trials run, not how many, nor whether they are stopped early.
_KEPT = (
    *("workers", "cpus_per_trial", "gpus_per_trial", "time_limit_s", "max_attempts", "fresh_process", "evaluator"),
)


def run_listed(
    architectures: Sequence[Architecture],
    config: Config,
    *,
    folder: str | os.PathLike[str],
    workers: int | None = None,
    address: str | None = None,
    progress: bool = True,
) -> Run:
    """Evaluate architectures as a search with this configuration would; the same call again goes on.

    Args:
        architectures: different ones, with as many stages and the same stem and head; they need not be of the space.
        config: of the search; its callbacks are not told, and nothing is stopped early.
        folder: of the run, which is one like any other.
        workers, address, progress: as `run_search` has them.
    Returns: the run; its `ended` says whether all were evaluated.
    Raises: ValueError as `run_search` does.
    """
    space, own = space_of(architectures), config.space.constraints
    unbounded = replace(own, params_min=None, params_max=None, macs_min=None, macs_max=None)
    settings = {"architectures": [each.to_dict() for each in architectures]}
    listed = replace(
        config,
        space=replace(space, constraints=unbounded),
        algorithm=AlgorithmSettings("nas.algorithms.listed:Listed", settings=settings),
        search=SearchSettings(trials=len(architectures), **{name: getattr(config.search, name) for name in _KEPT}),
        callbacks=(),
    )
    return run_search(listed, folder=folder, workers=workers, address=address, progress=progress)
