"""Several trainings of one architecture, under other seeds: their mean, and the posterior of that.

What looks best of many is partly lucky. A training's reward scatters around its architecture's mean over seeds, and
these means scatter around their own: so the posterior mean
lies between the mean of its trainings and that of all architectures (empirical Bayes; Efron and Morris, JASA 70 (1975),
311-319).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.runs.trial import Trial

Floats = NDArray[np.float64]

REPEAT = "repeat"  # a trial's `proposed_by`: an architecture that was trained before, chosen to be trained again
_AVERAGED = ("accuracy", "loss", "step_time_ms", "s_normalised", "reward")


def is_repeat(trial: Trial) -> bool:
    """Whether a trial is another training of an architecture that the search had chosen to train again."""
    return "repeat" in trial.proposal or trial.proposed_by == REPEAT  # a warm start has another `proposed_by`


def mean_of(trials: Sequence[Trial]) -> Trial:
    """Give scored trials of one architecture as one: the first, with the means of what was measured.

    Returns: `reward_se` and `accuracy_se` are the means'; what seeds do is in them as far as the trials show it.
    """
    averages = {name: _mean([getattr(trial, name) for trial in trials]) for name in _AVERAGED}
    errors = {f"{name}_se": _error_of_mean(trials, name) for name in ("accuracy", "reward")}
    metrics = {name: _mean([trial.metrics.get(name) for trial in trials]) for name in trials[0].metrics}
    known = {name: value for name, value in metrics.items() if value is not None}
    return replace(trials[0], **averages, **errors, metrics=known)  # type: ignore[arg-type]  # all of these are numbers


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _error_of_mean(trials: Sequence[Trial], name: str) -> float | None:
    """The part that all share, for they are on the same images, and their own scatter."""
    shared = [error for trial in trials if (error := getattr(trial, f"{name}_se")) is not None]
    values = [value for trial in trials if (value := getattr(trial, name)) is not None]
    scatter = float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0
    common = float(np.mean(np.square(shared))) if shared else 0.0
    return math.sqrt(common + scatter) if shared or scatter else None


# ---- the posterior of architectures' means


@dataclass(frozen=True)
class Estimate:
    """The posterior of one architecture's mean reward."""

    arch_id: str
    mean: float
    std: float
    trainings: int  # scored ones
    chance: float | None = None  # that it is the best of all that were tried; None = not known


@dataclass(frozen=True)
class Posterior:
    """The posterior of each architecture's mean reward over seeds, on the images that all were measured on."""

    architectures: tuple[str, ...]  # arch_ids, in the order of their first scored trials
    trainings: NDArray[np.int64]  # (A,): scored trials of each
    observed: Floats  # (A,): their mean reward
    mean: Floats  # (A,): of the posterior
    std: Floats  # (A,): of the posterior
    noise: float  # standard deviation of a training's reward around its architecture's mean
    own: float  # share of the variance of single rewards that is their architectures', in [0, 1]

    @property
    def winner(self) -> Estimate:
        """The architecture of highest posterior mean."""
        at = int(np.argmax(self.mean))
        return Estimate(self.architectures[at], float(self.mean[at]), float(self.std[at]), int(self.trainings[at]))


