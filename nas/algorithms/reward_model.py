"""What told trials say of the reward of any architecture: log A + w log S + v log P, each part learned as it deserves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.algorithms import gaussian_process as gp
from nas.algorithms.features import Codes, Features
from nas.trial import Trial
from search_space.architecture import Architecture
from search_space.cost import count_batch
from search_space.space import SearchSpace

Floats = NDArray[np.float64]


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

    @property
    def scored(self) -> bool:
        """Whether there is a positive reward."""
        return self.reward > 0


def observation(trial: Trial, code: Codes) -> Observation:
    """Read a trial."""
    ok = trial.status == "ok"
    params = trial.p_normalised if trial.p_normalised is not None else trial.params
    return Observation(
        code,
        trial.status in ("failed", "oom", "nan", "timeout"),
        _number(trial.accuracy) if ok else math.nan,
        _number(trial.reward) if ok else math.nan,
        _number(trial.s_normalised),
        _number(params),
        _number(trial.w),
        _number(trial.v),
    )


def _number(value: float | None) -> float:
    return math.nan if value is None or not math.isfinite(value) else float(value)


class RewardModel:
    """Predicts the logarithm of the reward, with its uncertainty.

    Args:
        features: for accuracy, and for step time.
        observations: in the order told; at least two are scored.
        step_time: normalised step times of architectures, if they need not be predicted.
    """

    def __init__(
        self,
        space: SearchSpace,
        features: tuple[Features, Features],
        observations: Sequence[Observation],
        step_time: Callable[[Sequence[Architecture]], Sequence[float]] | None = None,
    ) -> None:
        self.space, self.features, self.step_time = space, features, step_time
        codes, self.columns = _columns(observations)
        self.codes = codes
        scored = self.columns["reward"] > 0
        self.exponents = self._find_exponents(scored)
        self.whole = self.exponents is None  # the reward has no known parts: model it as one
        target = np.log(np.where(scored, self.columns["reward"], 1.0))
        self.offset, self.times = 0.0, None
        if self.exponents is not None:
            target = np.log(np.clip(np.where(scored, self.columns["accuracy"], 1.0), 1e-4, None))
            self._fit_cost(scored)
        self._fit_quality(target, scored)

    # ---- the parts

    def _find_exponents(self, scored: NDArray[np.bool_]) -> tuple[float, float] | None:
        """w and v as told, or as they follow from the rewards; None if the reward is no such product."""
        c = self.columns
        if not (c["accuracy"][scored] > 0).all():
            return None
        self.params_fit = self._fit_params()
        log_params = self._log_params(self.codes)
        penalty = np.log(c["reward"][scored]) - np.log(c["accuracy"][scored])
        timed = (c["step_time"][scored] > 0).all()
        log_time = np.log(np.where(c["step_time"] > 0, c["step_time"], 1.0))
        ones = np.ones(int(scored.sum()))
        if np.isfinite(c["w"][scored]).all() and np.isfinite(c["v"][scored]).all():
            w, v = float(c["w"][scored][-1]), float(c["v"][scored][-1])
        elif timed and len(ones) >= _ENOUGH:
            columns = np.stack([log_time[scored], log_params[scored], ones], axis=1)
            w, v, _ = map(float, np.linalg.lstsq(columns, penalty, rcond=None)[0])
        else:
            return None
        rest = penalty - v * log_params[scored] - (w * log_time[scored] if timed else 0)
        return (w, v) if not timed or rest.std() < _EXACT else None

    def _fit_params(self) -> tuple[float, float]:
        """Told params as a line over counted ones: another classifier moves it, a reference network scales it."""
        told = self.columns["params"]
        known = np.isfinite(told)
        if len(np.unique(told[known])) < 3:
            return 1.0, 0.0
        counted = count_batch(self.space, self.codes[known], 1).params.astype(np.float64)
        scale = counted.mean()
        slope, shift = np.linalg.lstsq(np.stack([counted / scale, np.ones(len(counted))], 1), told[known], rcond=None)[0]
        fits = slope > 0 and ((slope / scale * counted + shift) > 0).all()
        return (float(slope / scale), float(shift)) if fits else (1.0, 0.0)

    def _log_params(self, codes: Codes) -> Floats:
        slope, shift = self.params_fit
        return np.log(np.maximum(slope * count_batch(self.space, codes, 1).params + shift, 1e-12))

    def _fit_cost(self, scored: NDArray[np.bool_]) -> None:
        assert self.exponents is not None
        w, v = self.exponents
        c = self.columns
        penalty = np.log(np.where(scored, c["reward"], 1.0)) - np.log(np.where(scored, c["accuracy"], 1.0))
        rest = penalty - v * self._log_params(self.codes)
        told = c["step_time"] > 0
        self.offset = 0.0
        if self.step_time is not None and (told & scored).any():
            both = told & scored
            self.offset = float(np.median(rest[both] - w * np.log(c["step_time"][both])))
            return
        if told[scored].all() and w != 0:
            self.offset = float(np.median(rest[scored] - w * np.log(c["step_time"][scored])))
            self.times = _StepTimes(self.features, self.codes[told], c["step_time"][told])
        elif w != 0:
            self.times = _StepTimes(self.features, self.codes[scored], np.exp(rest[scored] / w))
        else:
            self.offset = float(np.median(rest[scored]))

    def _fit_quality(self, target: Floats, scored: NDArray[np.bool_]) -> None:
        """The process of log accuracy (or of log reward); a broken trial counts as among the worst, so that its like is left."""
        used = scored | self.columns["broken"].astype(bool)
        values = target[scored]
        low, middle = np.quantile(values, [0.1, 0.5])
        target = np.where(scored, target, low)
        target = np.maximum(target, middle - _OUTLIER * max(middle - low, 1e-3))  # a network that did not train at all
        codes, target = self.codes[used], target[used]
        rank = np.where(scored, np.nan_to_num(self.columns["reward"]), -1.0)[used]
        kept = _subset(rank)
        self.hyper = gp.fit(self.features[0], *_first(codes, target))
        self.quality = gp.Posterior(self.features[0], self.hyper, codes[kept], target[kept])
        self.order = np.argsort(-rank, kind="stable")
        self.used_codes = codes
        self.conditioned = self.quality

    # ---- answers

    def assuming(self, pending: Codes) -> RewardModel:
        """Count architectures in flight (M, decisions) as observed at their predictions; returns this model."""
        self.conditioned = self.quality.assuming(pending)
        return self

    def top(self, n: int) -> Codes:
        """The architectures of the n best predicted rewards among the 100 best observed."""
        codes = self.used_codes[self.order[:100]]
        return codes[np.argsort(-self.predict(codes)[0], kind="stable")[:n]]

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the log reward, each (N,)."""
        mean, std = self.conditioned.predict(codes)
        if self.exponents is None:
            return mean, std
        w, v = self.exponents
        mean = mean + v * self._log_params(codes) + self.offset
        if self.times is not None:
            log_time, time_std = self.times.predict(codes)
            return mean + w * log_time, np.sqrt(std**2 + (w * time_std) ** 2)
        if self.step_time is not None and w:
            times = np.asarray(self.step_time([self.space.decode(code) for code in codes]), dtype=np.float64)
            mean = mean + w * np.log(times)
        return mean, std

    def optimistic(self, codes: Codes, optimism: float) -> Floats:
        """Upper confidence bound of the log reward, (N,)."""
        mean, std = self.predict(codes)
        return mean + optimism * std


