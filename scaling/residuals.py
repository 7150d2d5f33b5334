"""Where a rule's family differs from the published one: rows to print, so that nothing is hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from scaling.grow import scale
from scaling.rule import FROM_BASE, Rule
from search_space.architecture import Architecture
from search_space.cost import count
from search_space.families import published


@dataclass(frozen=True)
class Residual:
    """One number of one size beside the published one. None = there is no such stage."""

    size: str
    name: str  # such as `stage4_channels` or `params`
    ours: float | str | None
    published: float | str | None

    @property
    def share(self) -> float | None:
        """Ours over the published one, less 1; None where either is not a number."""
        if isinstance(self.ours, int | float) and isinstance(self.published, int | float):
            return self.ours / self.published - 1
        return None


def explain(
    architecture: Architecture, sizes: Sequence[str] = ("s", "m", "l", "xl"), rule: Rule = FROM_BASE
) -> list[Residual]:
    """Compare the family of an architecture with the published EfficientNetV2-S, M, L and XL.

    Args:
        architecture: what the rule starts from: V2's base (the stages of B0) for `FROM_BASE`, S for the others.
    Returns: for each size, a row for every field that differs, then one each for params and MACs at the published image
        size, whether they differ or not.
    Raises: ValueError for an unknown size.
    """
    rows = []
    for size in sizes:
        ours, theirs = scale(architecture, size, rule), published(f"efficientnetv2_{size}")
        rows += _fields(size, ours, theirs)
        image_size = theirs.image_size
        assert image_size is not None
        costs = zip(("params", "macs"), count(ours, image_size), count(theirs, image_size), strict=False)
        rows += [Residual(size, *cost) for cost in costs]
    return rows


def _fields(size: str, ours: Architecture, theirs: Architecture) -> list[Residual]:
    names = [f.name for f in fields(Architecture) if f.name != "stages"]
    rows = [Residual(size, name, getattr(ours, name), getattr(theirs, name)) for name in names]
    for number in range(max(len(ours.stages), len(theirs.stages))):
        stages = [a.stages[number].named() if number < len(a.stages) else {} for a in (ours, theirs)]
        for name in stages[0] | stages[1]:
            rows.append(Residual(size, f"stage{number + 1}_{name}", stages[0].get(name), stages[1].get(name)))
    return [row for row in rows if row.ours != row.published]
