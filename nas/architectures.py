"""An architecture as people name it: a published name, a file, block strings, or a run's winner."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.runs.folder import TRIALS, config_if_run, read_trials
from nas.runs.ranking import why_none
from nas.runs.summary import summary
from nas.runs.trial import Trial
from search_space.architecture import Architecture
from search_space.block_strings import from_block_strings
from search_space.families import PUBLISHED, published
from search_space.lookup import nearest


@dataclass(frozen=True)
class Found:
    """An architecture, and where it was found."""

    architecture: Architecture
    name: str  # what it was asked for as; of an Architecture its arch_id
    run: Path | None = None  # the run folder whose winner it is
    config: Mapping[str, Any] | None = None  # of that run, as it was resolved

    @property
    def classes(self) -> tuple[int, int]:
        """Classes and image channels: those of the run, else ImageNet's."""
        if self.config is None:
            return 1000, 3
        constraints = self.config["space"]["constraints"]
        return constraints["num_classes"], constraints["in_channels"]

    @property
    def image_size(self) -> int | None:
        """What the run was searched at, pixels; None where it is no run's."""
        return None if self.config is None else int(self.config["image_size"])


What = Architecture | os.PathLike[str] | str  # whatever an architecture may be asked for as


def find(what: What) -> Found:
    """Find an architecture and, where it is a run's winner, that run.

    Args:
        what: an Architecture, a run, or a name in any form that `find_architecture` takes.
    Raises: ValueError as `find_architecture` does.
    """
    if isinstance(what, Architecture):
        return Found(what, what.arch_id)
    name = os.fspath(what)
    architecture, config = find_architecture(name), config_if_run(Path(name))
    return Found(architecture, name, None if config is None else Path(name), config)


def find_architecture(what: os.PathLike[str] | str) -> Architecture:
    """Find the architecture that a name means.

    Args:
        what: a published name (`efficientnetv2_s`), a JSON file (an architecture's own, or one that has it under
            `architecture`, as an export has), a run folder (its best), or block strings separated by commas or spaces
            (`r2_k3_s1_e1_i24_o24_c1,r4_k3_s2_e4_i24_o48_c1`).
    Raises: ValueError if it is none of these, or cannot be read.
    """
    text = os.fspath(what)
    if text in PUBLISHED:
        return published(text)
    path = Path(text)
    if (path / "family.json").is_file():
        return _from_file(path / "family.json")  # which says what to name instead
    if path.is_dir():
        return winner(path).architecture
    if path.is_file():
        return _from_file(path)
    strings = text.replace(",", " ").split()
    if strings and "_" in strings[0] and any(character.isdigit() for character in strings[0]) and "k" in strings[0]:
        return from_block_strings(strings)
    if "/" in text:
        raise ValueError(f"no such file or folder: {text}")
    near = nearest(text, PUBLISHED)
    hint = f"; did you mean {near!r}?" if near else f"; published names: {', '.join(PUBLISHED)}"
    raise ValueError(f"no architecture {text!r}: neither a published name, a JSON file, block strings nor a run{hint}")


def _from_file(path: Path) -> Architecture:
    """Read an architecture's own JSON, or a record that has one: an export's, a family member's."""
    try:
        record = json.loads(path.read_text())
        if isinstance(record, dict) and "members" in record:
            raise ValueError(f"a family of several architectures; name one: {_sizes(path, record['members'])}")
        own = record.get("architecture") if isinstance(record, dict) else None
        return Architecture.from_dict(record if own is None else own)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _sizes(family: Path, members: Any) -> str:
    try:
        return ", ".join(str(family.with_name(f"{member['size']}.json")) for member in members)
    except (TypeError, KeyError):
        raise ValueError("no readable family") from None


def winner(run: Path) -> Trial:
    """Give the trial of highest reward of a run. Raises ValueError if the run has none."""
    found = summary(run / TRIALS).best
    if found is None:
        raise ValueError(
            f"{run}: {why_none(read_trials(run))}" if (run / TRIALS).exists() else f"{run} is no run folder"
        )
    return found