class _StepTimes:
    """Step time as a process of S itself, which adds up over stages, or of log S: whichever the data make likelier."""

    def __init__(self, features: tuple[Features, Features], codes: Codes, times: Floats) -> None:
        options = []
        kept = _subset(np.zeros(len(codes)))
        for logarithmic, kind in ((False, features[1]), (True, features[0])):
            targets = np.log(times) if logarithmic else times
            some_codes, some = _first(codes, targets)
            hyper = gp.fit(kind, some_codes, some)
            evidence = gp.log_evidence(kind, hyper, some_codes, some) - (some.sum() if logarithmic else 0.0)
            options.append((evidence, logarithmic, kind, hyper, targets))
        _, self.logarithmic, kind, hyper, targets = max(options, key=lambda option: option[0])
        self.floor = 0.5 * float(times.min())
        self.process = gp.Posterior(kind, hyper, codes[kept], targets[kept])

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and standard deviation of log S."""
        mean, std = self.process.predict(codes)
        if self.logarithmic:
            return mean, std
        mean = np.maximum(mean, self.floor)
        return np.log(mean), std / mean


def _columns(observations: Sequence[Observation]) -> tuple[Codes, dict[str, Any]]:
    codes = np.array([o.code for o in observations])
    names = Observation._fields[1:]
    return codes, {name: np.array([getattr(o, name) for o in observations], dtype=np.float64) for name in names}


def _first(codes: Codes, targets: Floats) -> tuple[Codes, Floats]:
    """The prefix on which hyperparameters are fitted: it grows by steps, so that most proposals need no new fit."""
    step = max((n for n in _FIT_AT if n <= len(codes)), default=len(codes))
    return codes[:step], targets[:step]


def _subset(rank: Floats) -> NDArray[np.int64]:
    """At most _MOST rows: the best half by rank, the rest evenly spread over the others. In the order told."""
    if len(rank) <= _MOST:
        return np.arange(len(rank))
    order = np.argsort(-rank, kind="stable")
    half = _MOST // 2
    spread = np.linspace(half, len(rank) - 1, _MOST - half).astype(np.int64)
    return np.sort(np.concatenate([order[:half], order[spread]]))


_ENOUGH = 6  # trials from which w and v can be told from three unknowns
_EXACT = 2e-3  # the most that a reward of this form may differ from it, in its logarithm
_OUTLIER = 4.0
_MOST = 1000
_FIT_AT = (4, 6, 8, 10, 12, 15, 18, 22, 26, 31, 37, 44, 53, 64, 77, 92, 110, 132, 158, 190, 228, 274, 329, 395)
