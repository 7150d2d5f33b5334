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
    places = {arch_id: n for n, arch_id in enumerate(architectures)}
    if len(places) < len(architectures):
        return posterior(architectures, rewards, errors).winner
    at = _latest(notes, places)
    if at is None:
        return None
    noted = notes[at][WINNER]
    if noted["arch_id"] not in places:  # of an earlier search, from which this one started
        return None
    found = Estimate(noted["arch_id"], noted["mean"], noted["std"], 1, noted["chance"])
    begin = places.get(noted["after"], at) + 1
    usual = _usual(rewards[:begin])
    for n in range(begin, len(architectures)):
        later = _weighed(architectures[n], rewards[n], notes[n], noted["noise"], usual)
        if later.mean > found.mean:
            found = later
    return found


def _latest(notes: Sequence[Mapping[str, Any]], places: Mapping[str, int]) -> int | None:
    """Where the note of a winner stands that knows most trials: a slow trial may end last, with an old one."""
    raw = notes.notes if isinstance(notes, Notes) else notes  # of a hundred thousand none may have one
    found: list[tuple[int, int]] = []
    for n in range(len(raw) - 1, -1, -1):
        if isinstance(raw[n], _NOTE) and WINNER in raw[n] and WINNER in notes[n]:
            found.append((places.get(notes[n][WINNER]["after"], -1), n))
            if len(found) == _NOTES:
                break
    return max(found, default=(0, None))[1]


def _usual(rewards: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation of rewards."""
    mean = sum(rewards) / max(1, len(rewards))
    return mean, math.sqrt(sum((each - mean) ** 2 for each in rewards) / max(1, len(rewards) - 1))


_NOTES = 200  # of winners, the latest, of which one is taken
_NOTE = (str, Mapping)


def _weighed(
    arch_id: str, reward: float, notes: Mapping[str, Any], noise: float, usual: tuple[float, float]
) -> Estimate:
    """What the model would have of an architecture after its training, which it did not know yet.

    Args:
        noise: standard deviation of a reward around the truth, by a note that the trial may lack.
        usual: mean and standard deviation of rewards: what is expected of a trial of which nothing was predicted.
    """
    expected, std = usual
    if WINNER in notes:
        expected, std, noise = notes["predicted_reward"], notes["predicted_std"], notes[WINNER]["noise"]
    size = math.hypot(std, noise)
    share = (std / size) ** 2 if size > 0 else 1.0
    return Estimate(arch_id, expected + share * (reward - expected), math.sqrt(share) * noise, 1)
