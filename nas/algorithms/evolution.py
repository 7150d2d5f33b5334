"""Regularised evolution: the oldest of the population dies, not the worst.

Source: Real et al. 2019 (arXiv:1802.01548).
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from nas.algorithms.algorithm import Algorithm, Proposal, check_settings, score
from nas.runs.trial import Trial
from search_space.space import SearchSpace


class Evolution(Algorithm):
    """Tournament of `sample_size` among the last `population` scored trials; the winner is mutated.

    The defaults are tuned on synthetic landscapes; the paper's own are population 100, sample_size 25.

    Args:
        population: trials that live.
        sample_size: trials in a tournament, <= population.
        crossover: chance that the winner is first mixed with the winner of a second tournament.
        mutations: decisions changed, at least one; the mean of 1 + a Poisson draw.
        warm_up: random trials at the start.
    Raises: ValueError for a setting out of range.
    """

    name = "evolution"

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        *,
        population: int = 20,
        sample_size: int = 15,
        crossover: float = 0.0,
        mutations: float = 1.0,
        warm_up: int = 15,
        **settings: Any,
    ) -> None:
        super().__init__(space, seed, **settings)
        check_settings(
            population=(population, 1, 10**6),
            sample_size=(sample_size, 1, population),
            crossover=(crossover, 0, 1),
            mutations=(mutations, 1, 100),
            warm_up=(warm_up, 1, 10**6),
        )
        self.population: deque[Trial] = deque(maxlen=population)
        self.sample_size, self.crossover, self.mutations = sample_size, crossover, mutations
        self.warm_up, self.scored = warm_up, 0

    def _propose(self, rng: np.random.Generator) -> Proposal:
        if self.scored < self.warm_up:
            return Proposal(self.space.sample(rng), "evolution.random")
        parents = [self._tournament(rng)]
        architecture = parents[0].architecture
        if rng.random() < self.crossover:
            parents.append(self._tournament(rng))
            architecture = self.space.crossover(architecture, parents[1].architecture, rng)
        for _ in range(1 + rng.poisson(self.mutations - 1)):
            architecture = self.space.mutate(architecture, rng)
        return Proposal(architecture, "evolution.mutation", tuple(parent.arch_id for parent in parents))

    def _tournament(self, rng: np.random.Generator) -> Trial:
        drawn = rng.choice(len(self.population), min(self.sample_size, len(self.population)), replace=False)
        return max((self.population[i] for i in drawn), key=lambda trial: trial.reward or 0.0)

    def _learn(self, trial: Trial) -> None:
        if score(trial) is not None:
            self.scored += 1
            self.population.append(trial)
