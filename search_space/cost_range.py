"""The least and the greatest cost over a whole search space, exactly, without looking at every architecture."""

from __future__ import annotations

from typing import Protocol

from search_space.choices import Constraints, StageChoices
from search_space.cost import Cost, head_cost, output_size, stage_cost, stem_cost

Range = tuple[tuple[int, ...], tuple[int, ...]]  # least and greatest (params, macs, activations)


class Bounded(Protocol):
    """What `cost_range` asks of a search space."""

    @property
    def stem_channels(self) -> int:
        """Output channels of the stem."""

    @property
    def stem_stride(self) -> int:
        """Stride of the stem."""

    @property
    def stages(self) -> tuple[StageChoices, ...]:
        """The choices of each stage."""

    @property
    def head_channels(self) -> int:
        """Output channels of the head."""

    @property
    def constraints(self) -> Constraints:
        """What says at which image size, and with how many classes and channels, is counted."""


def cost_range(space: Bounded) -> tuple[Cost, Cost]:
    """Least and greatest params, MACs and activations, each on its own, at the constraints' image size.

    A stage's cost depends on what came before only through its input's channels and size, so the extremes are carried
    from stage to stage for each such pair: the work grows with the choices of a stage, not with the size of the space.
    """
    c = space.constraints
    size = output_size(c.image_size, space.stem_stride)
    stem = stem_cost(space.stem_channels, size**2, c.in_channels)
    reached: dict[tuple[int, int], Range] = {(space.stem_channels, size): (stem, stem)}
    for choices in space.stages:
        after: dict[tuple[int, int], Range] = {}
        # Of the layers only the fewest and the most: all costs grow with them.
        extremes = set(choices.combinations(layers=tuple({min(choices.layers), max(choices.layers)})))
        for (channels, size), so_far in reached.items():
            for stage in extremes:
                step = stage_cost(stage, channels, size)
                key = (stage.channels, output_size(size, stage.stride))
                total = (_add(so_far[0], step), _add(so_far[1], step))
                after[key] = _widen(after.get(key, total), total)
        reached = after
    ends = None
    for (channels, size), so_far in reached.items():
        head = head_cost(channels, space.head_channels, size**2, c.num_classes)
        total = (_add(so_far[0], head), _add(so_far[1], head))
        ends = _widen(ends or total, total)
    assert ends is not None
    return Cost(*ends[0]), Cost(*ends[1])


def _add(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def _widen(a: Range, b: Range) -> Range:
    return tuple(map(min, a[0], b[0])), tuple(map(max, a[1], b[1]))
