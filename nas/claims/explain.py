"""What mattered in a search: how much each decision explains, its best choice, and the way from reference to winner."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.claims.anova import Floats, Posterior, analyse, shortest_interval
from nas.runs.columns import objective
from nas.runs.folder import read_config, read_trials
from nas.runs.ranking import best, estimate_of, is_scored
from nas.runs.repeats import Estimate
from nas.runs.trial import KINDS, Trial
from search_space.architecture import Architecture
from search_space.space import SearchSpace

LEAST_TRIALS = 10
_COSTS = ("s_normalised", "p_normalised", "step_time_ms", "params")  # what is no news at equal cost


@dataclass(frozen=True)
class ChoiceEffect:
    """What one choice of a decision does to the number, against the mean of the decision's choices."""

    choice: Any
    trials: int  # that had it
    effect: float  # in the number's units
    low: float
    high: float
    chance_best: float  # probability that no other choice of this decision is better
    effect_at_equal_cost: float | None = None  # the same between trials of equal step time and parameters
    chance_best_at_equal_cost: float | None = None


@dataclass(frozen=True)
class DecisionImportance:
    """How much of the number's variance over the space one decision explains by itself."""

    decision: str  # such as stage3_kernel_size
    importance: float  # share of the variance: the mean of its posterior
    low: float
    high: float
    choices: tuple[ChoiceEffect, ...]  # best first

    @property
    def best(self) -> ChoiceEffect:
        """The choice of the greatest (or least) effect."""
        return self.choices[0]

    @property
    def best_at_equal_cost(self) -> ChoiceEffect | None:
        """The same between trials of equal step time and parameters; None where these were not taken out."""
        known = [each for each in self.choices if each.chance_best_at_equal_cost is not None]
        return max(known, key=lambda each: each.chance_best_at_equal_cost or 0.0, default=None)


@dataclass(frozen=True)
class PathStep:
    """One decision changed on the way from one architecture to another."""

    decision: str
    before: Any
    after: Any
    gain: float  # of the number, predicted
    low: float
    high: float
    value: float  # of the number after this change, predicted


@dataclass(frozen=True)
class Explanation:
    """What mattered for one number of a search's trials."""

    column: str
    more_is_better: bool
    trials: int
    confidence: float
    decisions: tuple[DecisionImportance, ...]  # the most important first
    rest: float  # share of the variance that no single decision explains: interactions, and noise
    rest_low: float
    rest_high: float
    noise: float | None  # share that the number's standard error explains; None where it has none
    path: tuple[PathStep, ...]  # from the reference network to the winner, the greatest gain first
    start: float | None  # predicted of the reference network; None if it is no architecture of the space
    chosen: Estimate | None = None  # how sure the choice of winner is; None = single rewards are all that is known


def explain(
    run: str | os.PathLike[str], column: str = "reward", *, confidence: float = 0.95, seed: int = 0
) -> Explanation:
    """Say what mattered for a number of a run's trials.

    Importance is the variance of a decision's main effect over the space, with every choice equally likely, as a share
    of all: of functional ANOVA the parts of first order. A search that learns draws choices neither uniformly nor
    independently; what is stated is corrected for that as far as effects add up, and no further.

    Args:
        run: folder, or an opened run.
        column: any number of the trials; `-name` or `+name` says which direction is better where the table of columns
            does not.
        confidence: of the intervals.
        seed: of the draws.
    Raises: ValueError for a column that there is not, a space without decisions, or fewer than 10 trials that have the
        number.
    """
    folder = Path(run)
    config, trials = read_config(folder), read_trials(folder)
    found, reference = best(trials), config.get("reference")
    try:
        explained = explain_trials(
            trials,
            SearchSpace.from_dict(config["space"]),
            column,
            reference=None if reference is None else Architecture.from_dict(reference),
            winner=None if found is None else found.architecture,
            confidence=confidence,
            seed=seed,
        )
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    return replace(explained, chosen=estimate_of([trial for trial in trials if is_scored(trial)]))


