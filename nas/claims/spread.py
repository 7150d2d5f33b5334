"""A dozen architectures that stand for many: spread over accuracy and step time as a run measured them, or by cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from nas.runs.ranking import best
from nas.runs.trial import Trial
from search_space.architecture import Architecture
from search_space.cost import count_batch
from search_space.space import SearchSpace

_DRAWN = 1000  # of a space, to choose from


@dataclass(frozen=True)
class Chosen:
    """An architecture that was chosen, and what was known of it then; None = was not."""

    architecture: Architecture
    params: int | None
    macs: int | None
    accuracy: float | None = None  # in the run, the mean of its trials, [0, 1]
    s_normalised: float | None = None  # step time over the reference's, the mean of its trials


def spread_of_run(trials: Sequence[Trial], count: int, seed: int) -> list[Chosen]:
    """Choose among the trained architectures of a run, the winner first.

    Each next one is the one farthest from all chosen ones, by ranks of accuracy and of step time (of MACs where a trial
    was not timed), so that neither crowds nor outliers have a say.

    Args:
        seed: of the order among equals.
    Raises: ValueError if there are not so many.
    """
    by_id: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.status == "ok" and trial.accuracy is not None:
            by_id.setdefault(trial.arch_id, []).append(trial)
    known = [_mean(group) for group in by_id.values()]
    if len(known) < count:
        raise ValueError(f"{len(known)} architectures of the run were trained to the end; {count} are asked for")
    timed = all(each.s_normalised is not None for each in known)
    costs = [each.s_normalised if timed else each.macs for each in known]
    winner = best(trials)
    first = 0 if winner is None else [*by_id].index(winner.arch_id)
    points = np.array([[each.accuracy, cost] for each, cost in zip(known, costs, strict=True)], dtype=np.float64)
    return [known[index] for index in _farthest(points, count, seed, first)]


def spread_of_space(space: SearchSpace, count: int, seed: int) -> list[Chosen]:
    """Choose among architectures drawn from a space, by ranks of MACs and of parameters: nothing else is known yet.

    Raises: ValueError if the space has not so many; Infeasible if it has none that keeps its constraints.
    """
    drawn = np.unique(space.sample_encodings(_DRAWN, np.random.default_rng(seed)), axis=0)
    if len(drawn) < count:
        raise ValueError(f"{len(drawn)} architectures were found in the space; {count} are asked for")
    c = space.constraints
    costs = count_batch(space, drawn, c.image_size, c.num_classes, c.in_channels)
    chosen = _farthest(np.stack([costs.macs, costs.params], axis=1).astype(np.float64), count, seed)
    return [Chosen(space.decode(drawn[i]), int(costs.params[i]), int(costs.macs[i])) for i in chosen]


def _mean(trials: Sequence[Trial]) -> Chosen:
    """What is known of an architecture by all of its trials."""
    times = [trial.s_normalised for trial in trials if trial.s_normalised is not None]
    return Chosen(
        trials[0].architecture,
        trials[0].params,
        trials[0].macs,
        float(np.mean([trial.accuracy for trial in trials if trial.accuracy is not None])),
        float(np.mean(times)) if times else None,
    )


def _farthest(points: NDArray[np.float64], count: int, seed: int, first: int | None = None) -> list[int]:
    """Pick points one after the other, each the farthest from those picked, by ranks (farthest-point sampling).

    Args:
        points: (N, dimensions); a number that is not known is middling.
        first: the one to begin with; None = the most middling.
    Source: Gonzalez, Clustering to minimize the maximum intercluster distance, 1985.
    """
    ranks = np.stack([_ranks(column) for column in points.T], axis=1)
    order = np.random.default_rng(seed).permutation(len(ranks))  # among equals the first of it
    if first is None:
        first = int(order[np.abs(ranks[order] - 0.5).sum(axis=1).argmin()])
    picked, nearest = [first], np.full(len(ranks), math.inf)
    while len(picked) < count:
        nearest = np.minimum(nearest, ((ranks - ranks[picked[-1]]) ** 2).sum(axis=1))
        nearest[picked] = -1
        picked.append(int(order[nearest[order].argmax()]))
    return picked


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0 to 1, equal values the mean of theirs; a half where a value is not known."""
    known = np.isfinite(values)
    ranks = np.full(len(values), 0.5)
    ranks[known] = (rankdata(values[known]) - 0.5) / max(1, known.sum())
    return ranks
