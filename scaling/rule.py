"""Scaling rules as data: how much larger each size of a family is than the architecture it grows from.

Three rules are given. Where their numbers come from:

EfficientNetV2's authors published S, M and L but not how M and L were made from S, beyond "gradually add more layers to
later stages" and a cap on the image size (arXiv:2104.00298, section 3.4). Compared with the family's base, the stages
of EfficientNetV2-B0, they have the width and depth coefficients of EfficientNet-B4, B5 and B7: 1.4 and 1.8, 1.6 and
2.2, 2.0 and 3.1. S then has the published layers in every stage. So have M and L, if the base's last two stages first
get a third more layers, rounded down (5 and 8 become 6 and 10), and a fifth of the last one's become a seventh stage,
5/3 as wide (8 + 2 layers, 320 channels). That is `from_base`.

`late_growth` is the same for a winner of S's size, whose base nobody knows. The same change of the last two stages
makes S's 9 and 15 layers 12, 16 and 4: every stage twice the base. So half of 2.2 and 3.1 gives the layers of M and L.

`uniform` is plain compound scaling with the same coefficients, for comparison.

XL follows no such coefficients: its last stages are much wider. 2.3 and 4.0 over the base give its layers in every
stage but the fourth, and its parameters and MACs within a tenth. `residuals.explain` lists what does not fit, of every
size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Growth:
    """One size of a family, over the architecture it grows from: factors, but for `split` and `dropout`.

    First the last two stages are deepened and the last one is split, then all stages are scaled.

    Raises: ValueError if a number is out of range.
    """

    size: str  # its name
    width: float = 1.0  # channels of stem and stages
    depth: float = 1.0  # layers of every stage, rounded up
    image_size: float = 1.0
    late_depth: float = 1.0  # layers of the last two stages, rounded down, before `depth`
    split: float = 0.0  # share of the last stage's layers, rounded, that becomes one more stage; 0 = none
    split_width: float = 5 / 3  # that stage's channels over the last stage's
    dropout: float = 0.0  # added to the dropout rate

    def __post_init__(self) -> None:
        for name in ("width", "depth", "image_size", "late_depth", "split_width"):
            if not 0 < getattr(self, name) < 100:
                raise ValueError(f"growth {self.size!r}: {name} must be in (0, 100), got {getattr(self, name)!r}")
        if not 0 <= self.split < 1:
            raise ValueError(f"growth {self.size!r}: split must be in [0, 1), got {self.split!r}")
        if not -0.9 <= self.dropout <= 0.9:
            raise ValueError(f"growth {self.size!r}: dropout must be in [-0.9, 0.9], got {self.dropout!r}")


@dataclass(frozen=True)
class Rule:
    """The sizes of a family from small to large, and how numbers are rounded.

    The rule's one dial runs through the sizes: 0 is the first, 1 the second, and so on, below 0 is what is smaller than
    the first; see `grow.at_dial`.

    Raises: ValueError if there is no size, two have one name, or a number is out of range.
    """

    sizes: tuple[Growth, ...]
    image_size_cap: int = 480  # pixels; source: arXiv:2104.00298, section 3.4
    train_share: float = 0.8  # training image size over image size; "about 20 % smaller"
    image_size_divisor: int = 4  # image sizes are multiples of it
    divisor: int = 8  # channels are multiples of it
    floor_at_90_percent: bool = False  # as EfficientNet rounds channels, but not V2
    scales_head: bool = False
    stem_as_first_stage: bool = False  # the stem's channels are those of the first stage

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(self.sizes))
        if not self.sizes or len(set(self.names)) < len(self.sizes):
            raise ValueError(f"a rule needs one or more sizes of different names, got {list(self.names)}")
        for name in ("image_size_cap", "image_size_divisor", "divisor"):
            if getattr(self, name) < 1:
                raise ValueError(f"rule {name} must be >= 1, got {getattr(self, name)!r}")
        if not 0 < self.train_share <= 1:
            raise ValueError(f"rule train_share must be in (0, 1], got {self.train_share!r}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the sizes, small to large."""
        return tuple(growth.size for growth in self.sizes)

    def named(self, size: str) -> Growth:
        """Give the growth of a size. Raises ValueError for an unknown name."""
        for growth in self.sizes:
            if growth.size == size:
                return growth
        raise ValueError(f"unknown size {size!r}; known: {', '.join(self.names)}")

    def beyond(self, dial: float) -> Growth:
        """Give the growth of a size beyond the largest: its factors over the smallest's, to a power > 1.

        Raises: ValueError if the dial is not beyond the largest size, or not finite.
        """
        first, last, top = self.sizes[0], self.sizes[-1], len(self.sizes) - 1
        if not (dial > top and math.isfinite(dial)):
            raise ValueError(f"dial must be finite and beyond {top}, got {dial!r}")
        grown = {name: getattr(first, name) * factor for name, factor in self._factors(dial).items()}
        return replace(last, size=f"{dial:g}", **grown)

    def below(self, dial: float) -> Growth:
        """Give a size below the smallest, as factors over the smallest: those of the largest, to a power < 0.

        Raises: ValueError if the dial is not below 0, or not finite.
        """
        if not (dial < 0 and math.isfinite(dial)):
            raise ValueError(f"dial must be finite and below 0, got {dial!r}")
        return Growth(f"{dial:g}", **self._factors(dial))

    def _factors(self, dial: float) -> dict[str, float]:
        """What the largest size has over the smallest, to the power that is 1 at the largest."""
        first, last = self.sizes[0], self.sizes[-1]
        power = dial / max(len(self.sizes) - 1, 1)
        return {name: (getattr(last, name) / getattr(first, name)) ** power for name in _FACTORS}


