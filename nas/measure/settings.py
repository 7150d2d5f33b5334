"""The settings of the step timer, torch-free so that a command line can read them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
    min_pairs: int = 10
    max_pairs: int = 30
    block_pairs: int = (
        4  # pairs of a block; its networks, optimisers and batches lie elsewhere in memory than the last's
    )
    turn: int = 3  # steps in a row of one network, of which the fastest counts
    interval: float = (
        0.01  # stop when the ratio's confidence interval is surely no wider than the ratio +- this share of it
    )
    confidence: float = 0.95  # of that interval
    retakes: int = 10  # disturbed pairs (foreign process, throttled clock) that are taken again; later ones are kept
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
