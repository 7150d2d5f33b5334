"""Who is trained again to confirm a search: its best architectures, and baselines."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from nas.architectures import find_architecture
from nas.claims.baselines import REFERENCE, baselines
from nas.families.equal import Quantity
from nas.runs.folder import read_config, read_trials
from nas.runs.ranking import best, ranked, why_none
from search_space.architecture import Architecture

logger = logging.getLogger(__name__)


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
    note: str | None = None  # of a baseline that was made equal: how near it came

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


def contenders(
    run: Path,
    top: int,
    names: Sequence[str],
    equal: Quantity | None,
    *,
    address: str | None = None,
    progress: bool = True,
    say: Callable[[str], None] = logger.info,
) -> list[Contender]:
    """Choose who is trained again: distinct architectures, the best first, then baselines.

    Args:
        run: folder.
        top: the best so many architectures of the run's log; all where there are fewer.
        names: of baselines, as `nas.claims.baselines` takes them. One that is among the best already is left out: it is
            named there.
        equal: what of the winner's cost baselines are made equal in; None = they stay as they are.
        address, progress, say: see there.
    Raises: ValueError for a run without a scored trial, or a baseline that is none.
    """
    found = best_of(run, top)
    known = {each.architecture: number for number, each in enumerate(found)}
    if equal is None or not names:
        asked = [Contender(name, "baseline", _as_it_is(run, name)) for name in names]
    else:
        made = baselines(run, names, equal=equal, address=address, progress=progress, say=say)
        asked = [Contender(each.name, "baseline", each.architecture, note=each.equal.said) for each in made]
    for each in asked:
        if each.architecture in known:
            number = known[each.architecture]
            found[number] = replace(found[number], name=f"{found[number].name} = {each.name}")
            continue
        known[each.architecture] = len(found)
        found.append(each)
    return found


def best_of(run: Path, top: int) -> list[Contender]:
    """Give the best distinct architectures of a run's log: its winner, then by their best trials' rewards.

    Raises: ValueError if none was scored.
    """
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
    winner = best(trials)
    assert winner is not None  # one is scored
    return sorted(first.values(), key=lambda each: each.architecture != winner.architecture)[:top]


def _as_it_is(run: Path, name: str) -> Architecture:
    if name == REFERENCE:
        return Architecture.from_dict(read_config(run)["reference"])
    try:
        return find_architecture(name)
    except ValueError as error:
        raise ValueError(f"baseline {name!r} is not {REFERENCE}, and {error}") from None
