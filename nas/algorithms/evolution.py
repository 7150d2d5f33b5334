"""Regularised evolution: the oldest of the population dies, not the worst.

Source: Real et al. 2019 (arXiv:1802.01548).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.algorithms.algorithm import Algorithm, Proposal, check_settings
from nas.algorithms.outlook import worth
from nas.runs.trial import Trial
from search_space.space import SearchSpace


@dataclass(frozen=True)
class EvolutionSettings:
    """The defaults are tuned on synthetic landscapes; the paper's own are population 100, sample_size 25."""

    population: int = 20  # trials that live, [1, 1e6]
    sample_size: int = 15  # trials in a tournament, [1, population]
    crossover: float = 0.0  # chance that the winner is first mixed with that of a second tournament, [0, 1]
    mutations: float = 1.0  # decisions changed: the mean of 1 + a Poisson draw, [1, 100]
    warm_up: int = 15  # random trials at the start, [1, 1e6]

    def __post_init__(self) -> None:
        check_settings(
            population=(self.population, 1, 10**6),
            sample_size=(self.sample_size, 1, self.population),
            crossover=(self.crossover, 0, 1),
            mutations=(self.mutations, 1, 100),
            warm_up=(self.warm_up, 1, 10**6),
        )


class Evolution(Algorithm):
    """Tournament of `sample_size` among the last `population` scored trials; the winner is mutated."""

    name = "evolution"
    Settings = EvolutionSettings
    settings: EvolutionSettings

    def __init__(self, space: SearchSpace, seed: int = 0, **settings: Any) -> None:
        super().__init__(space, seed, **settings)
        self.population: deque[Trial] = deque(maxlen=self.settings.population)
        self.scored = 0

    def _propose(self, rng: np.random.Generator) -> Proposal:
        if self.scored < self.settings.warm_up:
            return Proposal(self.space.sample(rng), "evolution.random")
        parents = [self._tournament(rng)]
        architecture = parents[0].architecture
        if rng.random() < self.settings.crossover:
            parents.append(self._tournament(rng))
            architecture = self.space.crossover(architecture, parents[1].architecture, rng)
        for _ in range(1 + rng.poisson(self.settings.mutations - 1)):
            architecture = self.space.mutate(architecture, rng)
        return Proposal(architecture, "evolution.mutation", tuple(parent.arch_id for parent in parents))

    def _tournament(self, rng: np.random.Generator) -> Trial:
        drawn = rng.choice(len(self.population), min(self.settings.sample_size, len(self.population)), replace=False)
        return max((self.population[i] for i in drawn), key=lambda trial: trial.reward or 0.0)

    def _learn(self, trial: Trial) -> None:
        if worth(trial) is not None:
            self.scored += 1
            self.population.append(trial)

    def _learn_again(self, trial: Trial, mean: Trial) -> None:
        for place, one in enumerate(self.population):
            if one.arch_id == mean.arch_id:  # as old as it was; one that has died stays dead
                self.population[place] = mean
