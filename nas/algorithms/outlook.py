"""What a trial that was stopped early would have come to: where it was, and what finished ones gained from there."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from typing import Any, NamedTuple

from nas.runs.ranking import is_scored
from nas.runs.trial import Trial

_LEAST, _MOST = 3, 100  # finished trials, the latest, from which a median is taken


class _Way(NamedTuple):
    """How trials go on from an epoch, at the median."""

    gain: float  # of the reward, added
    reward: float  # where they end
    ratio: float | None  # of the accuracy, multiplied; None = too few have accuracies
    accuracy: float  # where they end


class Outlook:
    """Learns from finished trials how rewards and accuracies go on, epoch by epoch.

    The median of their gains is added: it keeps the order of the stopped ones, and needs few trials. Finished ones are
    those that began well, and who was stopped was not among them, so nothing is expected to end above their median.
    """

    def __init__(self) -> None:
        self.finished: deque[Trial] = deque(maxlen=_MOST)
        self._ways: dict[int, _Way | None] = {}  # from each epoch that was asked for; None = not known yet

    def tell(self, trial: Trial) -> None:
        """Take a finished trial; others, and those without a curve, say nothing."""
        if is_scored(trial) and trial.curve:
            self.finished.append(trial)
            self._ways.clear()

    def completed(self, trial: Trial) -> Trial:
        """Give a trial that was stopped early with the reward and accuracy that it would have had; others unchanged.

        It stays `pruned`, so that it is in no ranking. Where too few trials finished to say, it is unchanged, too.
        """
        if trial.status != "pruned" or not trial.curve:  # a curve of a long log is read when it is looked into
            return trial
        epoch, reward = len(trial.curve), _number(trial.curve[-1], "reward")
        if reward is None:
            return trial
        if epoch not in self._ways:
            self._ways[epoch] = self._way(epoch)
        if (way := self._ways[epoch]) is None:
            return trial
        accuracy = _number(trial.curve[-1], "accuracy")
        ends = None if accuracy is None or way.ratio is None else min(accuracy * way.ratio, way.accuracy)
        return replace(trial, reward=min(reward + way.gain, way.reward), accuracy=ends)

    def _way(self, epoch: int) -> _Way | None:
        known = [
            (then, float(trial.reward or 0.0), _number(trial.curve[epoch - 1], "accuracy"), trial.accuracy)
            for trial in self.finished
            if len(trial.curve) >= epoch and (then := _number(trial.curve[epoch - 1], "reward")) is not None
        ]
        if len(known) < _LEAST:
            return None
        gain, reward = median(end - then for then, end, _, _ in known), median(end for _, end, _, _ in known)
        pairs = [(then, end) for _, _, then, end in known if then is not None and end is not None and then > 0]
        if len(pairs) < _LEAST:
            return _Way(gain, reward, None, math.nan)
        return _Way(gain, reward, median(end / then for then, end in pairs), median(end for _, end in pairs))


def worth(trial: Trial) -> float | None:
    """Give the reward by which a told trial counts: its own, or what `Outlook` gave one that was stopped; else None."""
    known = trial.reward is not None and math.isfinite(trial.reward)
    return trial.reward if known and trial.status in ("ok", "pruned") else None


def _number(epoch: Mapping[str, Any], name: str) -> float | None:
    value = epoch.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
