"""By how much a candidate is expected to extend the front of accuracy, step time and params: exact, without sampling.

Source: Emmerich, Giannakoglou and Naujoks, IEEE Trans. Evol. Comput. 10 (2006), 421-439, where one objective is known.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from rewards.pareto import pareto_front

Floats = NDArray[np.float64]
MAXIMISE = (True, False, False)  # accuracy, step time, params


class Step(NamedTuple):
    """Of params between two points of the front: the stairs that accuracy has to rise above, by step time."""

    low: float  # params
    high: float
    times: NDArray[np.int64]  # numbers of the edges of step time between which each stair lies, ascending: one more
    levels: NDArray[np.int64]  # numbers of the accuracies of the stairs


class Front:
    """What no known point beats, and the volume beyond.

    Args:
        points: (N, 3): accuracy, step time and params of whatever is known; all of them, or some.
        corner: (3,): what is worse than all of interest: beyond it nothing counts.
    """

    def __init__(self, points: Floats, corner: Floats) -> None:
        inside = points[(points[:, 0] > corner[0]) & (points[:, 1] < corner[1]) & (points[:, 2] < corner[2])]
        self.corner = corner
        self.points = np.unique(inside[pareto_front(inside, MAXIMISE)], axis=0)
        order = np.argsort(self.points[:, 2], kind="stable")
        # The corner stands behind the points: below the first stair, and behind the last.
        self.levels = np.append(self.points[:, 0], corner[0])
        self.times = np.append(self.points[:, 1], corner[1])
        starts = np.concatenate([[-np.inf], self.points[order, 2], [corner[2]]])
        self.steps = [self._step(order[:n], starts[n], starts[n + 1]) for n in range(len(order) + 1)]

    def _step(self, known: NDArray[np.int64], low: float, high: float) -> Step:
        """The stairs of the points of no more params, of which the fastest comes first."""
        last, by_time = len(self.points), known[np.lexsort((-self.points[known, 0], self.points[known, 1]))]
        highest = np.maximum.accumulate(np.append(self.corner[0], self.points[by_time, 0]))
        stairs = by_time[highest[1:] > highest[:-1]]
        return Step(low, high, np.append(stairs, last), np.concatenate([[last], stairs]))

    def expected_gain(
        self, accuracy: tuple[Floats, Floats], step_time: tuple[Floats, Floats], params: Floats
    ) -> Floats:
        """Volume that each candidate is expected to add, (N,), in the product of the three units.

        Args:
            accuracy, step_time: means and standard deviations (N,) of normal distributions, independent of each other.
            params: (N,), known.
        """
        above = _mean_excess(accuracy[0][:, None] - self.levels, accuracy[1][:, None])  # (N, points + 1)
        before = _mean_excess(self.times - step_time[0][:, None], step_time[1][:, None])
        total = np.zeros(len(params))
        for step in self.steps:
            height = step.high - np.maximum(params, step.low)
            rows = np.flatnonzero(height > 0)
            if not len(rows) or step.high <= step.low:
                continue
            until = before[np.ix_(rows, step.times)]
            widths = np.diff(until, axis=1, prepend=0.0)
            total[rows] += height[rows] * (widths * above[np.ix_(rows, step.levels)]).sum(axis=1)
        return total


def _mean_excess(mean: Floats, std: Floats) -> Floats:
    """Mean of what a normal number is above 0."""
    z = mean / std
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return np.asarray(np.maximum(0.0, std * (density + z * scipy.special.ndtr(z))))
