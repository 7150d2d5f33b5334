"""The settings of the step timer, torch-free so that a command line can read them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nas.comparable import may_change


@dataclass(frozen=True)
class StepTimeSettings:
    """How the training step is timed beside the reference network's.

    Pairs of turns, one of the candidate and one of the reference network, are taken in blocks, for each of which all is
    built anew, until the confidence interval of the ratio is narrow enough, or `max_pairs` is reached. Raises:
    ValueError that names a field out of range and what is allowed.
    """

    batch_size: int | None = None  # images per step; None = the training's batch
    image_size: int | None = None  # pixels; None = the training's image size
    warmup: int = 3  # steps of each network that come before anything is timed
    # How many pairs are taken says how sure S is, not what it is.
    min_pairs: int = may_change(10)  # pairs at least
    max_pairs: int = may_change(24)  # pairs at most, however wide the interval is
    block_pairs: int = 4  # pairs in a block, of which all lies at the same places in memory
    turn: int = 3  # steps in a row of one network, of which the fastest counts
    interval: float = may_change(0.01)  # stop when the confidence interval is surely within the ratio's +- this share
    confidence: float = 0.95  # of that interval
    retakes: int = may_change(10)  # of pairs that a foreign process or a throttled clock disturbed; later ones count
    clock: Literal["auto", "wall", "cpu"] = "auto"  # auto: CPU time of the thread on a CPU with one thread, else wall
    lock: bool = True  # have the device to itself while timing; others pause between two training steps

    def __post_init__(self) -> None:
        for name, lowest in (
            ("batch_size", 1),
            ("image_size", 1),
            ("warmup", 1),
            ("min_pairs", 1),
            ("block_pairs", 1),
            ("turn", 1),
            ("retakes", 0),
        ):
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise ValueError(f"{name} must be >= {lowest}, got {value!r}")
        if self.max_pairs < self.min_pairs:
            raise ValueError(f"max_pairs must be >= min_pairs ({self.min_pairs}), got {self.max_pairs!r}")
        for name in ("interval", "confidence"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must be in (0, 1), got {getattr(self, name)!r}")
        if self.clock not in CLOCKS:
            raise ValueError(f"unknown clock {self.clock!r}; known: {', '.join(CLOCKS)}")


CLOCKS = ("auto", "wall", "cpu")
