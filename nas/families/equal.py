"""One architecture at the cost of another: its layers and channels changed until step time, params or MACs are equal.

What is compared are architectures alone: images are those that the other one trains at, and so are dropout and the
recipe whose step is timed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from nas.architectures import Found, What, find
from nas.families.step_cost import Measuring, Timer, estimated
from nas.measure.settings import StepTimeSettings
from nas.runs.text import short, times
from scaling.dial import Reached, Value
from scaling.targets import TOLERANCE, resize_by_measuring, resize_to
from search_space.architecture import Architecture
from search_space.cost import count

logger = logging.getLogger(__name__)

Quantity = Literal["step_time", "params", "macs"]
EQUAL = TOLERANCE  # relative: costs that differ by no more are equal
_FEW_PAIRS, _FEW_BLOCKS = 6, 3  # of a measurement that only says where the next one is to be
_MOST_PAIRS = 40  # of one that is to be as exact as the tolerance: a busy machine takes them


@dataclass(frozen=True)
class Equal:
    """An architecture that was made to cost what another one does. Ratios are over the other one's."""

    architecture: Architecture
    quantity: Quantity
    ratio: float
    low: float  # confidence interval of the ratio; the ratio itself where it was counted
    high: float
    tolerance: float
    other: float | None  # the nearest ratio found on the other side of 1; None = none was
    measurements: int  # that were taken; 0 = counted

    @property
    def is_reached(self) -> bool:
        """Whether the costs are equal within the tolerance."""
        return abs(self.ratio - 1) <= self.tolerance

    @property
    def said(self) -> str:
        """In a line: the ratio with its interval, and how near it came where it is not within the tolerance."""
        what = "MACs" if self.quantity == "macs" else self.quantity.replace("_", " ")
        interval = f" (interval {self.low:.3f} to {self.high:.3f})" if self.measurements else ""
        text = f"{self.ratio:.3f} times the {what}{interval}"
        if self.is_reached:
            return text
        side = "larger" if self.ratio < 1 else "smaller"
        beyond = f"nothing {side} was found" if self.other is None else f"the next {side} one has {self.other:.3f}"
        return f"{text}, not within {self.tolerance:.0%}: {beyond}"


