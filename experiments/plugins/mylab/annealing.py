"""A search algorithm: simulated annealing over single decisions (Kirkpatrick et al. 1983)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas import Trial
from nas.algorithms import Algorithm, Proposal
from nas.runs.ranking import score
from search_space.space import SearchSpace


@dataclass(frozen=True)
class AnnealingSettings:
    """How it cools down."""

    temperature: float = 0.05  # reward by which a worse candidate is accepted once in e times; > 0
    cooling: float = 0.95  # factor per scored trial; in (0, 1]
    warm_up: int = 3  # random trials at the start, >= 1

    def __post_init__(self) -> None:
        if self.temperature <= 0 or not 0 < self.cooling <= 1 or self.warm_up < 1:
            raise ValueError("temperature must be > 0, cooling in (0, 1] and warm_up >= 1")


class Annealing(Algorithm):
    """Mutates where it stands; goes there if the result is better, or by chance if it is a little worse."""

    name = "annealing"
    Settings = AnnealingSettings

    def __init__(self, space: SearchSpace, seed: int = 0, **settings: Any) -> None:
        super().__init__(space, seed, **settings)
        self.here: Trial | None = None
        self.scored = 0

    def _propose(self, rng: np.random.Generator) -> Proposal:
        if self.here is None or self.scored < self.settings.warm_up:
            return Proposal(self.space.sample(rng), "annealing.random")
        return Proposal(self.space.mutate(self.here.architecture, rng), "annealing", (self.here.arch_id,))

    def _learn(self, trial: Trial) -> None:
        reward = score(trial)
        if reward is None:
            return
        self.scored += 1
        heat = self.settings.temperature * self.settings.cooling**self.scored
        worse = (self.here.reward if self.here else -math.inf) - reward
        # The draw follows from what was told alone, so that a log replayed goes the same way.
        if worse <= 0 or np.random.default_rng((self.seed, self.told)).random() < math.exp(-worse / heat):
            self.here = trial
