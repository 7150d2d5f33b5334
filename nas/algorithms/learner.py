"""What told trials say of the reward of any architecture, and so which of them is the best: lucky readings are not.

The predictor proposes by it. Every other algorithm notes by it, in its proposals, which architecture the search would
choose (nas/runs/chosen.py), which costs next to nothing beside a training: the model is made anew when a twentieth more
trials were told.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

from threadpoolctl import ThreadpoolController

from nas.algorithms.features import Codes, Features
from nas.algorithms.known_reward import KnownReward
from nas.algorithms.reward_model import Fitted, RewardModel, StepTimes, fit
from nas.algorithms.targets import Observation, Targets, observation
from nas.runs.chosen import WINNER
from nas.runs.trial import Trial
from search_space.space import SearchSpace

LEAST = 4  # scored trials without which there is no model


class RewardLearner:
    """Gaussian processes of accuracy and step time on the stage encoding, told trial by trial.

    Args:
        step_time: gives normalised step times of architectures, if they can be had without training; else S is
            predicted.
        apart: learn accuracy and step time, whatever the reward makes of them.
    """

    def __init__(self, space: SearchSpace, *, step_time: StepTimes | None = None, apart: bool = False) -> None:
        self.space, self.step_time, self.apart = space, step_time, apart
        self.reward: KnownReward | None = None  # what the search scores by, where it says so
        self._waiting: list[Trial] = []  # told, and not looked into yet: who never asks for a model pays for none
        self._observations: list[Observation] = []
        self._arch_ids: list[str] = []  # of these
        self._scored_at: list[int] = []  # which of them have a reward
        self._model: tuple[int, RewardModel] | None = None  # of how many observations, and what
        self._fitted: tuple[int, Fitted] | None = None  # for how many observations, and what

    def learn(self, trial: Trial) -> None:
        """Take in a finished trial; another training of an architecture is one more noisy observation of it."""
        self._waiting.append(trial)

    @property
    def observations(self) -> list[Observation]:
        """What is used of the trials, in the order told."""
        for trial in self._waiting:
            self._observations.append(observation(trial, self.space.encode(trial.architecture)))
            self._arch_ids.append(trial.arch_id)
            if self._observations[-1].reward and math.isfinite(self._observations[-1].reward):
                self._scored_at.append(len(self._observations) - 1)
        self._waiting.clear()
        return self._observations

    @property
    def scored(self) -> int:
        """How many of them have a reward, but for 0: that is of what learned nothing, as a rule."""
        _ = self.observations
        return len(self._scored_at)

    def one_thread(self) -> AbstractContextManager[Any]:
        """Keep BLAS to one thread: for matrices of a few hundred rows a second one makes a busy machine slower."""
        limited: AbstractContextManager[Any] = self._threads.limit(limits=1, user_api="blas")
        return limited

    @cached_property
    def _threads(self) -> ThreadpoolController:
        return ThreadpoolController()

    @cached_property
    def _features(self) -> tuple[Features, Features]:
        first = Features(self.space, by_stage=False)
        return first, Features(self.space, by_stage=True, costs=first.costs)

    def model(self, count: int | None = None) -> RewardModel:
        """The model of the first `count` trials, with hyperparameters of a prefix: most proposals need no new fit.

        Args:
            count: with a scored one among them; None = all.
        """
        count = len(self.observations) if count is None else count
        if self._model is None or self._model[0] != count:
            steps = [n for n in _FIT_AT if n <= count]
            prefix = next((n for n in reversed(steps) if self._enough(n)), count)
            if self._fitted is None or self._fitted[0] != prefix:
                # Of the prefix alone, whatever came since: a replayed log must fit the same.
                self._fitted = prefix, fit(self._features, self._targets(prefix))
            targets = self._targets(count, settled=count if count <= _WHOLE else count - count % _EVERY)
            before = None if self._model is None else self._model[1]
            model = RewardModel(self.space, self._features, targets, self._fitted[1], self.step_time, before)
            self._model = count, model
        return self._model[1]

    def _targets(self, prefix: int, settled: int | None = None) -> Targets:
        return Targets(self._features[0], self.observations[:prefix], self.reward, settled, apart=self.apart)

    def _enough(self, prefix: int) -> bool:
        return bisect_left(self._scored_at, prefix) >= LEAST

    def notes(self, model: RewardModel, code: Codes) -> dict[str, Any]:
        """What a model has of an architecture (decisions,) that is proposed, and of the winner so far, for the log."""
        log_reward, log_std, _ = model.predict(code[None])
        mean, std = model.targets.told(float(log_reward[0]), float(log_std[0]))
        return {"predicted_reward": mean, "predicted_std": std, WINNER: self._winner()}

    def _winner(self) -> dict[str, Any]:
        """What the latest model takes for the best so far: see nas/runs/chosen.py."""
        assert self._model is not None
        count, model = self._model
        code, log_reward, log_std, log_noise, chance = model.winner
        mean, std = model.targets.told(log_reward, log_std)
        noise = model.targets.told(log_reward, log_noise)[1]
        arch_id = self.space.decode(code).arch_id
        after = self._arch_ids[self._scored_at[bisect_left(self._scored_at, count) - 1]]  # the last that is ranked
        return {"arch_id": arch_id, "mean": mean, "std": std, "noise": noise, "chance": chance, "after": after}

    def notes_now_and_then(self, code: Codes) -> dict[str, Any]:
        """Give such notes by a model that is not of the very last trials; none while few were told."""
        at = bisect_right(_NOTED_AT, len(self.observations)) - 1
        if at < 0 or not self.space.decisions or not self._enough(_NOTED_AT[at]):
            return {}
        with self.one_thread():
            return self.notes(self.model(_NOTED_AT[at]), code)


def _growing(first: int, last: int) -> list[int]:
    """Numbers of trials, each a twentieth above the one before."""
    found = [first]
    while found[-1] < last:
        found.append(max(found[-1] + 1, found[-1] + found[-1] // 20))
    return found


_NOTED_AT = _growing(20, 10**9)
_WHOLE, _EVERY = 256, 32  # trials up to which all are settled, and how many more are at once
_FIT_AT = (4, 6, 8, 10, 12, 15, 18, 22, 26, 31, 37, 44, 53, 64, 77, 92, 110, 132, 158, 190, 228)