@dataclass(frozen=True)
class Unit:
    """What others are made equal to, and how their costs are known."""

    architecture: Architecture  # with the image size that all are compared at
    found: Found
    quantity: Quantity
    value: Value  # params or MACs; of step times what is expected, 1 = equal
    timer: Timer | None = None  # None = the quantity is counted
    settings: StepTimeSettings = field(default_factory=StepTimeSettings)

    def measured(self, architecture: Architecture, tolerance: float) -> tuple[float, float, float]:
        """Measure a step time's ratio and its interval: with few pairs; where it seems near, as exactly as is asked."""
        assert self.timer is not None
        few = replace(self.settings, min_pairs=_FEW_PAIRS, max_pairs=_FEW_PAIRS, block_pairs=_FEW_PAIRS // _FEW_BLOCKS)
        timing = self.timer.time(architecture, few)
        if timing.ratio_low - tolerance <= 1 <= timing.ratio_high + tolerance:
            most = max(self.settings.max_pairs, _MOST_PAIRS)
            timing = self.timer.time(architecture, replace(self.settings, max_pairs=most, interval=tolerance / 2))
        return timing.ratio, timing.ratio_low, timing.ratio_high


def equalise(
    what: What,
    to: What,
    *,
    by: Quantity = "step_time",
    tolerance: float = EQUAL,
    image_size: int | None = None,
    measure: Measuring | None = None,
    say: Callable[[str], None] = logger.info,
) -> Equal:
    """Grow or shrink an architecture until its training step takes as long as another's, or params or MACs are equal.

    Layers and channels change together, as EfficientNet's compound scaling has it; image sizes and dropout become the
    other one's. What it is to be is guessed by the log of the run, or by MACs, and corrected by a few measurements.

    Args:
        what: to be changed: an Architecture, or a name that `find_architecture` takes.
        to: what it is to be equal to; a run stands for its winner, with the run's classes, image size and recipe.
        by: step_time, params or macs.
        tolerance: relative; what is as near as that is equal.
        image_size: that both train at, pixels; default: the run's, else what `to` trains at.
        measure: device and batch of step times; default: the run's, else any device and 32 images.
        say: told of each measurement, which takes seconds; default: the log.
    Returns: the nearest there is, with the ratio reached; `is_reached` says whether that is near enough.
    Raises: ValueError for an unknown architecture or quantity, no image size, a device that is not there, or a
        tolerance that is not in (0, 1).

    >>> equal = equalise("efficientnet_b0", "efficientnetv2_s", by="params")
    >>> f"{count(equal.architecture, 1).params:,} of {count(find('efficientnetv2_s').architecture, 1).params:,}"
    '22,048,384 of 21,458,488'
    """
    against = unit(find(to), by, image_size=image_size, measure=measure)
    return equal_to(find(what).architecture, against, tolerance=tolerance, say=say)


def unit(
    found: Found, by: Quantity = "step_time", *, image_size: int | None = None, measure: Measuring | None = None
) -> Unit:
    """Make something what others are made equal to; arguments and errors are those of `equalise`."""
    if by not in get_args(Quantity):
        raise ValueError(f"equal must be one of {', '.join(get_args(Quantity))}, got {by!r}")
    own = found.architecture
    timed_at = (found.config or {}).get("step_time", {}).get("image_size") if by == "step_time" else None
    pixels = image_size or timed_at or found.image_size or own.train_image_size or own.image_size
    if pixels is None and by != "params":
        raise ValueError(f"{found.name} says no image size, on which {by} depends: add --image-size")
    sized = _at(own, pixels)
    if by == "step_time":
        return _timed(found, sized, measure)
    costs = {"num_classes": found.classes[0], "in_channels": found.classes[1]}
    return Unit(sized, found, by, lambda a: float(getattr(count(_at(a, pixels), pixels or 1, **costs), by)))


def _timed(found: Found, sized: Architecture, measure: Measuring | None) -> Unit:
    config: dict[str, Any] = dict(found.config or {"training": {"batch_size": 32}})
    own = config.get("step_time") or {}
    batch = own.get("batch_size") or None
    measuring = measure or Measuring(config.get("device", "auto"), batch)
    timer = Timer.on(sized, found.classes, measuring, config)
    settings = replace(StepTimeSettings(**own), batch_size=None, image_size=None)
    return Unit(sized, found, "step_time", _expected(found, sized), timer, settings)


def _expected(found: Found, sized: Architecture) -> Value:
    """Guess step times over the unit's: by the run's log where that has enough trials, else in proportion to MACs."""
    pixels = sized.train_image_size
    if found.run is not None:
        try:
            costs = estimated(found.run, sized, found.classes)
            return lambda a: costs.of(_at(a, pixels)).step_time
        except ValueError:
            pass
    assert pixels is not None
    macs = count(sized, pixels).macs
    return lambda a: count(a, pixels).macs / macs


def equal_to(
    architecture: Architecture,
    unit: Unit,
    *,
    tolerance: float = EQUAL,
    ends: bool = True,
    say: Callable[[str], None] = logger.info,
) -> Equal:
    """Make an architecture equal to a unit.

    Args:
        tolerance, say: as `equalise` has them.
        ends: whether the channels of stem and head may change, too.
    """
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must be in (0, 1), got {tolerance!r}")
    there = unit.architecture
    start = _at(architecture, there.image_size)
    if unit.timer is None:
        target = unit.value(there)
        reached = resize_to(start, unit.value, target, unit.quantity, ends=ends, tolerance=tolerance)
        return _equal(reached, unit, tolerance, (reached.reached / target,) * 3)
    intervals: dict[str, tuple[float, float, float]] = {}

    def measure(candidate: Architecture) -> float:
        found = unit.measured(candidate, tolerance)
        params = short(count(candidate, 1, *unit.found.classes).params)
        say(f"measured {params} params: {times(found[0])}, interval {found[1]:.3f} .. {found[2]:.3f}")
        intervals[candidate.arch_id] = found
        return found[0]

    reached = resize_by_measuring(start, 1.0, measure, unit.value, ends=ends, tolerance=tolerance)
    return _equal(reached, unit, tolerance, intervals[reached.architecture.arch_id])


def _equal(reached: Reached, unit: Unit, tolerance: float, interval: tuple[float, float, float]) -> Equal:
    other = None if reached.other is None else reached.other / reached.target
    own = unit.found.architecture
    hints = {name: getattr(own, name) for name in ("image_size", "train_image_size", "dropout")}
    return Equal(
        replace(reached.architecture, **hints), unit.quantity, *interval, tolerance, other, reached.measurements
    )


def _at(architecture: Architecture, pixels: int | None) -> Architecture:
    return replace(architecture, image_size=pixels, train_image_size=pixels)
