"""What a trial that was stopped early would have come to: what finished ones came to from where it was."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from nas.runs.ranking import is_scored
from nas.runs.trial import Trial


class _Line(NamedTuple):
    """Where trials end, by where they were."""

    then: float  # means of both
    end: float
    slope: float
    error: float  # standard deviation around it
    n: int
    spread: float  # sum of the squared distances from `then`, with those that the prior stands for

    def at(self, then: float) -> tuple[float, float]:
        """Give where such a one ends, and the standard error of that: of a result, not of the line."""
        off = then - self.then
        unsure = math.sqrt(1 + 1 / self.n + (off**2 / self.spread if self.spread > 0 else 0.0))
        return self.end + self.slope * off, self.error * unsure


class Outlook:
    """Learns from finished trials how rewards and accuracies go on, epoch by epoch.

    What trials come to is regressed on what they had reached. They are chosen by what they had reached, so that a line
    from there is as good for those that were stopped. Of few trials it is drawn towards a slope that accuracies have
    after a few epochs, and its error towards that of knowing nothing.
    """

    def __init__(self) -> None:
        self.finished: deque[_Finished] = deque(maxlen=_MOST)
        self.unclear: list[Trial] = []  # stopped, while it was not known what they would have come to
        self._lines: dict[tuple[int, str], _Line | None] = {}  # from each epoch that was asked for; None: not known yet

    def tell(self, trial: Trial) -> None:
        """Take a trial that finished or was stopped; others, and those without a curve, say nothing."""
        if is_scored(trial) and trial.curve:
            self.finished.append(_Finished(trial))
            self._lines.clear()
        elif len(self.finished) < _LEAST and trial.status == "pruned" and trial.curve:
            self.unclear.append(trial)

    def early(self) -> list[Trial]:
        """Give all trials as if each had ended when the first were stopped, while it is not known what these come to.

        So they can be compared, though it is by an early epoch. Empty as soon as more is known.
        """
        if not self.unclear or len(self.finished) >= _LEAST:
            return []
        epoch = min(len(trial.curve) for trial in self.unclear)
        told = [*(finished.trial for finished in self.finished), *self.unclear]
        in_order = sorted(told, key=lambda trial: trial.trial_id)
        return [_at(trial, epoch) for trial in in_order if len(trial.curve) >= epoch]

    def completed(self, trial: Trial) -> Trial:
        """Give a trial that was stopped early with the reward and accuracy that it would have had; others unchanged.

        With them come their standard errors. It stays `pruned`, so that it is in no ranking. Where too few trials
        finished to say, it is unchanged, too.
        """
        if trial.status != "pruned" or not trial.curve:  # a curve of a long log is read when it is looked into
            return trial
        reward, reward_se = self._end(trial.curve, "reward")
        if reward is None:
            return trial
        accuracy, accuracy_se = self._end(trial.curve, "accuracy")
        return replace(trial, reward=reward, reward_se=reward_se, accuracy=accuracy, accuracy_se=accuracy_se)

    def _end(self, curve: Sequence[Mapping[str, Any]], name: str) -> tuple[float | None, float | None]:
        then, key = _number(curve[-1].get(name)), (len(curve), name)
        if math.isnan(then):
            return None, None
        if key not in self._lines:
            self._lines[key] = self._line(*key)
        line = self._lines[key]
        return (None, None) if line is None else line.at(then)

    def _line(self, epoch: int, name: str) -> _Line | None:
        ways = (finished.ways[name] for finished in self.finished)
        pairs = np.array([(way[epoch - 1], way[-1]) for way in ways if len(way) > epoch]).reshape(-1, 2)
        then, end = pairs[np.isfinite(pairs).all(axis=1)].T
        n = len(then)
        if n < _LEAST:
            return None
        x, y = then - then.mean(), end - end.mean()
        weight = _PRIOR * float(x @ x) / n
        spread = float(x @ x) + weight
        slope = (float(x @ y) + _SLOPE * weight) / spread if spread > 0 else 0.0
        rest = y - slope * x
        squares = float(rest @ rest) + _PRIOR * float(y @ y) / n
        return _Line(float(then.mean()), float(end.mean()), slope, math.sqrt(squares / (n - 2 + _PRIOR)), n, spread)


def _at(trial: Trial, epoch: int) -> Trial:
    """A trial as if it had ended after an epoch, counted from 1."""
    then = trial.curve[epoch - 1]
    return replace(
        trial, status="ok", accuracy=then.get("accuracy"), reward=then.get("reward"), accuracy_se=None, reward_se=None
    )


class _Finished:
    """A finished trial; its curve is read when it is looked into, for in a long log it costs more than all the rest."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial

    @cached_property
    def ways(self) -> dict[str, list[float]]:
        """Reward and accuracy after each epoch, and at last the trial's; NaN where one is not known."""
        curve, ends = self.trial.curve, {"reward": self.trial.reward, "accuracy": self.trial.accuracy}
        return {name: [*(_number(epoch.get(name)) for epoch in curve), _number(end)] for name, end in ends.items()}


def worth(trial: Trial) -> float | None:
    """Give the reward by which a told trial counts: its own, or what `Outlook` gave one that was stopped; else None."""
    known = trial.reward is not None and math.isfinite(trial.reward)
    return trial.reward if known and trial.status in ("ok", "pruned") else None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else math.nan


_LEAST, _MOST = 5, 100  # finished trials, the latest, that a line is of: of three its error is hardly known
_SLOPE, _PRIOR = 0.5, 2.0  # what is believed of a line before any trial, and how many trials that counts for
