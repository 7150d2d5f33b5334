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
COUNTED = ("params", "params_count", "macs")  # and what of that, and beside it, is counted
# Fields of a trial that say the costs.
TOLD_AS = {"step_time": "s_normalised", "params": "p_normalised", "params_count": "params", "macs": "macs"}


@dataclass(frozen=True)
class KnownReward:
    """A reward that reads nothing but what can be predicted or counted."""

    function: Reward
    settings: Mapping[str, Any]
    reads: tuple[str, ...]  # of PREDICTED and COUNTED, in the order of the function's parameters

    def of(self, known: Mapping[str, Floats]) -> Floats:
        """Score one by one, for a reward is a function of numbers; NaN where it refuses.

        Args:
            known: of each name in `reads` an array; they are broadcast to one shape, which is that of the scores.
        """
        given = np.broadcast_arrays(*(known[name] for name in self.reads))
        columns = [each.ravel().tolist() for each in given]
        try:
            scores = list(map(float, map(partial(self.function, **self.settings), *columns)))
        except Exception:  # whatever a user's function raises for what nobody measured
            scores = [self._one(*values) for values in zip(*columns, strict=True)]
        return np.array(scores, dtype=np.float64).reshape(given[0].shape)

    def _one(self, *values: float) -> float:
        try:
            return float(self.function(*values, **self.settings))
        except Exception:
            return np.nan


def known_reward(name: str, settings: Mapping[str, Any]) -> KnownReward | None:
    """Give the reward of that name; None if it reads what can neither be predicted nor counted, or no accuracy.

    Raises: ValueError as `rewards.reward_settings` does.
    """
    function = find_reward(name)
    names = reads(function)
    if "accuracy" not in names or not set(names) <= {*PREDICTED, *COUNTED}:
        return None
    return KnownReward(function, reward_settings(name, settings), names)
