"""The architecture in the middle of a search space by what it costs: the unit of S and P where a space names none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from search_space.architecture import Architecture
from search_space.cost import count_batch
from search_space.space import Infeasible, SearchSpace

DRAWN = 1 << 14  # architectures, in 30 ms; the nearest to all three medians is within some 3 % of the ranks
_SEED = 0  # the same space has the same middle


def middle_of(space: SearchSpace) -> Architecture:
    """Give the architecture whose params, MACs and activations are nearest the medians of a sample of the space.

    Near is by rank, so that neither units count nor what all architectures have alike, such as the classifier: the one
    is taken whose cost farthest from its median is nearest to it. The middle choice of every decision can lie far off:
    choices are written in any order, grow by factors, and cheap ops often come first.

    Args:
        space: its constraints are kept where that can be found; they may be counted for other classes than the data's,
            which are not read yet, and then may leave nothing.
    """
    try:
        codes = space.sample_encodings(DRAWN, np.random.default_rng(_SEED))
    except Infeasible:
        free = replace(space.constraints, params_min=None, params_max=None, macs_min=None, macs_max=None)
        codes = replace(space, constraints=free).sample_encodings(DRAWN, np.random.default_rng(_SEED))
    c = space.constraints
    costs = count_batch(space, codes, c.image_size, c.num_classes, c.in_channels)
    off = np.stack([np.abs(_ranks(cost) - 0.5) for cost in costs])  # (3, DRAWN)
    return space.decode(codes[np.lexsort((off.sum(axis=0), off.max(axis=0)))[0]])


def _ranks(values: NDArray[np.int64]) -> NDArray[np.float64]:
    """Ranks from 0 to 1; equal values share the middle of theirs."""
    ordered = np.sort(values)
    both = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return np.asarray(sum(both) / (2 * len(values)))