_FACTORS = ("width", "depth", "image_size")

LATE_GROWTH = Rule(
    sizes=(
        Growth("s"),
        Growth("m", 1.6 / 1.4, 2.2 / 2, image_size=480 / 384, late_depth=4 / 3, split=1 / 5, dropout=0.1),
        Growth("l", 2.0 / 1.4, 3.1 / 2, image_size=480 / 384, late_depth=4 / 3, split=1 / 5, dropout=0.2),
        Growth("xl", 2.3 / 1.4, 4.0 / 2, image_size=512 / 384, late_depth=4 / 3, split=1 / 5, dropout=0.2),
    )
)
FROM_BASE = Rule(
    sizes=(
        Growth("s", 1.4, 1.8, image_size=384 / 224),
        Growth("m", 1.6, 2.2, image_size=480 / 224, late_depth=4 / 3, split=1 / 5, dropout=0.1),
        Growth("l", 2.0, 3.1, image_size=480 / 224, late_depth=4 / 3, split=1 / 5, dropout=0.2),
        Growth("xl", 2.3, 4.0, image_size=512 / 224, late_depth=4 / 3, split=1 / 5, dropout=0.2),
    ),
    stem_as_first_stage=True,
)
UNIFORM = Rule(
    sizes=(
        Growth("s"),
        Growth("m", 1.6 / 1.4, 2.2 / 1.8, image_size=480 / 384, dropout=0.1),
        Growth("l", 2.0 / 1.4, 3.1 / 1.8, image_size=480 / 384, dropout=0.2),
        Growth("xl", 2.3 / 1.4, 4.0 / 1.8, image_size=512 / 384, dropout=0.2),
    )
)
# FROM_BASE without what it does to the late stages: plain compound scaling of the base.
_UNIFORM_FROM_BASE = replace(
    FROM_BASE, sizes=tuple(replace(growth, late_depth=1.0, split=0.0) for growth in FROM_BASE.sizes)
)
RULES: dict[str, Rule] = {"late_growth": LATE_GROWTH, "from_base": FROM_BASE, "uniform": UNIFORM}
# Of each rule, plain compound scaling with the same coefficients, for comparison.
PLAIN: dict[str, Rule] = {"late_growth": UNIFORM, "from_base": _UNIFORM_FROM_BASE, "uniform": UNIFORM}
