"""What a log of trials amounts to: how many, of which status, the best. A large one is not parsed for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nas.runs.folder import TRIALS, parts_of, read_trials
from nas.runs.ranking import best, best_seen, is_scored
from nas.runs.repeats import Estimate, posterior, posterior_of
from nas.runs.trial import Trial

if TYPE_CHECKING:
    from nas.runs.part import Part


@dataclass(frozen=True)
class Summary:
    """What finished trials amount to."""

    answered: frozenset[int]  # their numbers
    statuses: Mapping[str, int]  # status -> trials
    best: Trial | None  # the scored one that is best, see nas/runs/ranking.py
    best_seen: Trial | None  # the scored one of highest reward
    estimate: Estimate | None  # of the best's architecture, where any was trained several times
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
    scored = [trial for trial in trials if is_scored(trial)]
    return Summary(
        answered=frozenset(trial.trial_id for trial in trials),
        statuses=Counter(trial.status for trial in trials),
        best=best(trials),
        best_seen=best_seen(trials),
        estimate=found.winner if (found := posterior_of(scored)) else None,
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
    known: list[_Scored] = []
    device_s = 0.0
    for part in parts:
        numbers, states, scores, seconds, arch_ids = part.values(
            of.TRIAL_ID, of.STATUS, of.SCORE, of.DEVICE_S, of.ARCH_ID
        )
        answered.update(numbers)
        statuses.update(states)
        device_s = sum((each or 0 for each in seconds), device_s)
        known += [
            _Scored(score, arch_id, part, row)
            for row, (score, arch_id) in enumerate(zip(scores, arch_ids, strict=True))
            if score is not None
        ]
    [last] = parts[-1].values(of.ENDED_AT)
    highest, winner = max(known, key=lambda one: one.reward, default=None), None
    best_one = highest
    if len({one.arch_id for one in known}) < len(known):
        found = posterior([one.arch_id for one in known], [one.reward for one in known], _errors(parts))
        winner = found.winner
        best_one = max((one for one in known if one.arch_id == winner.arch_id), key=lambda one: one.reward)
    return Summary(
        answered=frozenset(answered),
        statuses=statuses,
        best=None if best_one is None else trial_at(log, best_one.part, best_one.row),
        best_seen=None if highest is None else trial_at(log, highest.part, highest.row),
        estimate=winner,
        device_s=device_s,
        ended_at=last[-1],
    )


class _Scored(NamedTuple):
    reward: float
    arch_id: str
    part: Part
    row: int


def _errors(parts: Sequence[Part]) -> list[float]:
    """Standard errors of the scored trials' rewards; NaN where not known."""
    from nas.runs import part as of
    from nas.runs.encoding import decoded

    found: list[float] = []
    for part in parts:
        columns = {name: decoded(column) for name, column in part.columns((of.SCORE, "=reward_se")).items()}
        scores = columns[of.SCORE]
        errors = columns.get("=reward_se") or [None] * len(scores)
        found += [
            error if isinstance(error, int | float) else math.nan
            for score, error in zip(scores, errors, strict=True)
            if score is not None
        ]
    return found
