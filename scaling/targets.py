"""Grow an architecture to a wished cost by the rule's one dial."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from scaling.grow import at_dial
from scaling.rule import LATE_GROWTH, Rule
from search_space.architecture import Architecture
from search_space.cost import count

_STEPS = 2**16  # settings of the dial, from the rule's smallest size to twice beyond its largest


@dataclass(frozen=True)
class Reached:
    """What a target led to."""

    architecture: Architecture
    dial: float  # of the rule; 0, 1, 2 ... are its named sizes
    quantity: str  # params, macs or step_time
    target: float
    reached: float

    @property
    def error(self) -> float:
        """Relative: 0.01 is 1 % above the target."""
        return self.reached / self.target - 1


def scale_to(
    architecture: Architecture,
    *,
    params: float | None = None,
    macs: float | None = None,
    step_time: float | None = None,
    estimate_step_time: Callable[[Architecture], float] | None = None,
    rule: Rule = LATE_GROWTH,
    num_classes: int = 1000,
    in_channels: int = 3,
) -> Reached:
    """Turn the rule's dial until params, MACs or step time are as near as channels and layers allow.

    Args:
        architecture: the winner, or the base that the rule starts from.
        params, macs, step_time: the target; exactly one. MACs are counted at the image size each size gets.
        estimate_step_time: step time of an architecture in the unit of the target; needed for that target. It is asked
            some ten to twenty times, from small to large and never far beyond the target, so it may be a measurement.
    Raises: ValueError if not exactly one target is given, it is not positive, it is out of the rule's reach, or what it
        needs is missing.
    """
    targets = {"params": params, "macs": macs, "step_time": step_time}
    given = {name: value for name, value in targets.items() if value is not None}
    if len(given) != 1:
        raise ValueError(f"exactly one target of {', '.join(targets)} is needed, got {len(given)}")
    ((quantity, target),) = given.items()
    if not (target > 0 and math.isfinite(target)):
        raise ValueError(f"target {quantity} must be positive and finite, got {target!r}")
    if quantity == "macs" and architecture.image_size is None:
        raise ValueError("a target of macs needs an architecture with an image_size")
    if quantity == "step_time" and estimate_step_time is None:
        raise ValueError("a target of step_time needs estimate_step_time")

    def value(candidate: Architecture) -> float:
        if quantity == "step_time":
            assert estimate_step_time is not None
            estimate = float(estimate_step_time(candidate))
            if not (estimate > 0 and math.isfinite(estimate)):
                raise ValueError(f"estimate_step_time gave {estimate!r} for {candidate.arch_id}; it must be positive")
            return estimate
        return float(getattr(count(candidate, candidate.image_size or 1, num_classes, in_channels), quantity))

    dial, grown, reached = _search(architecture, rule, value, quantity, target)
    return Reached(grown, dial, quantity, target, reached)


def _search(
    architecture: Architecture, rule: Rule, value: Callable[[Architecture], float], quantity: str, target: float
) -> tuple[float, Architecture, float]:
    """Double the dial until the target is passed, then bisect; the nearest of all seen wins."""
    highest = 2.0 * max(1, len(rule.sizes) - 1)
    seen: dict[str, tuple[float, Architecture, float]] = {}

    def at(step: int) -> float:
        dial = highest * step / _STEPS
        candidate = at_dial(architecture, dial, rule)
        if candidate.arch_id not in seen:
            seen[candidate.arch_id] = (dial, candidate, value(candidate))
        return seen[candidate.arch_id][2]

    low, high = 0, 1
    if target < at(low) * (1 - 1e-9):
        raise ValueError(f"target {quantity} {target:g} is out of reach: the rule gives {at(low):g} or more")
    while at(high) < target:
        if high == _STEPS:
            raise ValueError(f"target {quantity} {target:g} is out of reach: the rule gives {at(high):g} or less")
        low, high = high, min(2 * high, _STEPS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if at(middle) < target else (low, middle)
    return min(seen.values(), key=lambda found: abs(math.log(found[2] / target)))
