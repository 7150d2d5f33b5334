"""What a log of trials amounts to: how many, of which status, the best. A large one is not parsed for it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.runs.chosen import Notes, chosen
from nas.runs.folder import TRIALS, parts_of, read_trials
from nas.runs.ranking import score
from nas.runs.repeats import Estimate
from nas.runs.trial import Trial

if TYPE_CHECKING:
    from nas.runs.part import Part

Floats = NDArray[np.float64]


class Scores(NamedTuple):
    """Rewards of all finished trials, in the order of the log."""

    architectures: Sequence[str]  # arch_ids
    rewards: Floats  # NaN of a trial that does not count in a ranking
    errors: Floats  # standard errors of the rewards; NaN where not known


@dataclass(frozen=True)
class Summary:
    """What finished trials amount to."""

    answered: frozenset[int]  # their numbers
    statuses: Mapping[str, int]  # status -> trials
    best: Trial | None  # the scored one that is best, see nas/runs/ranking.py
    best_seen: Trial | None  # the scored one of highest reward
    estimate: Estimate | None  # of the best's architecture, where more is known than single rewards
    scores: Scores = field(repr=False, compare=False)
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
    scores = Scores(
        [trial.arch_id for trial in trials],
        _floats([score(trial) for trial in trials]),
        _floats([trial.reward_se for trial in trials]),
    )
    best, seen, estimate = _best_of(scores, [trial.proposal for trial in trials])
    return Summary(
        answered=frozenset(trial.trial_id for trial in trials),
        statuses=Counter(trial.status for trial in trials),
        best=None if best is None else trials[best],
        best_seen=None if seen is None else trials[seen],
        estimate=estimate,
        scores=scores,
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
    device_s, ends = 0.0, [*accumulate(part.rows for part in parts)]
    for part in parts:
        numbers, states, seconds = part.values(of.TRIAL_ID, of.STATUS, of.DEVICE_S)
        answered.update(numbers)
        statuses.update(states)
        device_s = sum((each or 0 for each in seconds), device_s)
    [last] = parts[-1].values(of.ENDED_AT)
    scores = _scores(parts)
    best, seen, estimate = _best_of(scores, [text for part in parts for text in part.values("=proposal")[0]])

    def trial(place: int | None) -> Trial | None:
        if place is None:
            return None
        part = bisect_right(ends, place)
        return trial_at(log, parts[part], place - (ends[part] - parts[part].rows))

    return Summary(
        answered=frozenset(answered),
        statuses=statuses,
        best=trial(best),
        best_seen=trial(seen),
        estimate=estimate,
        scores=scores,
        device_s=device_s,
        ended_at=last[-1],
    )


def _scores(parts: Sequence[Part]) -> Scores:
    from nas.runs import part as of

    architectures: list[str] = []
    rewards, errors = [], []
    for part in parts:
        known = [name for name in ("=reward_se",) if name in part.first]
        arch_ids, scores, *of_rewards = part.values(of.ARCH_ID, of.SCORE, *known)
        architectures += arch_ids
        rewards.append(_floats(scores))
        errors.append(_floats(of_rewards[0] if of_rewards else [None] * part.rows))
    return Scores(architectures, np.concatenate(rewards), np.concatenate(errors))


def _floats(values: Sequence[Any]) -> Floats:
    """NaN for what is no number: nothing, or MISSING."""
    if {*map(type, values)} <= {float, int, NoneType}:  # which numpy takes at once
        return np.array(values, dtype=np.float64)
    return np.array([each if isinstance(each, int | float) else math.nan for each in values], dtype=np.float64)


def _best_of(scores: Scores, notes: Sequence[Any]) -> tuple[int | None, int | None, Estimate | None]:
    """Where the best trial stands, and that of highest reward; the best's estimate, see Summary."""
    known = np.flatnonzero(np.isfinite(scores.rewards))
    if not len(known):
        return None, None, None
    seen = int(known[np.argmax(scores.rewards[known])])
    winner = chosen(
        [scores.architectures[n] for n in known.tolist()],
        scores.rewards[known].tolist(),
        scores.errors[known].tolist(),
        Notes([notes[n] for n in known.tolist()]),
    )
    if winner is None:
        return seen, seen, None
    own = [n for n in known.tolist() if scores.architectures[n] == winner.arch_id]
    return own[int(np.argmax(scores.rewards[own]))], seen, winner
