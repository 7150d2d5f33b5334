"""NSGA-II: a population kept by Pareto rank and crowding, for several objectives. Source: Deb et al. 2002."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.algorithms.algorithm import Algorithm, Proposal, check_settings
from nas.runs.trial import Trial
from search_space.space import SearchSpace

# What may be optimised: the trial's fields in order of preference, and the sign that makes less better.
OBJECTIVES: dict[str, tuple[tuple[str, ...], int]] = {
    "accuracy": (("accuracy",), -1),
    "step_time": (("s_normalised", "step_time_ms"), 1),
    "params": (("p_normalised", "params"), 1),
    "reward": (("reward",), -1),
}


class NSGA2(Algorithm):
    """Binary tournaments by rank, then crowding; crossover and mutation; the population is trimmed as results arrive.

    Args:
        population: survivors of a trim; as many random trials come first.
        crossover: chance that a child has two parents.
        objectives: keys of OBJECTIVES. A trial that lacks one takes no part.
    Raises: ValueError for a setting out of range.
    """

    name = "nsga2"

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        *,
        population: int = 30,
        crossover: float = 0.7,
        objectives: tuple[str, ...] = ("accuracy", "step_time", "params"),
        **settings: Any,
    ) -> None:
        super().__init__(space, seed, **settings)
        check_settings(population=(population, 2, 10**5), crossover=(crossover, 0, 1))
        for name in objectives:
            if name not in OBJECTIVES:
                raise ValueError(f"unknown objective {name!r}; known: {', '.join(OBJECTIVES)}")
        if not objectives:
            raise ValueError("objectives must name at least one")
        self.size, self.crossover, self.objectives = population, crossover, tuple(objectives)
        self.trials: list[Trial] = []
        self.points: list[list[float]] = []
        self.ranking: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None

    def _propose(self, rng: np.random.Generator) -> Proposal:
        if len(self.trials) < self.size:
            return Proposal(self.space.sample(rng), "nsga2.random")
        if self.ranking is None:
            self.ranking = rank_and_crowding(np.array(self.points))
        parents = [self._tournament(rng, *self.ranking) for _ in range(1 + (rng.random() < self.crossover))]
        architecture = parents[0].architecture
        if len(parents) == 2:
            architecture = self.space.crossover(architecture, parents[1].architecture, rng)
        architecture = self.space.mutate(architecture, rng)
        return Proposal(architecture, "nsga2.child", tuple(parent.arch_id for parent in parents))

    def _tournament(self, rng: np.random.Generator, rank: NDArray[np.int64], crowding: NDArray[np.float64]) -> Trial:
        a, b = rng.choice(len(self.trials), 2, replace=False)
        first = (rank[a], -crowding[a]) <= (rank[b], -crowding[b])
        return self.trials[int(a if first else b)]

    def _learn(self, trial: Trial) -> None:
        point = [self._value(trial, name) for name in self.objectives]
        if trial.status != "ok" or not all(map(math.isfinite, point)):
            return
        self.trials.append(trial)
        self.points.append(point)
        self.ranking = None
        if len(self.trials) >= 2 * self.size:
            rank, crowding = rank_and_crowding(np.array(self.points))
            kept = sorted(np.lexsort((-crowding, rank))[: self.size])
            self.trials, self.points = [self.trials[i] for i in kept], [self.points[i] for i in kept]

    @staticmethod
    def _value(trial: Trial, name: str) -> float:
        names, sign = OBJECTIVES[name]
        known = (value for field in names if (value := getattr(trial, field)) is not None)
        return sign * float(next(known, math.nan))


def rank_and_crowding(points: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give each point's front, from 0, and its crowding distance within the front; less is better in every column.

    Args:
        points: (N, objectives).
    Returns: int64 and float64 arrays of length N; the ends of a front have infinite distance.
    """
    no_worse: NDArray[np.bool_] = np.asarray((points[:, None, :] <= points[None, :, :]).all(axis=2))
    dominates = no_worse & ~no_worse.T
    rank = np.full(len(points), -1, dtype=np.int64)
    front = 0
    while len(left := np.flatnonzero(rank < 0)):
        rank[left[~dominates[np.ix_(left, left)].any(axis=0)]] = front
        front += 1
    crowding = np.zeros(len(points))
    for number in range(front):
        members = np.flatnonzero(rank == number)
        for column in range(points.shape[1]):
            order = members[np.argsort(points[members, column], kind="stable")]
            ordered = points[order, column]
            crowding[order[[0, -1]]] = np.inf
            crowding[order[1:-1]] += (ordered[2:] - ordered[:-2]) / (ordered[-1] - ordered[0] + 1e-300)
    return rank, crowding