def posterior(architectures: Sequence[str], rewards: ArrayLike, errors: ArrayLike) -> Posterior:
    """Give the posterior of architectures' mean rewards after trainings of them.

    The better half of all first rewards is taken for that of a normal distribution, whose variance is noise in part:
    how large a part, repeats tell by how far they fall back, and before there are some the standard error that a reward
    has from the minival, which counts as _GUESS repeats. What is trained again looked good, partly by luck; so the
    likelihood is that of each reward given those before it, in the order of the log, for which selection is no bias
    (the scatter around means would be too large). What it leaves open is averaged over.

    Args:
        architectures: arch_ids, one a training, at least one, in the order of the log.
        rewards: (N,), finite.
        errors: (N,): standard errors of the rewards; NaN where not known.
    """
    numbers: dict[str, int] = {}
    number = np.array([numbers.setdefault(each, len(numbers)) for each in architectures])
    values, known = np.asarray(rewards, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    unit = float(np.abs(values).max()) or 1.0  # rewards of anybody's, of any size: their squares are numbers
    with np.errstate(all="ignore"):
        values, known = values / unit, (known / unit) ** 2
        trainings = np.bincount(number)
        observed = np.bincount(number, weights=values) / trainings
        fitted = _fit(values, number, known[np.isfinite(known)])
        own, own_variance, left = fitted.shares(trainings)
        off = observed - fitted.middle
        std = np.sqrt(left + own_variance * off**2)
    return Posterior(
        architectures=tuple(numbers),
        trainings=trainings,
        observed=unit * observed,
        mean=unit * (fitted.middle + own * off),
        std=unit * std,
        noise=unit * math.sqrt(float(fitted.weights @ fitted.noise)),
        own=float(fitted.weights @ fitted.own),
    )


@dataclass(frozen=True)
class _Fitted:
    """What the log says of its distributions: possible ones, and how likely they are."""

    middle: float  # mean of architectures' means
    own: Floats  # (H,): share of a reward's variance that is its architecture's
    noise: Floats  # (H,): variance of a training around its architecture's mean
    weights: Floats  # (H,): probabilities

    def shares(self, trainings: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
        """Give mean and variance of the share of a mean's deviation that is its own, and the variance that is left."""
        counts, at = np.unique(trainings, return_inverse=True)
        own = _own(self.own[:, None], counts)
        mean = self.weights @ own
        return (
            mean[at],
            (self.weights @ (own - mean) ** 2)[at],
            (self.weights @ (own * self.noise[:, None] / counts))[at],
        )


def _own(own: Floats, trainings: NDArray[np.int64]) -> Floats:
    """The share of the mean of so many trainings, of that of one."""
    return np.asarray(trainings * own / (trainings * own + 1 - own))


def _fit(values: Floats, number: NDArray[np.int64], guesses: Floats) -> _Fitted:
    """Weigh, on a grid, the variance of first rewards and what share of it is the architectures' own."""
    first, again = _in_order(values, number)
    middle = float(np.median(first))
    upper = first[first >= middle] - middle
    seen = float((upper**2).mean())
    if not seen > 0:  # all are alike
        return _Fitted(middle, np.ones(1), np.zeros(1), np.ones(1))
    guess = float(np.median(guesses)) if len(guesses) else _UNKNOWN * seen
    variance, own = (each.ravel() for each in np.meshgrid(seen * _VARIANCES, _SHARES))
    noise = variance * (1 - own)
    believed = _own(own[:, None], again.before)
    open_left = noise[:, None] * (1 + believed / again.before)
    surprise = (again.values - middle - believed * (again.mean - middle)) ** 2
    likelihood = _normal(len(upper), seen, variance) + _normal(_GUESS, guess, noise)
    likelihood += -(np.log(open_left) + surprise / open_left).sum(axis=1) / 2
    weights = np.exp(likelihood - likelihood.max())
    return _Fitted(middle, own, noise, weights / weights.sum())


def _normal(count: float, mean_square: float, variance: Floats) -> Floats:
    """Log likelihood of so many normal numbers of this mean square."""
    return np.asarray(-count / 2 * (np.log(variance) + mean_square / variance))


class _Again(NamedTuple):
    """Trainings of architectures that had been trained before."""

    values: Floats
    before: NDArray[np.int64]  # trainings before
    mean: Floats  # of these


def _in_order(values: Floats, number: NDArray[np.int64]) -> tuple[Floats, _Again]:
    """Give the first rewards, and the later ones with what was known before each."""
    order = np.argsort(number, kind="stable")
    grouped, starts = values[order], np.flatnonzero(np.diff(number[order], prepend=-1))
    sizes = np.diff(np.append(starts, len(order)))
    before = np.arange(len(order)) - np.repeat(starts, sizes)
    sums = np.cumsum(grouped) - grouped  # of all that stand before
    earlier = sums - np.repeat(sums[starts], sizes)
    later = before > 0
    return grouped[~later], _Again(grouped[later], before[later], earlier[later] / before[later])


def posterior_of(scored: Sequence[Trial]) -> Posterior | None:
    """Give the posterior of the architectures of scored trials; None where each was trained once."""
    if len({trial.arch_id for trial in scored}) == len(scored):
        return None
    return posterior([trial.arch_id for trial in scored], [trial.reward or 0.0 for trial in scored], errors_of(scored))


def errors_of(scored: Iterable[Trial]) -> list[float]:
    """Give the standard errors of rewards; NaN where they are not known."""
    return [math.nan if trial.reward_se is None else trial.reward_se for trial in scored]


_SHARES = np.linspace(0.25, 0.995, 40)
_VARIANCES = np.geomspace(0.4, 2.5, 15)  # in units of the variance that is seen
_UNKNOWN = 0.25  # share of the variance that is taken for noise where no error is known
_GUESS = 3.0  # repeats that the first guess of the noise counts as
