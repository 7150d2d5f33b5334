"""An architecture as people name it: a published name, a file, block strings, or a run's winner."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

from nas.runs.log import read_lines
from nas.runs.trial import Trial
from nas.search.ledger import TRIALS
from search_space.architecture import Architecture
from search_space.block_strings import from_block_strings
from search_space.families import PUBLISHED, published


def find_architecture(text: str) -> Architecture:
    """Find the architecture that `text` means.

    Args:
        text: a published name (`efficientnetv2_s`), a JSON file (an architecture's own, or one that has it under
            `architecture`, as an export has), a run folder (its best), or block strings separated by commas or spaces
            (`r2_k3_s1_e1_i24_o24_c1,r4_k3_s2_e4_i24_o48_c1`).
    Raises: ValueError if it is none of these, or cannot be read.
    """
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
    near = difflib.get_close_matches(text, PUBLISHED, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; published names: {', '.join(PUBLISHED)}"
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
    records = read_lines(run / TRIALS)
    scored = [record for record in records if record.get("status") == "ok" and record.get("reward") is not None]
    if not scored:
        raise ValueError(f"{run} has no finished trial yet" if (run / TRIALS).exists() else f"{run} is no run folder")
    return Trial.from_dict(max(scored, key=lambda record: record["reward"]))
