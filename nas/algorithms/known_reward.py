"""The user's reward as a search algorithm uses it: a function of accuracy and costs, through which predictions go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards import find_reward, reward_settings
from rewards.signature import Reward, reads

Floats = NDArray[np.float64]

PREDICTED = ("accuracy", "step_time", "params")  # what is known of an architecture that was not trained


@dataclass(frozen=True)
class KnownReward:
    """A reward that reads nothing but what can be predicted."""

    function: Reward
    settings: Mapping[str, Any]
    reads: tuple[str, ...]  # of PREDICTED, in the order of the function's parameters

    def of(self, accuracy: Floats, step_time: Floats, params: Floats) -> Floats:
        """Score arrays of one shape, one by one, for a reward is a function of numbers; NaN where it refuses."""
        known = dict(zip(PREDICTED, (accuracy, step_time, params), strict=True))
        columns = [known[name].ravel().tolist() for name in self.reads]
        try:
            scores = list(map(partial(self.function, **self.settings), *columns))
        except (ValueError, ArithmeticError):
            scores = [self._one(*values) for values in zip(*columns, strict=True)]
        return np.array(scores, dtype=np.float64).reshape(accuracy.shape)

    def _one(self, *values: float) -> float:
        try:
            return float(self.function(*values, **self.settings))
        except (ValueError, ArithmeticError):
            return np.nan


def known_reward(name: str, settings: Mapping[str, Any]) -> KnownReward | None:
    """Give the reward of that name; None if it reads what cannot be predicted, or no accuracy.

    Raises: ValueError as `rewards.reward_settings` does.
    """
    function = find_reward(name)
    names = reads(function)
    if "accuracy" not in names or not set(names) <= set(PREDICTED):
        return None
    return KnownReward(function, reward_settings(name, settings), names)
