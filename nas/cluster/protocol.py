"""What the process of the search and the process that talks to Ray have to say to each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Ask = Callable[..., Any]  # asks the process that called for something: `ask(name, *arguments)`
OUTPUT = "output"  # in the folder of temporary files: what Ray has printed before there was a run folder


class NoRay(ValueError):
    """Ray is not to be had: there is none at the address, or it refuses."""


class RayFailed(RuntimeError):
    """Ray failed, or the process that talks to it ended."""


@dataclass(frozen=True)
class Setup:
    """What Ray's process needs to be like the one that started it."""

    address: str | None  # of a cluster; None: start Ray here
    folder: Path  # for temporary files
    path: tuple[str, ...]  # where modules are found
    arguments: tuple[str, ...]
    main: str | None  # the script that runs there: Ray lets workers import what lies beside it
