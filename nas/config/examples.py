"""The configurations that come along, by name: those of experiments/configs, to which nas/examples is a link."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from search_space.lookup import with_hint

Kind = Literal["search", "train"]
FOLDERS: Mapping[Kind, Path] = {
    "search": Path(__file__).parents[1] / "examples",
    "train": Path(__file__).parents[1] / "examples" / "train",
}
_WHAT: Mapping[Kind, str] = {"search": "search", "train": "training"}


def example_configs(kind: Kind | None = None) -> dict[str, Path]:
    """Give the configurations that come along, by name: whatever takes the path of one takes its name as well.

    Args:
        kind: of searches, or of full trainings; None = both.
    """
    folders = FOLDERS.values() if kind is None else (FOLDERS[kind],)
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def find_config(what: os.PathLike[str] | str, kind: Kind) -> Path:
    """Find the file that is meant: a path, or, where no file is there, the name of a configuration that comes along.

    Args:
        what: a path, which goes before a name.
        kind: what it is to configure.
    Raises: ValueError for a name that is neither. A path of no file is given back: who reads it says what is wrong.
    """
    path, known = Path(what), example_configs(kind)
    if path.is_file():
        return path
    if str(path) in known:
        return known[str(path)]
    if path.exists() or path.suffix or len(path.parts) != 1:
        return path
    why = "neither a file nor one that comes along"
    if str(path) in example_configs():
        why = f"it is of a {_WHAT['train' if kind == 'search' else 'search']}; of a {_WHAT[kind]} come along"
    raise ValueError(f"no configuration {str(path)!r}: {why}: {', '.join(known)}")


def example_config(name: str) -> str:
    """Give the text of a configuration that comes along. Raises ValueError for a name of none."""
    known = example_configs()
    if name not in known:
        raise ValueError(f"no configuration {with_hint(name, known)}")
    return known[name].read_text(encoding="utf-8")
