"""What a caller gives as the configuration of a search."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.config.search import Config, load_config, parse, search_config
from nas.runs.folder import CONFIG, read_config

Given = Config | Mapping[str, Any] | os.PathLike[str] | str


def config_of(given: Given) -> Config:
    """Give the configuration that is meant: a Config, what a YAML file would hold, the path of one, or a run folder.

    Raises: ValueError as `load_config` does.
    """
    if isinstance(given, Config):
        return given
    if isinstance(given, Mapping):
        return search_config(**given)
    return parse(read_config(Path(given))) if is_run(given) else load_config(given)


def is_run(given: Given) -> bool:
    """Whether it is the path of a run folder."""
    return isinstance(given, str | os.PathLike) and (Path(given) / CONFIG).exists()
