"""A search space in numbers, and architectures drawn from it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from search_space.architecture import Architecture
from search_space.choices import Constraints
from search_space.cost import Cost, count
from search_space.space import Decision, SearchSpace

DRAWN = 20_000  # architectures, for the share that keeps the constraints


@dataclass(frozen=True)
class SpaceDescription:
    """How large a space is, and what its architectures cost."""

    size: int  # architectures, those that break the constraints included
    decisions: tuple[Decision, ...]
    allowed: float | None  # share that keeps the constraints, of DRAWN; None = there are none
    lowest: Cost  # of any architecture, each cost by itself; for one image
    highest: Cost
    constraints: Constraints  # with what costs are counted at: image size, classes, channels


def describe_space(space: SearchSpace) -> SpaceDescription:
    """Count a space's architectures, its decisions, the range of costs and the share that keeps the constraints.

    Raises: Infeasible (a ValueError) if no architecture keeps the constraints.

    >>> from search_space.spaces import small
    >>> described = describe_space(small())
    >>> described.size, len(described.decisions), described.lowest.params < described.highest.params
    (17915904, 20, True)
    """
    lowest, highest = space.cost_range()
    return SpaceDescription(space.size, space.decisions, _allowed_share(space), lowest, highest, space.constraints)


def _allowed_share(space: SearchSpace) -> float | None:
    if not space.constraints:
        return None
    rng = np.random.default_rng(0)
    space.sample(rng)  # says so if there is none
    free = replace(space.constraints, params_min=None, params_max=None, macs_min=None, macs_max=None)
    drawn = replace(space, constraints=free).sample_encodings(DRAWN, rng)
    return float(space.allowed(drawn).mean())


@dataclass(frozen=True)
class Sampled:
    """An architecture that was drawn, and what it costs as the space's constraints count."""

    architecture: Architecture
    cost: Cost  # for one image


def sample_space(space: SearchSpace, n: int = 5, *, seed: int = 0) -> list[Sampled]:
    """Draw architectures that keep the constraints, each independently of the others.

    Args:
        n: how many, >= 1.
        seed: the same gives the same.
    Raises: ValueError for n below 1; Infeasible (a ValueError) if no architecture keeps the constraints.
    """
    if n < 1:
        raise ValueError(f"n must be >= 1, got {n}")
    rng, c = np.random.default_rng(seed), space.constraints
    drawn = [space.sample(rng) for _ in range(n)]
    return [Sampled(one, count(one, c.image_size, c.num_classes, c.in_channels)) for one in drawn]
