"""Random search: distinct architectures, uniform over the space."""

from __future__ import annotations

import numpy as np

from nas.algorithms.algorithm import Algorithm, Proposal
from nas.runs.trial import Trial


class RandomSearch(Algorithm):
    """Draws uniformly from the allowed architectures; learns nothing. The paper's search on its smaller space."""

    name = "random"
    notes_winner = False

    def _propose(self, rng: np.random.Generator) -> Proposal:
        return Proposal(self.space.sample(rng), self.name)

    def _learn(self, trial: Trial) -> None:
        pass
