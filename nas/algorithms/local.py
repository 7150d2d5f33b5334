"""Local search with restarts: change one decision of the best, move when better.

Source: White et al. 2020 (arXiv:2004.08996).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.algorithms.algorithm import Algorithm, Proposal, check_settings
from nas.algorithms.outlook import worth
from nas.runs.trial import Trial
from search_space.architecture import Architecture
from search_space.space import SearchSpace


@dataclass(frozen=True)
class LocalSettings:
    """How a local search starts and restarts."""

    warm_up: int = 10  # random trials at the start, the best of which is the first centre, [1, 1e6]
    kick: int = 4  # decisions changed at a restart, [2, 1000]

    def __post_init__(self) -> None:
        check_settings(warm_up=(self.warm_up, 1, 10**6), kick=(self.kick, 2, 10**3))


class LocalSearch(Algorithm):
    """Neighbours of the centre in random order; the first better one becomes the centre.

    When all neighbours of the centre are done it restarts from a copy of the best with `kick` decisions changed.
    """

    name = "local"
    Settings = LocalSettings
    settings: LocalSettings

    def __init__(self, space: SearchSpace, seed: int = 0, **settings: Any) -> None:
        super().__init__(space, seed, **settings)
        self.scored = 0
        self.scored_trials: dict[str, Trial] = {}  # by arch_id
        self.best: Trial | None = None
        self.centre: Trial | None = None
        self.ring: dict[str, Architecture] = {}  # neighbours of the centre
        # What was told, not what was asked: a replayed log knows no more than that.
        self.told_ids: set[str] = set()

    def _propose(self, rng: np.random.Generator) -> Proposal:
        if self.centre is None or self.best is None or self.scored < self.settings.warm_up:
            return Proposal(self.space.sample(rng), "local.random")
        left = [neighbour for arch_id, neighbour in self.ring.items() if arch_id not in self.seen]
        if left:
            return Proposal(left[rng.integers(len(left))], "local.neighbour", (self.centre.arch_id,))
        architecture = self.best.architecture
        for _ in range(self.settings.kick):
            architecture = self.space.mutate(architecture, rng)
        return Proposal(architecture, "local.restart", (self.best.arch_id,))

    def _learn(self, trial: Trial) -> None:
        finished = self.centre is not None and self.told_ids.issuperset(self.ring)
        self.told_ids.add(trial.arch_id)
        reward = worth(trial)
        if reward is None:
            return
        self.scored += 1
        self.scored_trials[trial.arch_id] = trial
        if self.best is None or reward > (self.best.reward or 0.0):
            self.best = trial
        restarted = finished and trial.arch_id not in self.ring
        if self.centre is None or reward > (self.centre.reward or 0.0) or restarted:
            self.centre = trial
            self.ring = {a.arch_id: a for a in self.space.neighbours(trial.architecture)}

    def _learn_again(self, trial: Trial, mean: Trial) -> None:
        """A centre that was lucky keeps its place until something beats what it is worth."""
        self.scored_trials[mean.arch_id] = mean
        self.best = max(self.scored_trials.values(), key=lambda one: one.reward or 0.0)
        if self.centre is not None and self.centre.arch_id == mean.arch_id:
            self.centre = mean
