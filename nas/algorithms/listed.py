"""No search at all: the architectures of a list, in its order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.algorithms.algorithm import Algorithm, Exhausted, Proposal
from nas.runs.trial import Trial
from search_space.architecture import Architecture
from search_space.choices import StageChoices
from search_space.ops import STAGE_FIELDS
from search_space.space import SearchSpace


class Listed(Algorithm):
    """Proposes what stands in its settings, each once: named by `nas.algorithms.listed:Listed`, for it needs a list."""

    name = "listed"
    notes_winner = False

    @dataclass(frozen=True)
    class Settings:
        """What is proposed."""

        architectures: tuple[dict[str, Any], ...] = ()  # as `Architecture.to_dict` gives them

    def __init__(self, space: SearchSpace, seed: int = 0, **settings: Any) -> None:
        super().__init__(space, seed, **settings)
        self.listed = [Architecture.from_dict(record) for record in self.settings.architectures]

    def _propose(self, rng: np.random.Generator) -> Proposal:
        for architecture in self.listed:
            if architecture.arch_id not in self.seen:
                return Proposal(architecture, self.name)
        raise Exhausted(f"all {len(self.listed)} architectures of the list were proposed")

    def _learn(self, trial: Trial) -> None:
        pass


def space_of(architectures: Sequence[Architecture]) -> SearchSpace:
    """Give the smallest space that holds these: of every field of every stage, whatever one of them has.

    Raises: ValueError if there is none: they have other stems, heads or hints, or not as many stages.
    """
    first = architectures[0]
    shared = ("stem_channels", "head_channels", "stem_stride", "image_size", "train_image_size", "dropout")
    for name in shared:
        if len(values := {getattr(each, name) for each in architectures}) > 1:
            raise ValueError(f"architectures of a list must have one {name}, got {sorted(map(str, values))}")
    if len(counts := {len(each.stages) for each in architectures}) > 1:
        raise ValueError(f"architectures of a list must have as many stages, got {sorted(counts)}")
    stages = []
    for several in zip(*(each.stages for each in architectures), strict=True):
        fields = {name: _distinct(getattr(stage, name) for stage in several) for name in STAGE_FIELDS}
        names = dict.fromkeys(name for stage in several for name in stage.options)
        options = {name: _distinct(s.options[name] for s in several if name in s.options) for name in names}
        stages.append(StageChoices(**fields, options=options))
    return SearchSpace(stages=tuple(stages), **{name: getattr(first, name) for name in shared})


def _distinct(values: Any) -> tuple[Any, ...]:
    """Each value once, numbers from small to large."""
    return tuple(sorted(set(values)))
