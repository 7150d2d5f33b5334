"""The data of a search, or of a training, decoded ahead: by threads, by processes, or by nodes of a cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing

from nas.cluster.decoders import RayDecoders
from nas.cluster.process import RayProcess
from nas.config.train import TrainConfig
from nas.data.chunks import Decoders, DecodersFailed, Threads
from nas.data.prepare import Prepared, prepare_for_search
from nas.full_training.data import prepare_for_training
from nas.search.given import Given, config_of

logger = logging.getLogger(__name__)


def prepare_data(
    config: Given | TrainConfig,
    *,
    processes: bool = False,
    address: str | None = None,
    progress: bool = False,
    say: Callable[[str], None] = logger.warning,
) -> Prepared:
    """Decode a data set into the cache, unless that was done; what was done before a kill is not done again.

    Args:
        config: of a search: a Config, what a YAML file would hold, the path of one, or a run folder; or of a training.
        processes: whether a process for each CPU decodes, in place of threads of one: where there are many CPUs.
        address: of a Ray cluster whose nodes decode; source and cache are this machine's alone.
        progress: whether somebody looks on: a bar is drawn on a terminal, and what was found is said every time.
        say: is told what was found, a line each.
    Raises: ValueError as `nas.prepare` does; if Ray cannot be had, or fails: the same call then goes on.
    """
    with closing(RayProcess(address)) as ray:
        decoders: Decoders = RayDecoders(ray) if processes or address is not None else Threads()
        try:
            if isinstance(config, TrainConfig):
                return prepare_for_training(config, progress=progress, say=say, decoders=decoders)
            return prepare_for_search(config_of(config), progress=progress, say=say, decoders=decoders)
        except DecodersFailed as error:
            raise ValueError(f"{error}; what was decoded is kept: the same command goes on") from error
