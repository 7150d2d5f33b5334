"""Make an architecture larger or smaller: its layers and channels, each rounded at a moment of its own."""

from __future__ import annotations

import math
from dataclasses import replace

from search_space.architecture import Architecture


def resized(
    architecture: Architecture, depth: float, width: float, *, divisor: int = 8, stem: bool = True, head: bool = True
) -> Architecture:
    """Multiply the layers of every stage by `depth` and the channels by `width`, up or down; 1 and 1 change nothing.

    Nothing falls below one layer or `divisor` channels, unless it was below. Stages do not round at one half, all at
    once, but each at another fraction, a later stage at a lower one: so a dial that turns both factors changes one
    number after the other, what grows does so in later stages first, and what shrinks in earlier ones. No number ever
    falls as a factor grows.

    Args:
        divisor: channels that change become multiples of it.
        stem, head: whether their channels change, too.
    """
    stages = []
    for number, stage in enumerate(architecture.stages):
        turn = (number + 0.5) / len(architecture.stages)
        layers = max(1, _rounded(stage.layers * depth, 1, turn))
        stages.append(replace(stage, layers=layers, channels=_channels(stage.channels, width, divisor, turn)))
    ends = {"stem_channels": stem, "head_channels": head}
    changed = {name: _channels(getattr(architecture, name), width, divisor, 0.5) for name, on in ends.items() if on}
    return replace(architecture, stages=tuple(stages), **changed)


def _channels(channels: int, width: float, divisor: int, turn: float) -> int:
    """Of channels that are no multiple, the nearest one may lie on the other side: then they stay."""
    rounded = max(divisor, _rounded(channels * width, divisor, turn))
    if width == 1:
        return channels
    return min(channels, rounded) if width < 1 else max(channels, rounded)


def _rounded(value: float, divisor: int, turn: float) -> int:
    """Give the multiple below the value, or above it where no more than `turn` of one is missing."""
    return math.floor(round(value / divisor, 9) + turn) * divisor
