"""What a trial that was stopped early would have come to: what finished ones came to from where it was."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
        self.finished: deque[Trial] = deque(maxlen=_MOST)
        self._lines: dict[tuple[int, str], _Line | None] = {}  # from each epoch that was asked for; None: not known yet

    def tell(self, trial: Trial) -> None:
        """Take a finished trial; others, and those without a curve, say nothing."""
        if is_scored(trial) and trial.curve:
            self.finished.append(trial)
            self._lines.clear()

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
        if then is None:
            return None, None
        if key not in self._lines:
            self._lines[key] = self._line(*key)
        line = self._lines[key]
        return (None, None) if line is None else line.at(then)

    def _line(self, epoch: int, name: str) -> _Line | None:
        pairs = [
            (then, end)
            for trial in self.finished
            if len(trial.curve) >= epoch
            and (then := _number(trial.curve[epoch - 1].get(name))) is not None
            and (end := _number(getattr(trial, name))) is not None
        ]
        n = len(pairs)
        if n < _LEAST:
            return None
        then, end = np.array(pairs).T
        x, y = then - then.mean(), end - end.mean()
        weight = _PRIOR * float(x.var())
        spread = float(x @ x) + weight
        slope = (float(x @ y) + _SLOPE * weight) / spread if spread > 0 else 0.0
        squares = float(((y - slope * x) ** 2).sum()) + _PRIOR * float(y.var())
        return _Line(float(then.mean()), float(end.mean()), slope, math.sqrt(squares / (n - 2 + _PRIOR)), n, spread)


def worth(trial: Trial) -> float | None:
    """Give the reward by which a told trial counts: its own, or what `Outlook` gave one that was stopped; else None."""
    known = trial.reward is not None and math.isfinite(trial.reward)
    return trial.reward if known and trial.status in ("ok", "pruned") else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


_LEAST, _MOST = 5, 100  # finished trials, the latest, that a line is of: of three its error is hardly known
_SLOPE, _PRIOR = 0.5, 2.0  # what is believed of a line before any trial, and how many trials that counts for