def explain_trials(
    trials: Sequence[Trial],
    space: SearchSpace,
    column: str = "reward",
    *,
    reference: Architecture | None = None,
    winner: Architecture | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Explanation:
    """Say what mattered for a number of these trials, as `explain` does of all of a run's.

    Args:
        space: whose decisions these are.
        reference, winner: the ends of the path; without both there is none.
    Raises: ValueError as `explain` does.
    """
    name, more = objective(column, numbers(trials))
    measured = _measured(space, trials, name)
    asked = _Asked(1 if more else -1, confidence)
    fitted = measured.analyse(seed)
    costs = None if name in _COSTS else _log_costs(measured.trials)
    at_equal_cost = None if costs is None else measured.analyse(seed, costs)
    path, start = _way(measured, fitted, reference, winner, asked)
    low, high = shortest_interval(fitted.rest_share[:, None], confidence)
    return Explanation(
        column=name,
        more_is_better=more,
        trials=len(measured.trials),
        confidence=confidence,
        decisions=_importances(measured, fitted, at_equal_cost, asked),
        rest=float(fitted.rest_share.mean()),
        rest_low=float(low[0]),
        rest_high=float(high[0]),
        noise=_noise(measured.trials, name, fitted),
        path=path,
        start=start,
    )


@dataclass(frozen=True)
class _Asked:
    sign: int  # 1 where more is better, -1 where less is
    confidence: float

    def interval(self, draws: Floats) -> tuple[float, float]:
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(draws, [tail, 1 - tail])
        return float(low), float(high)


@dataclass(frozen=True)
class _Measured:
    """Trials that have the number, and what they chose."""

    space: SearchSpace
    trials: list[Trial]
    codes: NDArray[np.int64]  # (trials, decisions)
    values: Floats

    def analyse(self, seed: int, covariates: Floats | None = None) -> Posterior:
        choices = [len(decision.choices) for decision in self.space.decisions]
        active = self.space.active(self.codes) if self.space.is_conditional else None
        return analyse(self.codes, choices, self.values, active=active, covariates=covariates, seed=seed)


def _measured(space: SearchSpace, trials: Sequence[Trial], name: str) -> _Measured:
    used = [trial for trial in trials if trial.status == "ok" and math.isfinite(number(trial, name))]
    if not space.decisions:
        raise ValueError("its space has no decision to explain anything by")
    if len(used) < LEAST_TRIALS:
        raise ValueError(
            f"{name} can be explained from {LEAST_TRIALS} trials on, and {len(used)} have it: search on for more"
        )
    codes = np.array([space.encode(trial.architecture) for trial in used])
    return _Measured(space, used, codes, np.array([number(trial, name) for trial in used]))


def number(trial: Trial, name: str) -> float:
    """Give a trial's number; NaN where it has none."""
    value = trial.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def numbers(trials: Sequence[Trial]) -> list[str]:
    """Name the columns that are numbers in some trial."""
    names = {name for trial in trials for name in (*KINDS, *trial.metrics)}
    return sorted(name for name in names if any(math.isfinite(number(trial, name)) for trial in trials))


def _log_costs(trials: Sequence[Trial]) -> Floats | None:
    """Logarithms of step time and parameters, (trials, 2); None where they are not known of all."""
    costs = np.array([[number(trial, name) for name in ("s_normalised", "p_normalised")] for trial in trials])
    return np.log(costs) if bool((np.isfinite(costs) & (costs > 0)).all()) else None


def _noise(trials: Sequence[Trial], name: str, fitted: Posterior) -> float | None:
    """The share of the variance that the number's own standard error makes."""
    errors = np.array([number(trial, f"{name}_se") for trial in trials])
    known = errors[np.isfinite(errors)]
    return min(1.0, float((known**2).mean()) / float(fitted.variance.mean())) if len(known) else None


def _importances(
    measured: _Measured, fitted: Posterior, at_equal_cost: Posterior | None, asked: _Asked
) -> tuple[DecisionImportance, ...]:
    shares = fitted.shares
    low, high = shortest_interval(shares, asked.confidence)
    found = [
        DecisionImportance(
            decision=decision.name,
            importance=float(shares[:, d].mean()),
            low=float(low[d]),
            high=float(high[d]),
            choices=_choices(
                decision.choices,
                measured.codes[:, d],
                fitted.effects[d],
                None if at_equal_cost is None else at_equal_cost.effects[d],
                asked,
            ),
        )
        for d, decision in enumerate(measured.space.decisions)
    ]
    return tuple(sorted(found, key=lambda each: -each.importance))


def _choices(
    names: Sequence[Any], codes: NDArray[np.int64], effects: Floats, at_equal_cost: Floats | None, asked: _Asked
) -> tuple[ChoiceEffect, ...]:
    chances = _chances_best(effects, asked)
    equal = [None] * len(names) if at_equal_cost is None else at_equal_cost.mean(axis=0).tolist()
    equal_chances = [None] * len(names) if at_equal_cost is None else _chances_best(at_equal_cost, asked)
    found = []
    for c, name in enumerate(names):
        low, high = asked.interval(effects[:, c])
        effect, trials = float(effects[:, c].mean()), int((codes == c).sum())
        found.append(ChoiceEffect(name, trials, effect, low, high, chances[c], equal[c], equal_chances[c]))
    return tuple(sorted(found, key=lambda each: -asked.sign * each.effect))


def _chances_best(effects: Floats, asked: _Asked) -> list[float]:
    winners = (asked.sign * effects).argmax(axis=1)
    return [float(share) for share in np.bincount(winners, minlength=effects.shape[1]) / len(effects)]


def _way(
    measured: _Measured, fitted: Posterior, reference: Architecture | None, winner: Architecture | None, asked: _Asked
) -> tuple[tuple[PathStep, ...], float | None]:
    """Give the changes that lead from the reference network to the winner, and what is predicted of the former."""
    if reference is None or winner is None:
        return (), None
    try:
        start = measured.space.encode(reference)
    except ValueError:  # another space's network
        return (), None
    end = measured.space.encode(winner)
    gains = {d: fitted.effects[d][:, end[d]] - fitted.effects[d][:, start[d]] for d in np.flatnonzero(start != end)}
    of_trials = sum(each[:, measured.codes[:, d]].mean(axis=0) for d, each in enumerate(fitted.effects))
    level = float((measured.values - of_trials).mean())
    first = value = level + float(sum(each[:, start[d]].mean() for d, each in enumerate(fitted.effects)))
    steps = []
    for d in sorted(gains, key=lambda d: -asked.sign * float(gains[d].mean())):
        decision, gain = measured.space.decisions[d], float(gains[d].mean())
        value += gain
        low, high = asked.interval(gains[d])
        before, after = decision.choices[start[d]], decision.choices[end[d]]
        steps.append(PathStep(decision.name, before, after, gain, low, high, value))
    return tuple(steps), first
