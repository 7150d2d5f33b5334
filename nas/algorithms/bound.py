"""Stop what can no longer win: an optimistic accuracy against what the top k would need. Off by default.

Step time and params are known after a minute, so a candidate's reward is bounded by its accuracy alone. The bound comes
from the predictor before training, or from learning curves of finished trials during it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.runs.ranking import score
from nas.runs.trial import Trial

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bound:
    """Whether a candidate may still reach the top k, and why."""

    optimistic_accuracy: float  # the candidate's accuracy is below this with the asked confidence
    needed_accuracy: float  # with its step time and params, what the k-th best reward asks for
    hopeless: bool  # the first is below the second


def needed_accuracy(
    trials: Sequence[Trial], step_time: float, params: float, *, k: int = 10, w: float = -0.07, v: float = -0.05
) -> float:
    """Accuracy with which a candidate of this step time and size would equal the k-th best reward so far.

    Args:
        step_time, params: normalised; > 0.
    Returns: 0 while fewer than k trials are scored: everything may still win.
    Raises: ValueError if k is below 1, or step_time or params is not positive.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if not (step_time > 0 and params > 0):
        raise ValueError(f"step_time and params must be positive, got {step_time!r} and {params!r}")
    rewards = sorted((reward for t in trials if (reward := score(t)) is not None), reverse=True)
    return rewards[k - 1] / (step_time**w * params**v) if len(rewards) >= k else 0.0


def bound(optimistic_accuracy: float, needed: float) -> Bound:
    """Compare; an optimistic accuracy that is NaN (nothing is known yet) is never hopeless."""
    return Bound(optimistic_accuracy, needed, bool(optimistic_accuracy < needed))


class CurveBound:
    """Optimistic final accuracies of candidates in training, from the curves of finished ones.

    After each epoch the final accuracy is regressed on the one so far. A finished trial counts by the largest of its
    errors over all epochs looked at, each predicted by the others and in units of its own standard error, and the
    conformal quantile of these is added: so a training stays below *all* of its bounds with the asked confidence, not
    below each, and nothing is assumed of the errors' distribution (Vovk et al. 2005; the max statistic in place of
    Bonferroni's, for errors of neighbouring epochs go together).

    The promise is for candidates drawn as the finished ones were. Two things bend it. The finished ones are those that
    were not stopped, so that those who begin poorly are known by the few that caught up: bounds are too high there, and
    less is stopped. And a search that learns draws better ones later, which pass bounds made of earlier ones: with 95 %
    asked for, 3.1 % passed one where stopping chose who is known, 5.4 % where accuracies rose by 1.5 deviations, too
    (`tests/nas/algorithms/test_bound.py`; a bound for each epoch alone, at 99 %, was passed by 14 to 19 %).

    Args:
        confidence: share of the trainings whose final accuracy shall be below every bound given, in (0, 1).
        most: finished trials that count, the latest.
    Raises: ValueError if confidence is not in (0, 1).
    """

    def __init__(self, confidence: float = 0.95, most: int = 300) -> None:
        if not 0 < confidence < 1:
            raise ValueError(f"confidence must be in (0, 1), got {confidence!r}")
        self.confidence = confidence
        self.finished: deque[tuple[tuple[int, ...], tuple[float, ...], float]] = deque(maxlen=most)
        self._fit: _Fit | None = None

    def tell(self, trial: Trial) -> None:
        """Take a finished trial; one without a curve or an accuracy says nothing."""
        if trial.status != "ok" or trial.accuracy is None or not math.isfinite(trial.accuracy):
            return
        looks, accuracies = _looks(trial.curve, len(trial.curve))
        if looks:
            self.finished.append((looks, accuracies, float(trial.accuracy)))
            self._fit = None

    def optimistic(self, curve: Sequence[Mapping[str, Any]]) -> float:
        """Accuracy that a candidate ends below, if it is one of `confidence`.

        Args:
            curve: one mapping per finished epoch with `accuracy`, as `Trial.curve`.
        Returns: NaN where no bound can be had: too few trials finished for the confidence (19 for 95 %, 99 for 99 %),
            nothing was measured in this epoch, or it lies in the second half of the training.
        """
        if not curve or not self.finished:
            return math.nan
        self._fit = self._fit or _fit(self.finished, self.confidence)
        reached = curve[-1].get("accuracy")
        if reached is None or not math.isfinite(reached) or len(curve) not in self._fit.looks:
            return math.nan
        return self._fit.bound(self._fit.looks.index(len(curve)), float(reached))


class _Fit(NamedTuple):
    """A line for each epoch looked at, and how far above it trials end."""

    looks: tuple[int, ...]  # epochs, counted from 1; none without enough trials
    mean: Floats  # accuracy after each, (looks,)
    final: float  # mean of the final accuracies
    slope: Floats
    unit: Floats  # standard deviation around the line
    spread: Floats  # sum of the squared distances from the mean
    n: int
    quantile: float

    def bound(self, look: int, reached: float) -> float:
        """Give the bound for an accuracy `reached`; further from what was seen, less is known."""
        off = reached - self.mean[look]
        unsure = math.sqrt(1 + 1 / self.n + off**2 / self.spread[look])
        return float(self.final + self.slope[look] * off + self.quantile * self.unit[look] * unsure)


_LEAST = 6  # trials for a line, its error, and the error of that
_TINY = 1e-12  # of squared accuracies: what was reached without any error still has one


def _fit(finished: Sequence[tuple[tuple[int, ...], tuple[float, ...], float]], confidence: float) -> _Fit:
    looks = finished[-1][0]
    alike = [(accuracies, final) for at, accuracies, final in finished if at == looks]
    n = len(alike)
    at = math.ceil(confidence * (n + 1)) - 1
    reached, final = np.array([each[0] for each in alike]), np.array([each[1] for each in alike])  # (n, looks), (n,)
    if n < _LEAST or at >= n:  # what is to be the n + 1st of n is not known
        nothing = np.zeros(0)
        return _Fit((), nothing, math.nan, nothing, nothing, nothing, n, math.nan)
    mean, off = reached.mean(axis=0), reached - reached.mean(axis=0)
    spread = (off**2).sum(axis=0) + _TINY
    slope = off.T @ (final - final.mean()) / spread
    errors = (final - final.mean())[:, None] - off * slope
    freedom = np.minimum(1 / n + off**2 / spread, 1 - _TINY)  # leverage: how much a trial draws the line to itself
    square = (errors**2).sum(axis=0)
    without = np.maximum((square - errors**2 / (1 - freedom)) / (n - 3), 0) + _TINY  # variance, had it been left out
    scores = np.sort((errors / np.sqrt(without * (1 - freedom))).max(axis=1))
    return _Fit(
        looks, mean, float(final.mean()), slope, np.sqrt(square / (n - 2) + _TINY), spread, n, float(scores[at])
    )


def _looks(curve: Sequence[Mapping[str, Any]], epochs: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Epochs of the first half at which an accuracy is known, and these: stopped later, most of the cost is spent."""
    known = [(at, float(now)) for at, e in enumerate(curve[: epochs // 2], 1) if (now := e.get("accuracy")) is not None]
    known = [(at, now) for at, now in known if math.isfinite(now)]
    return tuple(at for at, _ in known), tuple(now for _, now in known)
