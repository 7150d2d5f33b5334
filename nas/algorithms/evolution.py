"""Regularised evolution: the oldest of the population dies, not the worst. Source: arXiv:1802.01548."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from nas.algorithms.algorithm import Algorithm, Proposal
from nas.trial import Trial
from search_space.space import SearchSpace


class Evolution(Algorithm):
    """Tournament of `sample_size` among the last `population` finished trials; the winner is mutated.

    Args:
        population: trials that live; until so many are done, candidates are random.
        sample_size: trials in a tournament, <= population.
        crossover: chance that the winner is first mixed with the winner of a second tournament.
    Raises: ValueError for a setting out of range.
    """

    name = "evolution"

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        *,
        population: int = 20,
        sample_size: int = 8,
        crossover: float = 0.0,
        **settings: Any,
    ) -> None:
        super().__init__(space, seed, **settings)
        if not 1 <= sample_size <= population:
            raise ValueError(f"sample_size must be in [1, population={population}], got {sample_size}")
        if not 0 <= crossover <= 1:
            raise ValueError(f"crossover must be in [0, 1], got {crossover}")
        self.population: deque[Trial] = deque(maxlen=population)
        self.sample_size, self.crossover = sample_size, crossover

    def _propose(self, rng: np.random.Generator) -> Proposal:
        if len(self.population) < (self.population.maxlen or 1):
            return Proposal(self.space.sample(rng), "evolution.random")
        parents = [self._tournament(rng)]
        architecture = parents[0].architecture
        if rng.random() < self.crossover:
            parents.append(self._tournament(rng))
            architecture = self.space.crossover(architecture, parents[1].architecture, rng)
        architecture = self.space.mutate(architecture, rng)
        return Proposal(architecture, "evolution.mutation", tuple(parent.arch_id for parent in parents))

    def _tournament(self, rng: np.random.Generator) -> Trial:
        drawn = rng.choice(len(self.population), self.sample_size, replace=False)
        return max((self.population[i] for i in drawn), key=lambda trial: trial.reward or 0.0)

    def _learn(self, trial: Trial) -> None:
        if trial.status == "ok" and trial.reward is not None:
            self.population.append(trial)
