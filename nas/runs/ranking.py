"""Which trials count as scored and which is best: defined here, and nowhere else."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from nas.runs.chosen import chosen
from nas.runs.repeats import Estimate, errors_of
from nas.runs.trial import Trial


def counts(status: Any, reward: Any) -> bool:
    """Whether a trial of this status and reward is scored: answered ok, with a finite reward (0 and below included)."""
    return status == "ok" and isinstance(reward, int | float) and math.isfinite(reward)


def is_scored(trial: Trial) -> bool:
    """Whether a trial counts in a ranking."""
    return counts(trial.status, trial.reward)


def score(trial: Trial) -> float | None:
    """Give the reward of a trial that counts in a ranking, else None."""
    return trial.reward if is_scored(trial) else None


def ranked(trials: Iterable[Trial]) -> list[Trial]:
    """Give the scored trials, best first; of equal rewards the one that finished first."""
    return sorted(filter(is_scored, trials), key=lambda trial: -(trial.reward or 0.0))


def best(trials: Iterable[Trial]) -> Trial | None:
    """Give the best scored trial, None if none is scored.

    Where more is known than single rewards, it is a trial of the architecture of highest posterior mean, see
    nas/runs/chosen.py: of that the one of highest reward. Else it is the trial of highest reward, the first of equals.
    """
    scored = [trial for trial in trials if is_scored(trial)]
    if found := estimate_of(scored):
        scored = [trial for trial in scored if trial.arch_id == found.arch_id]
    return best_seen(scored)


def estimate_of(scored: Sequence[Trial]) -> Estimate | None:
    """Say which architecture of scored trials is best, see nas/runs/chosen.py; None where single rewards are all."""
    ids, rewards = [trial.arch_id for trial in scored], [trial.reward or 0.0 for trial in scored]
    return chosen(ids, rewards, errors_of(scored), [trial.proposal for trial in scored])


def best_seen(trials: Iterable[Trial]) -> Trial | None:
    """Give the scored trial of highest reward, lucky or not, the first of equals; None if none is scored."""
    return max(filter(is_scored, trials), key=lambda trial: trial.reward or 0.0, default=None)


def why_none(trials: Sequence[Trial]) -> str:
    """Say in a line why none of a run's trials is the best: what became of them, and the last errors."""
    if not trials:
        return "it has no finished trial yet"
    statuses = ", ".join(f"{status} {n}" for status, n in sorted(Counter(trial.status for trial in trials).items()))
    said: dict[str, int] = {}  # the same error of many trials is one
    for trial in reversed(trials):
        if trial.error:
            said.setdefault(trial.error, trial.trial_id)
    errors = "; ".join(f"trial {number}: {error}" for error, number in [*said.items()][:_ERRORS])
    last = f"; the last errors: {errors}" if errors else ""
    return f"none of {len(trials)} trials was scored: {statuses}{last}"


_ERRORS = 3
