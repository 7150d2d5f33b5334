"""NSGA-II: a population kept by Pareto rank and crowding, for several objectives. Source: Deb et al. 2002."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.algorithms.algorithm import Algorithm, Proposal, as_proposed, check_settings
from nas.algorithms.outlook import worth
from nas.runs.objectives import read_objective
from nas.runs.trial import Trial
from search_space.space import SearchSpace

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NSGA2Settings:
    """Of the population, and what is optimised."""

    population: int = 30  # survivors of a trim; as many random trials come first, [2, 1e5]
    crossover: float = 0.9  # chance that a child has two parents, [0, 1]
    # Keys of OBJECTIVES (nas/runs/objectives.py), other numeric columns of a trial, or metrics; `-` before a name: less
    # is better, `+`: more. Without a sign it is as COLUMNS of nas/runs/columns.py says. A trial that lacks one takes no
    # part.
    objectives: tuple[str, ...] = ("accuracy", "step_time", "params")

    def __post_init__(self) -> None:
        check_settings(population=(self.population, 2, 10**5), crossover=(self.crossover, 0, 1))
        if not self.objectives:
            raise ValueError("objectives must name at least one")
        for text in self.objectives:
            read_objective(text)


class NSGA2(Algorithm):
    """Binary tournaments by rank, then crowding; crossover and mutation; the population is trimmed as results arrive.

    Says once, as a warning, if no finished trial has one of the objectives: until one has, proposals are random.
    """

    name = "nsga2"
    Settings = NSGA2Settings
    settings: NSGA2Settings

    def __init__(self, space: SearchSpace, seed: int = 0, **settings: Any) -> None:
        super().__init__(space, seed, **settings)
        self.objectives = {text: read_objective(text) for text in self.settings.objectives}
        self.trials: list[Trial] = []
        self.points: list[list[float]] = []
        self.ranking: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None
        self.missing = set(self.objectives)  # what no finished trial had so far
        self.warned = False

    def _propose(self, rng: np.random.Generator) -> Proposal:
        if len(self.trials) < self.settings.population:
            return Proposal(self.space.sample(rng), "nsga2.random")
        if self.ranking is None:
            self.ranking = rank_and_crowding(np.array(self.points))
        parents = [self._tournament(rng, *self.ranking) for _ in range(1 + (rng.random() < self.settings.crossover))]
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
        if trial.status != "ok" and worth(trial) is None:
            return
        values = {text: _value(trial, *read) for text, read in self.objectives.items()}
        self._warn({text for text, value in values.items() if not math.isfinite(value)})
        point = list(values.values())
        if not all(map(math.isfinite, point)):
            return
        self.trials.append(trial)
        self.points.append(point)
        self.ranking = None
        size = self.settings.population
        if len(self.trials) >= 2 * size:
            rank, crowding = rank_and_crowding(np.array(self.points))
            kept = sorted(np.lexsort((-crowding, rank))[:size])
            self.trials, self.points = [self.trials[i] for i in kept], [self.points[i] for i in kept]

    def _learn_again(self, trial: Trial, mean: Trial) -> None:
        at = next((i for i, one in enumerate(self.trials) if one.arch_id == mean.arch_id), None)
        if at is None:  # it was trimmed away, by what may have been bad luck
            self._learn(mean)
            return
        point = [_value(mean, *read) for read in self.objectives.values()]
        if all(map(math.isfinite, point)):
            self.trials[at], self.points[at], self.ranking = mean, point, None

    def _choose(self, timings: Sequence[Trial]) -> Proposal:
        """Choose the first: one reward would lead to one place of the front."""
        return as_proposed(timings[0])

    def _warn(self, lacking: set[str]) -> None:
        """Note what a finished trial lacks; say it as soon as no trial has it, for the search learns nothing then."""
        self.missing &= lacking
        if self.missing and not self.warned:
            self.warned = True
            names = ", ".join(text for text in self.objectives if text in self.missing)
            logger.warning("nsga2: no finished trial has the objective %s; until one has, proposals are random", names)


def _value(trial: Trial, columns: tuple[str, ...], more: bool) -> float:
    """The first of the columns that is known, turned so that less is better; NaN if none is."""
    value = next((value for name in columns if (value := trial.get(name)) is not None), math.nan)
    return -float(value) if more else float(value)


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
