"""What a log of trials amounts to: how many, of which status, the best. A large one is not parsed for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.runs.folder import TRIALS, parts_of, read_trials
from nas.runs.ranking import best
from nas.runs.trial import Trial

if TYPE_CHECKING:
    from nas.runs.part import Part


@dataclass(frozen=True)
class Summary:
    """What finished trials amount to."""

    answered: frozenset[int]  # their numbers
    statuses: Mapping[str, int]  # status -> trials
    best: Trial | None  # the scored one of highest reward
    device_s: float  # that they took
    ended_at: str | None  # when the last one did

    @property
    def trials(self) -> int:
        """How many there are."""
        return sum(self.statuses.values())


def summary(log: Path) -> Summary:
    """Sum up a `trials.jsonl`. Raises ValueError as `read_trials` does."""
    if parts := parts_of(log):
        return _of_parts(log, parts)
    trials = read_trials(log)
    return Summary(
        answered=frozenset(trial.trial_id for trial in trials),
        statuses=Counter(trial.status for trial in trials),
        best=best(trials),
        device_s=sum(trial.device_s or 0 for trial in trials),
        ended_at=trials[-1].ended_at if trials else None,
    )


def read_trial(run: Path, trial_id: int) -> Trial:
    """Read one trial of a run. Raises ValueError if there is none of that number."""
    log = run if run.suffix == ".jsonl" else run / TRIALS
    if parts := parts_of(log):
        from nas.runs.rebuilt import trial_with

        found = trial_with(log, parts, trial_id)
    else:
        found = {trial.trial_id: trial for trial in read_trials(run)}.get(trial_id)
    if found is None:
        raise ValueError(f"{run} has no trial {trial_id}")
    return found


def _of_parts(log: Path, parts: Sequence[Part]) -> Summary:
    from nas.runs import part as of
    from nas.runs.rebuilt import trial_at

    answered: set[int] = set()
    statuses: Counter[str] = Counter()
    highest: tuple[float, Part, int] | None = None
    device_s = 0.0
    for part in parts:
        numbers, states, scores, seconds = part.values(of.TRIAL_ID, of.STATUS, of.SCORE, of.DEVICE_S)
        answered.update(numbers)
        statuses.update(states)
        device_s = sum((each or 0 for each in seconds), device_s)
        reward, place = max(((s, -row) for row, s in enumerate(scores) if s is not None), default=(None, 0))
        if reward is not None and (highest is None or reward > highest[0]):
            highest = reward, part, -place
    [last] = parts[-1].values(of.ENDED_AT)
    return Summary(
        answered=frozenset(answered),
        statuses=statuses,
        best=None if highest is None else trial_at(log, highest[1], highest[2]),
        device_s=device_s,
        ended_at=last[-1],
    )
