"""An architecture as people name it: a published name, a file, block strings, or a run's winner."""

from __future__ import annotations

import difflib
from pathlib import Path

from nas.search.ledger import TRIALS
from nas.search.log import read_lines
from nas.trial import Trial
from search_space.architecture import Architecture, from_block_strings
from search_space.families import PUBLISHED, published


def find_architecture(text: str) -> Architecture:
    """Find the architecture that `text` means.

    Args:
        text: a published name (`efficientnetv2_s`), a JSON file, a run folder (its best), or block strings separated by
            commas or spaces (`r2_k3_s1_e1_i24_o24_c1,r4_k3_s2_e4_i24_o48_c1`).
    Raises: ValueError if it is none of these, or cannot be read.
    """
    if text in PUBLISHED:
        return published(text)
    path = Path(text)
    if path.is_dir():
        return winner(path).architecture
    if path.is_file():
        try:
            return Architecture.from_json(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    strings = text.replace(",", " ").split()
    if strings and "_" in strings[0] and any(character.isdigit() for character in strings[0]) and "k" in strings[0]:
        return from_block_strings(strings)
    near = difflib.get_close_matches(text, PUBLISHED, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; published names: {', '.join(PUBLISHED)}"
    raise ValueError(f"no architecture {text!r}: neither a published name, a JSON file, block strings nor a run{hint}")


def winner(run: Path) -> Trial:
    """Give the trial of highest reward of a run. Raises ValueError if the run has none."""
    records = read_lines(run / TRIALS)
    scored = [record for record in records if record.get("status") == "ok" and record.get("reward") is not None]
    if not scored:
        raise ValueError(f"{run} has no finished trial yet" if (run / TRIALS).exists() else f"{run} is no run folder")
    return Trial.from_dict(max(scored, key=lambda record: record["reward"]))
