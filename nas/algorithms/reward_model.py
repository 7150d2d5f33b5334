"""What told trials say of the reward of any architecture: log A + w log S + v log P, part by part."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from nas.algorithms import gaussian_process as gp
from nas.algorithms.features import Codes, Features
from nas.algorithms.outlook import worth
from nas.runs.ranking import score
from nas.runs.trial import Trial
from search_space.architecture import Architecture
from search_space.space import SearchSpace

Floats = NDArray[np.float64]
StepTimes = Callable[[Sequence[Architecture]], Sequence[float]]


class Observation(NamedTuple):
    """What is used of a trial; NaN where it was not told."""

    code: Codes
    broken: bool  # ended without a result through its own fault
    accuracy: float
    reward: float
    step_time: float  # normalised
    params: float  # normalised if that was told, else a count
    w: float
    v: float
    likely_accuracy: float  # of a trial that was stopped early: what it would have come to
    likely_reward: float


def observation(trial: Trial, code: Codes) -> Observation:
    """Read a trial; a reward of 0 is that of a network that learned nothing and counts as broken."""
    reward = _number(score(trial))
    broken = trial.status in ("failed", "oom", "nan", "timeout") or reward == 0
    params = trial.p_normalised if trial.p_normalised is not None else trial.params
    return Observation(
        code,
        broken,
        math.nan if broken else _number(trial.accuracy),
        math.nan if broken else reward,
        _number(trial.s_normalised),
        _number(params),
        _number(trial.w),
        _number(trial.v),
        _number(trial.accuracy if worth(trial) is not None and trial.status == "pruned" else None),
        _number(worth(trial) if trial.status == "pruned" else None),
    )


def _number(value: float | None) -> float:
    return math.nan if value is None or not math.isfinite(value) else float(value)


class Targets:
    """The told numbers taken apart: what of the logarithm of the reward is counted, timed, and left to learn.

    Args:
        costs: counts params.
        observations: in the order told; at least one has a reward.
    """

    def __init__(self, features: Features, observations: Sequence[Observation]) -> None:
        self.features = features
        self.codes = np.array([o.code for o in observations])
        columns = np.array([o[1:] for o in observations], dtype=np.float64)
        self.broken = columns[:, 0] > 0
        self.accuracy, self.reward, self.step_time, self.params, self.w, self.v = columns[:, 1:7].T
        self.likely_accuracy, self.likely_reward = columns[:, 7:].T
        self.scored = np.isfinite(self.reward)
        # Where rewards go below 0 they are no product, and have no logarithm: this one's is the reward over `unit`.
        self.unit = float(np.abs(self.reward[self.scored]).max()) if (self.reward < 0).any() else None
        if self.unit is not None:
            self.reward = np.exp(self.reward / self.unit)
            self.likely_reward = np.exp(self.likely_reward / self.unit)
        self.looked = self._looked(observations)
        self.slope, self.shift = self._fit_params()
        # None: no accuracies, so the reward is learned as a whole.
        self.exponents: tuple[float, float] | None = None
        self.timed = False  # whether `times` are step times
        self.offset = 0.0
        self.times: tuple[Codes, Floats] | None = None
        if self.unit is None and (self.accuracy[self.scored] > 0).all():
            self._split(self._find_exponents())
        likely = self.likely_reward if self.exponents is None else self.likely_accuracy
        self.likely = np.where(likely > 0, likely, math.nan)
        self.used = self.scored | self.broken | np.isfinite(self.likely)  # rows that say something of quality
        self.quality_codes: Codes = self.codes[self.used]
        self.quality = self._quality()

    def _looked(self, observations: Sequence[Observation]) -> Floats:
        """Reward by which a row is ranked, (N,): the mean over all scored trainings of its architecture."""
        numbers: dict[bytes, int] = {}
        number = np.array([numbers.setdefault(o.code.tobytes(), len(numbers)) for o in observations])
        if len(numbers) == len(number):
            return np.asarray(self.reward)
        at, size = number[self.scored], len(numbers)
        sums = np.bincount(at, weights=self.reward[self.scored], minlength=size)
        means = sums / np.maximum(1, np.bincount(at, minlength=size))
        return np.asarray(np.where(self.scored, means[number], self.reward))

    def _fit_params(self) -> tuple[float, float]:
        """Told params as a line over counted ones: another classifier moves it, a reference network scales it."""
        known = np.isfinite(self.params)
        counted = self.features.costs.totals(self.codes[known])[:, 0]
        if len(np.unique(counted)) < 3:
            return 1.0, 0.0
        unit = counted.mean()
        columns = np.stack([counted / unit, np.ones(len(counted))], axis=1)
        slope, shift = map(float, np.linalg.lstsq(columns, self.params[known], rcond=None)[0])
        return (slope / unit, shift) if slope > 0 and (columns @ [slope, shift] > 0).all() else (1.0, 0.0)

    def told(self, log_reward: float, std: float) -> tuple[float, float]:
        """A reward and its standard deviation, as trials tell rewards, from those of its logarithm here."""
        if self.unit is not None:
            return log_reward * self.unit, std * self.unit
        return math.exp(log_reward), math.exp(log_reward) * std

    def log_params(self, codes: Codes) -> Floats:
        """Logarithm of the reward's P up to a constant factor, (N,)."""
        return np.asarray(np.log(np.maximum(self.slope * self.features.costs.totals(codes)[:, 0] + self.shift, 1e-12)))

    def _find_exponents(self) -> tuple[float, float] | None:
        """w and v as told, or as they follow from the rewards; None if the reward is no such product."""
        s = self.scored
        penalty, log_params = np.log(self.reward[s] / self.accuracy[s]), self.log_params(self.codes[s])
        timed = bool((self.step_time[s] > 0).all())
        log_time = np.log(self.step_time[s]) if timed else np.zeros(len(penalty))
        if np.isfinite(self.w[s]).all() and np.isfinite(self.v[s]).all():
            w, v = float(self.w[s][-1]), float(self.v[s][-1])
        elif timed and len(penalty) >= _ENOUGH:
            columns = np.stack([log_time, log_params, np.ones(len(penalty))], axis=1)
            w, v, _ = map(float, np.linalg.lstsq(columns, penalty, rcond=None)[0])
        else:
            return None
        rest = penalty - v * log_params - w * log_time
        return (w, v) if not timed or rest.std() < _EXACT else None

    def _split(self, exponents: tuple[float, float] | None) -> None:
        s = self.scored
        if exponents is None:  # whatever stands beside accuracy is a function of the costs: learn it like a step time
            self.exponents, self.times = (1.0, 0.0), (self.codes[s], self.reward[s] / self.accuracy[s])
            return
        self.exponents, (w, v) = exponents, exponents
        self.timed = w != 0
        rest = np.log(self.reward[s] / self.accuracy[s]) - v * self.log_params(self.codes[s])
        if w == 0:
            self.offset = float(np.median(rest))
        elif (self.step_time[s] > 0).all():
            # Trials that were timed but never trained (pruned) teach step time all the same.
            told = self.step_time > 0
            self.offset = float(np.median(rest - w * np.log(self.step_time[s])))
            self.times = self.codes[told], self.step_time[told]
        else:
            self.times = self.codes[s], np.exp(rest / w)

    def _quality(self) -> Floats:
        """Log accuracy (or log reward) of the rows that are used.

        Broken trials count as poor ones, so that their like is left alone; stopped ones as they would have ended.
        """
        values = np.log(self.reward if self.exponents is None else self.accuracy)
        low, middle = np.quantile(values[self.scored], [0.1, 0.5])
        floor = middle - _OUTLIER * max(middle - low, 1e-3)  # a network that did not train at all is no measure
        values = np.where(self.scored, values, np.where(np.isfinite(self.likely), np.log(self.likely), low))
        return np.asarray(np.maximum(values, floor)[self.used])

    def ranks(self) -> Floats:
        """Reward of each row of `quality`, broken and stopped ones last."""
        return np.asarray(np.where(self.scored, self.looked, 0.0)[self.used])


