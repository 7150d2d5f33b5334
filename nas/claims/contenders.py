"""Who is trained again to confirm a search: its best architectures, and baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from nas.architectures import find_architecture
from nas.runs.folder import read_config, read_trials
from nas.runs.ranking import ranked, why_none
from search_space.architecture import Architecture

REFERENCE = "reference"


@dataclass(frozen=True)
class Contender:
    """An architecture, and what the search knows of it."""

    name: str  # such as `trial 12`, or what a baseline was asked for as
    role: Literal["found", "baseline"]
    architecture: Architecture
    trial_id: int | None = None  # of the search; the best trial of this architecture
    search_rank: int | None = None  # among the search's architectures, by their best trials' rewards, from 1
    search_accuracy: float | None = None
    search_reward: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `from_dict` gives an equal one back."""
        return {**vars(self), "architecture": self.architecture.to_dict()}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Contender:
        """Read what `to_dict` gave. Raises ValueError for what is no such record."""
        try:
            return cls(**{**record, "architecture": Architecture.from_dict(record["architecture"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"no record of a contender: {error}") from None


def contenders(run: Path, top: int, baselines: Sequence[str]) -> list[Contender]:
    """Choose who is trained again: distinct architectures, the best first, then baselines.

    Args:
        run: folder.
        top: the best so many architectures of the run's log; all where there are fewer.
        baselines: `reference`, the run's, or what `find_architecture` takes. One that is among the best already is left
            out: it is named there.
    Raises: ValueError for a run without a scored trial, or a baseline that is none.
    """
    found = best_of(run, top)
    known = {each.architecture: number for number, each in enumerate(found)}
    for name in baselines:
        architecture = _baseline(run, name)
        if architecture in known:
            number = known[architecture]
            found[number] = replace(found[number], name=f"{found[number].name} = {name}")
            continue
        known[architecture] = len(found)
        found.append(Contender(name, "baseline", architecture))
    return found


def best_of(run: Path, top: int) -> list[Contender]:
    """Give the best distinct architectures of a run's log. Raises ValueError if none was scored."""
    trials = read_trials(run)
    first: dict[Architecture, Contender] = {}
    for trial in ranked(trials):
        if trial.architecture not in first:
            rank, name = len(first) + 1, f"trial {trial.trial_id}"
            first[trial.architecture] = Contender(
                name, "found", trial.architecture, trial.trial_id, rank, trial.accuracy, trial.reward
            )
    if not first:
        raise ValueError(f"{run}: {why_none(trials)}")
    return [*first.values()][:top]


def _baseline(run: Path, name: str) -> Architecture:
    if name == REFERENCE:
        return Architecture.from_dict(read_config(run)["reference"])
    try:
        return find_architecture(name)
    except ValueError as error:
        raise ValueError(f"baseline {name!r} is not {REFERENCE}, and {error}") from None
