"""The told trials taken apart: what of the reward is counted, what is timed, and what is left to learn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.algorithms.features import Codes, Features
from nas.algorithms.known_reward import COUNTED, KnownReward
from nas.algorithms.outlook import worth
from nas.algorithms.step_process import Timings, doubts
from nas.runs.ranking import score
from nas.runs.trial import Trial
from rewards.pareto import pareto_front

Floats = NDArray[np.float64]


class Observation(NamedTuple):
    """What is used of a trial; NaN where it was not told."""

    code: Codes
    broken: bool  # ended without a result through its own fault
    accuracy: float
    reward: float
    step_time: float  # normalised
    step_width: float  # half the interval of its logarithm
    params: float  # normalised if that was told, else a count
    params_count: float
    macs: float
    w: float
    v: float
    likely_accuracy: float  # of a trial that was stopped early: what it would have come to
    likely_reward: float
    accuracy_se: float  # standard errors of these two
    reward_se: float


def observation(trial: Trial, code: Codes) -> Observation:
    """Read a trial."""
    reward = _number(score(trial))
    broken = trial.status in ("failed", "oom", "nan", "timeout")
    params = trial.p_normalised if trial.p_normalised is not None else trial.params
    stopped = trial.status == "pruned" and worth(trial) is not None
    return Observation(
        code,
        broken,
        math.nan if broken else _number(trial.accuracy),
        math.nan if broken else reward,
        _number(trial.s_normalised),
        _width(trial.s_low, trial.s_high),
        _number(params),
        _number(trial.params),
        _number(trial.macs),
        _number(trial.w),
        _number(trial.v),
        *(
            _number(each if stopped else None)
            for each in (trial.accuracy, trial.reward, trial.accuracy_se, trial.reward_se)
        ),
    )


def _number(value: float | None) -> float:
    return math.nan if value is None or not math.isfinite(value) else float(value)


def _width(low: float | None, high: float | None) -> float:
    return math.nan if low is None or high is None or not 0 < low <= high else math.log(high / low) / 2


class Targets:
    """The told numbers taken apart: what of the logarithm of the reward is counted, timed, and left to learn.

    Args:
        costs: counts params.
        observations: in the order told; at least one has a reward.
        reward: what the search scores by, where it is known.
        settled: how many observations, the first, are what the others are held against; None = all.
        apart: learn accuracy and step time, whatever the reward makes of them, where they are told.
    """

    def __init__(
        self,
        features: Features,
        observations: Sequence[Observation],
        reward: KnownReward | None = None,
        settled: int | None = None,
        *,
        apart: bool = False,
    ) -> None:
        self.features = features
        self.settled = len(observations) if settled is None else settled
        self.codes = np.array([o.code for o in observations])
        columns = np.array([o[1:] for o in observations], dtype=np.float64)
        self.broken = columns[:, 0] > 0
        self.accuracy, self.reward, self.step_time, self.step_width, *counts, self.w, self.v = columns[:, 1:10].T
        self.likely_accuracy, self.likely_reward, accuracy_se, reward_se = columns[:, 10:].T
        self.told_counts = dict(zip(COUNTED, counts, strict=True))
        if not (self.reward < 0).any():  # then 0 is the reward of a network that learned nothing
            nothing = self.reward == 0
            self.broken |= nothing
            self.reward[nothing] = self.accuracy[nothing] = math.nan
        self._lines: dict[str, tuple[float, float]] = {}  # of the counts that were asked for
        self.scored = np.isfinite(self.reward)
        self.lowest, self.highest = float(self.reward[self.scored].min()), float(np.nanmax(self.accuracy, initial=0.0))
        self.known = reward if not apart and self._is_known(reward) else None
        # Where rewards go below 0 they are no product, and have no logarithm: this one's is the reward over `unit`.
        self.unit = float(np.abs(self.reward[self.scored]).max()) if (self.reward < 0).any() else None
        if self.unit is not None:
            self.reward = np.exp(self.reward / self.unit)
            self.likely_reward = np.exp(self.likely_reward / self.unit)
            reward_se = self.likely_reward * reward_se / self.unit
        self.looked = self._looked(observations)
        # None: no accuracies, so the reward is learned as a whole.
        self.exponents: tuple[float, float] | None = None
        self.timed = False  # whether `times` are step times
        self.offset = 0.0
        self.times: Timings | None = None
        if self.known is not None:
            self.exponents = 0.0, 0.0
            self.timed = "step_time" in self.known.reads
            self.times = self._timings(self.step_time > 0) if self.timed else None
        elif apart and (self.accuracy[self.scored] > 0).all():
            self.exponents, self.timed = (0.0, 0.0), bool((self.step_time > 0).any())
            self.times = self._timings(self.step_time > 0) if self.timed else None
        elif self.unit is None and (self.accuracy[self.scored] > 0).all():
            self._split(self._find_exponents())
        by_reward = self.exponents is None
        likely, error = (self.likely_reward, reward_se) if by_reward else (self.likely_accuracy, accuracy_se)
        self.likely = np.where(likely > 0, likely, math.nan)
        self.used = self.scored | self.broken | np.isfinite(self.likely)  # rows that say something of quality
        self.quality_codes: Codes = self.codes[self.used]
        self.quality_settled = int(self.used[: self.settled].sum())
        self.quality = self._quality()
        # Of each row of `quality` the standard error that it has over that of a finished training.
        stopped = ~self.scored & np.isfinite(self.likely)
        self.quality_se: Floats = np.where(stopped, np.nan_to_num(error / self.likely), 0.0)[self.used]

    def _is_known(self, reward: KnownReward | None) -> bool:
        """Whether told rewards are this function of told numbers; where exponents are told, these say all of it."""
        s = self.scored
        if reward is None or np.isfinite(self.w[s] + self.v[s]).all() or not (self.accuracy[s] > 0).all():
            return False
        told = {"accuracy": self.accuracy, "step_time": self.step_time, **self.told_counts}
        values = reward.of({name: told[name][s] for name in reward.reads})
        return bool(np.allclose(values, self.reward[s], rtol=_EXACT)) and all(map(self._is_counted, reward.reads))

    def _is_counted(self, name: str) -> bool:
        """Whether what is counted here says what was told: MACs at another image size are no line of these."""
        if name not in COUNTED:
            return True
        (slope, shift), told = self._line(name), self.told_counts[name]
        counted = np.where(np.isfinite(told), slope * self._counted(name, self.codes) + shift, math.nan)
        return bool(np.allclose(counted, told, rtol=_EXACT, equal_nan=True))

    def _timings(self, rows: NDArray[np.bool_], times: Floats | None = None) -> Timings:
        """Step times of these rows, or what stands for them (M,), of which no errors are known."""
        settled = int(rows[: self.settled].sum())
        rank = np.where(self.scored, self.looked, 0.0)[rows]
        if times is not None:
            return Timings(self.codes[rows], times, None, rank, settled)
        return Timings(self.codes[rows], self.step_time[rows], doubts(self.step_width[rows], settled), rank, settled)

    def level(self, rewards: Floats) -> Floats:
        """What is modelled of rewards: the logarithm, or the reward over `unit`."""
        if self.unit is not None:
            return rewards / self.unit
        return np.log(np.maximum(rewards, _TINY))

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

    def _line(self, name: str) -> tuple[float, float]:
        if name not in self._lines:
            self._lines[name] = self._fitted_line(name)
        return self._lines[name]

    def _fitted_line(self, name: str) -> tuple[float, float]:
        """A told count as a line over what is counted here: another classifier moves it, a reference scales it."""
        told = self.told_counts[name]
        known = np.isfinite(told)
        counted = self._counted(name, self.codes[known])
        if len(np.unique(counted)) < 3:
            return 1.0, 0.0
        unit = counted.mean()
        columns = np.stack([counted / unit, np.ones(len(counted))], axis=1)
        slope, shift = map(float, np.linalg.lstsq(columns, told[known], rcond=None)[0])
        return (slope / unit, shift) if slope > 0 and (columns @ [slope, shift] > 0).all() else (1.0, 0.0)

    def _counted(self, name: str, codes: Codes) -> Floats:
        return np.asarray(self.features.costs.totals(codes)[:, int(name == "macs")])

    def counts(self, name: str, codes: Codes) -> Floats:
        """What trials tell of the architectures by that name of COUNTED, (N,); `params` up to a constant factor."""
        slope, shift = self._line(name)
        return np.maximum(slope * self._counted(name, codes) + shift, _TINY)

    def told(self, log_reward: float, std: float) -> tuple[float, float]:
        """A reward and its standard deviation, as trials tell rewards, from those of its logarithm here."""
        if self.unit is not None:
            return log_reward * self.unit, std * self.unit
        return math.exp(log_reward), math.exp(log_reward) * std

    def log_params(self, codes: Codes) -> Floats:
        """Logarithm of the reward's P up to a constant factor, (N,)."""
        return np.asarray(np.log(self.counts("params", codes)))

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
            self.exponents, self.times = (1.0, 0.0), self._timings(s, self.reward[s] / self.accuracy[s])
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
            self.times = self._timings(told)
        else:
            self.times = self._timings(s, np.exp(rest / w))

    def _quality(self) -> Floats:
        """Log accuracy (or log reward) of the rows that are used.

        Broken trials count as poor ones, so that their like is left alone; stopped ones as they would have ended.
        """
        values = np.log(self.reward if self.exponents is None else self.accuracy)
        low, middle = np.quantile(values[self.scored], [0.1, 0.5])
        floor = middle - _OUTLIER * max(middle - low, 1e-3)  # a network that did not train at all is no measure
        values = np.where(self.scored, values, np.where(np.isfinite(self.likely), np.log(self.likely), low))
        return np.asarray(np.maximum(values, floor)[self.used])

    def leading(self, n: int) -> Codes:
        """The n architectures of highest observed reward, each once, (n, decisions)."""
        order = np.argsort(-np.where(self.scored, self.looked, -math.inf), kind="stable")[: self.scored.sum()]
        distinct = {self.codes[at].tobytes(): at for at in order[::-1].tolist()}  # the first of each stays
        return np.asarray(self.codes[[*distinct.values()][::-1][:n]])

    def measured(self) -> Floats:
        """Accuracy, step time and params of what was scored, (N, 3); NaN where one was not told."""
        params = np.exp(self.log_params(self.codes[self.scored]))
        return np.stack([self.accuracy[self.scored], self.step_time[self.scored], params], axis=1)

    def foremost(self, n: int, columns: NDArray[np.int64]) -> Codes:
        """At most about n scored architectures, front by front of these columns of `measured`, (M, decisions)."""
        points, left = self.measured()[:, columns], np.flatnonzero(self.scored)
        maximise = [bool(column == 0) for column in columns]
        taken: list[NDArray[np.int64]] = []
        while sum(map(len, taken)) < n and len(front := pareto_front(points, maximise)):
            taken.append(left[front])
            points, left = np.delete(points, front, axis=0), np.delete(left, front)
        return np.unique(self.codes[np.concatenate([left[:0], *taken])], axis=0)

    def ranks(self) -> Floats:
        """Reward of each row of `quality`, broken and stopped ones last."""
        return np.asarray(np.where(self.scored, self.looked, 0.0)[self.used])


_ENOUGH = 6  # trials from which three unknowns can be told, with some to spare
_EXACT = 2e-3  # the most that a reward of this form may differ from it, in its logarithm
_OUTLIER = 4.0
_TINY = 1e-12