class Fitted(NamedTuple):
    """Hyperparameters learned from a prefix of the log."""

    quality: gp.Hyperparameters
    times: gp.Hyperparameters | None
    logarithmic: bool  # whether step time is modelled as log S


def fit(features: tuple[Features, Features], targets: Targets) -> Fitted:
    """Fit the processes; step time as S, which adds up over stages, or as log S, whichever the data make likelier.

    Args:
        features: for accuracy and other logarithms, and for step time itself.
    """
    quality = gp.fit(features[0], targets.quality_codes, targets.quality)
    if targets.times is None:
        return Fitted(quality, None, False)
    codes, times = targets.times
    plain, logs = gp.fit(features[1], codes, times), gp.fit(features[0], codes, np.log(times))
    jacobian = float(np.log(times).sum())
    better = gp.log_evidence(features[0], logs, codes, np.log(times)) - jacobian > gp.log_evidence(
        features[1], plain, codes, times
    )
    return Fitted(quality, logs if better else plain, bool(better))


class RewardModel:
    """Predicts the logarithm of the reward, with its uncertainty.

    Args:
        step_time: normalised step times of architectures, if they can be had without training.
    """

    def __init__(
        self,
        space: SearchSpace,
        features: tuple[Features, Features],
        targets: Targets,
        fitted: Fitted,
        step_time: StepTimes | None = None,
    ) -> None:
        self.space, self.targets = space, targets
        rank = targets.ranks()
        kept = _subset(rank)
        self.quality = gp.Posterior(features[0], fitted.quality, targets.quality_codes[kept], targets.quality[kept])
        self.conditioned = self.quality
        self.best = targets.quality_codes[np.argsort(-rank, kind="stable")[:100]]
        self.times: gp.Posterior | None = None
        self.step_time = step_time if targets.timed else None
        if targets.times is not None and self.step_time is None:
            codes, times = targets.times
            kept = _subset(np.zeros(len(codes)))
            self.logarithmic, self.least = fitted.logarithmic, 0.5 * float(times.min())
            told = np.log(times) if self.logarithmic else times
            kind = features[not self.logarithmic]
            # None: the prefix did not tell w and v apart yet, the whole log does.
            hyper = fitted.times or gp.default_hyperparameters(kind)
            self.times = gp.Posterior(kind, hyper, codes[kept], told[kept])

    def assuming(self, pending: Codes) -> RewardModel:
        """Give the model that counts architectures in flight (M, decisions) as observed at their predictions."""
        other = copy(self)
        other.conditioned = self.quality.assuming(pending)
        return other

    def top(self, n: int) -> Codes:
        """The n of the best predicted rewards among the 100 best observed."""
        return self.best[np.argsort(-self.predict(self.best)[0], kind="stable")[:n]]

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the log reward, each (N,)."""
        mean, std = self.conditioned.predict(codes)
        if self.targets.exponents is None:
            return mean, std
        w, v = self.targets.exponents
        mean = mean + v * self.targets.log_params(codes) + self.targets.offset
        if w == 0:
            return mean, std
        if self.step_time is not None:
            times = self.step_time([self.space.decode(code) for code in codes])
            return mean + w * np.log(np.asarray(times, dtype=np.float64)), std
        log_time, time_std = self._log_time(codes)
        return mean + w * log_time, np.sqrt(std**2 + (w * time_std) ** 2)

    def _log_time(self, codes: Codes) -> tuple[Floats, Floats]:
        assert self.times is not None
        mean, std = self.times.predict(codes)
        if self.logarithmic:
            return mean, std
        mean = np.maximum(mean, self.least)
        return np.log(mean), std / mean

    def optimistic(self, codes: Codes, optimism: float) -> Floats:
        """Upper confidence bound of the log reward, (N,)."""
        mean, std = self.predict(codes)
        return mean + optimism * std

    @cached_property
    def _looked_best(self) -> tuple[float, float]:
        """Log reward of the architecture that looks best: as observed, at the mean, and as the model has it."""
        t = self.targets
        at = int(np.argmax(np.where(t.scored, t.looked, 0.0)))
        return math.log(t.looked[at]), float(self.predict(t.codes[at : at + 1])[0][0])

    def gain(self, codes: Codes) -> Floats:
        """Expected gain in the true log reward of the trial that looks best, if these were observed, each (N,).

        One takes that trial's place if its observation, noise included, is higher; what is gained is the difference of
        the two without noise. Where nothing is noisy this is expected improvement.
        """
        looked, likely = self._looked_best
        mean, std = self.predict(codes)
        spread = np.hypot(std, self.quality.noise)
        z = (mean - looked) / spread
        density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        return np.asarray((mean - likely) * scipy.special.ndtr(z) + std**2 / spread * density)


def _subset(rank: Floats) -> NDArray[np.int64]:
    """At most _MOST rows: the best half by rank, the rest evenly spread over the others. In the order told."""
    if len(rank) <= _MOST:
        return np.arange(len(rank))
    order = np.argsort(-rank, kind="stable")
    half = _MOST // 2
    spread = np.linspace(half, len(rank) - 1, _MOST - half).astype(np.int64)
    return np.sort(np.concatenate([order[:half], order[spread]]))


_ENOUGH = 6  # trials from which three unknowns can be told, with some to spare
_EXACT = 2e-3  # the most that a reward of this form may differ from it, in its logarithm
_OUTLIER = 4.0
_MOST = 1000
