"""Which architecture a search chooses: the one of the highest posterior mean, where more is known than single rewards.

Of many noisy rewards the highest is lucky. Where architectures were trained several times, their posterior is that of
nas/runs/repeats.py. Else, where a model proposed, it notes in each proposal which of the trials told until then it
takes for the best (WINNER). Trials that came after the latest note are weighed by what had been predicted of them, as
the model itself would, but for what they say of each other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from nas.runs.repeats import Estimate, posterior

WINNER = "winner_by_model"  # of a proposal's notes: arch_id, mean, std, noise, chance; `after` which trial


class Notes(Sequence[Mapping[str, Any]]):
    """Notes of proposals, of which some are JSON: that is parsed when it is looked at, for most is not.

    Args:
        notes: mappings, JSON objects, or what is none: that counts as empty.
    """

    def __init__(self, notes: Sequence[Any]) -> None:
        self.notes = notes

    def __len__(self) -> int:
        return len(self.notes)

    def __getitem__(self, n: Any) -> Any:
        found = self.notes[n]
        if isinstance(found, str):
            found = json.loads(found) if WINNER in found else {}
        return found if isinstance(found, Mapping) else {}


def chosen(
    architectures: Sequence[str],
    rewards: Sequence[float],
    errors: Sequence[float],
    notes: Sequence[Mapping[str, Any]],
) -> Estimate | None:
    """Say which architecture is best, and how well that is known; None where nothing is known but single rewards.

    Args:
        architectures: arch_ids of the scored trials, in the order of the log.
        rewards, errors: theirs; an error is NaN where it is not known.
        notes: of the proposals.
    """
    if not len(architectures):
        return None
    if len(set(architectures)) < len(architectures):
        return posterior(architectures, rewards, errors).winner
    at = _latest(notes)
    if at is None:
        return None
    noted = notes[at][WINNER]
    places = {arch_id: n for n, arch_id in enumerate(architectures)}
    if noted["arch_id"] not in places:  # of an earlier search, from which this one started
        return None
    found = Estimate(noted["arch_id"], noted["mean"], noted["std"], 1, noted["chance"])
    for n in range(places.get(noted["after"], at) + 1, len(architectures)):
        later = _weighed(architectures[n], rewards[n], notes[n])
        if later is not None and later.mean > found.mean:
            found = later
    return found


def _latest(notes: Sequence[Mapping[str, Any]]) -> int | None:
    """Where the last note of a winner stands."""
    raw = notes.notes if isinstance(notes, Notes) else notes  # of a hundred thousand none may have one
    for n in range(len(raw) - 1, -1, -1):
        if isinstance(raw[n], _NOTE) and WINNER in raw[n] and WINNER in notes[n]:
            return n
    return None


_NOTE = (str, Mapping)


def _weighed(arch_id: str, reward: float, notes: Mapping[str, Any]) -> Estimate | None:
    """What the model would have of an architecture after its training; None if it did not propose it."""
    if WINNER not in notes:
        return None
    before, noise = notes["predicted_std"] ** 2, notes[WINNER]["noise"] ** 2
    share = before / (before + noise)
    mean = notes["predicted_reward"] + share * (reward - notes["predicted_reward"])
    return Estimate(arch_id, mean, math.sqrt(share * noise), 1)
