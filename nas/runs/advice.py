"""May a search stop? What its next trials are expected to gain, beside how well its best is known; by its log alone.

Two estimates are weighed, for each errs where the other does not. One takes the best to go on growing as it did, with
the logarithm of the number of trials; the other takes further proposals to be like the latest ones, normally
distributed. The weights, and the parts of the log that are looked at, were chosen on simulated searches and then tested
on others (experiments/benchmarks/stopping.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.runs.objectives import objectives_of
from nas.runs.ranking import score
from nas.runs.repeats import Posterior, posterior
from nas.runs.trial import Trial

Floats = NDArray[np.float64]

AHEAD = 10  # trials that the expectation is of
LEAST = 20  # scored architectures without which nothing is said


@dataclass(frozen=True)
class StopAdvice:
    """What the next AHEAD trials of a search are expected to gain, and how well its best is known."""

    architectures: int  # scored, from which this is estimated
    expected_gain: float  # rise of the true mean reward of the best
    best: float  # posterior mean of the best architecture's reward, see nas/runs/repeats.py
    best_sd: float | None  # its standard deviation; None = no trial's error is known, and none was repeated

    @property
    def within_noise(self) -> bool | None:
        """Whether less is gained than can be told; None where no error is known. It adds up all the same."""
        return None if self.best_sd is None else self.expected_gain < self.best_sd

    def __str__(self) -> str:
        """In words that fit a line of a terminal."""
        known = "" if self.best_sd is None else f", the best is known to ±{self.best_sd:.2g}"
        return f"{self.expected_gain:.2g} by {AHEAD} more trials{known}"


def advise(architectures: Sequence[str], rewards: ArrayLike, errors: ArrayLike) -> StopAdvice | None:
    """Say what further trials are expected to gain; None while fewer than LEAST architectures are scored.

    Args:
        architectures: arch_ids of the finished trials, in the order of the log.
        rewards: (N,); NaN of those that are not scored: of the next ones as many will not be, in proportion.
        errors: (N,): standard errors of the rewards; NaN where not known.
    """
    values, known = np.asarray(rewards, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    scored = np.flatnonzero(np.isfinite(values))
    if len(scored) < LEAST:
        return None
    unscored = len(values) - len(scored)
    ids, values, known = [architectures[n] for n in scored.tolist()], values[scored], known[scored]
    first = _first(ids)
    if len(first) < LEAST:
        return None
    noisy = len(first) < len(ids) or bool(np.isfinite(known).any())
    unit = float(np.abs(values).max()) or 1.0  # rewards of anybody's, of any size: their squares are numbers
    with np.errstate(over="ignore"):
        values, known = values / unit, known / unit
    found = posterior(ids, values, known if noisy else np.zeros(len(ids)))
    new, ahead = values[first], AHEAD * len(first) / (len(first) + unscored)
    gain = _OF_GROWTH * _growth(new, found, ahead) + _OF_DRAWS * _draws(new, found, ahead)
    best = found.winner
    return StopAdvice(len(first), unit * gain, unit * best.mean, unit * best.std if noisy else None)


def _first(ids: Sequence[str]) -> NDArray[np.int64]:
    """Where each architecture's first training stands."""
    if len(set(ids)) == len(ids):
        return np.arange(len(ids))
    return np.sort([*{each: n for n, each in zip(range(len(ids) - 1, -1, -1), reversed(ids), strict=True)}.values()])


def _growth(rewards: Floats, found: Posterior, ahead: float) -> float:
    """What the best gains if it grows with the logarithm of the number of trials as since a third of them."""
    count = len(rewards)
    begun = max(LEAST // 2, count // 3)
    rise = found.own * float(rewards.max() - rewards[:begun].max())
    return rise / math.log(count / begun) * math.log1p(ahead / count)


def _draws(rewards: Floats, found: Posterior, ahead: float) -> float:
    """What posterior means of new architectures that are like the latest ones exceed the best by, in expectation."""
    latest, best = rewards[-_LATEST:], found.winner.mean
    seen, middle = float(latest.var(ddof=1)), float(latest.mean())
    spread = max(seen - found.noise**2, _LEAST_OWN * seen)
    deviation = spread / math.sqrt(spread + found.noise**2) if spread > 0 else 0.0
    if deviation == 0:
        return max(0.0, middle - best)
    top = max(middle + deviation * (4 + math.sqrt(2 * math.log(AHEAD))), best + deviation)
    at = np.linspace(best, top, 100)  # the expectation is the integral of the chance that the best of them is above
    above = np.array([math.erfc((each - middle) / deviation / math.sqrt(2)) / 2 for each in at.tolist()])
    return float(np.trapezoid(-np.expm1(ahead * np.log1p(-np.minimum(above, 1 - 1e-12))), at))


class Advisor:
    """The advice while trials finish; of many it is not made anew after each, but after each hundredth part of them.

    So a search of any length pays a constant amount a trial, and one that goes on after an interruption is told the
    same as one that was not interrupted.
    """

    def __init__(self) -> None:
        self.architectures: list[str] = []
        self.rewards: list[float] = []
        self.errors: list[float] = []
        self._at = 0  # trials that the last advice is from
        self._known: StopAdvice | None = None

    def count(self, trial: Trial) -> None:
        """Take a finished trial."""
        reward = score(trial)
        self.architectures.append(trial.arch_id)
        self.rewards.append(math.nan if reward is None else reward)
        self.errors.append(math.nan if trial.reward_se is None else trial.reward_se)

    def look(self) -> StopAdvice | None:
        """Give the advice, None while there is none."""
        count = len(self.rewards)
        at = count - count % max(1, count // 100)
        if at != self._at:
            self._at = at
            self._known = advise(self.architectures[:at], self.rewards[:at], self.errors[:at])
        return self._known


def why_not(config: Mapping[str, Any]) -> str | None:
    """Say why a run has no advice; None if it may have one.

    Args:
        config: of the run, plain data.
    """
    return "not said of several objectives" if objectives_of(config) else None


_OF_GROWTH, _OF_DRAWS = 0.25, 0.25
_LATEST = 20
_LEAST_OWN = 0.05
