"""Grow an architecture to a wished cost by the rule's one dial."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scaling.grow import at_dial
from scaling.rule import LATE_GROWTH, Rule
from search_space.architecture import Architecture
from search_space.cost import count

_STEPS = 2**16  # settings of the dial, from the rule's smallest size to twice beyond its largest


class OutOfReach(ValueError):
    """No setting of the rule's dial comes to the target."""


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
            some ten to twenty times, from small to large and never far beyond the target. Where it has to be measured,
            `scale_by_measuring` asks less.
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


def scale_by_measuring(
    architecture: Architecture,
    step_time: float,
    measure: Callable[[Architecture], float],
    guess: Callable[[Architecture], float],
    *,
    rule: Rule = LATE_GROWTH,
    tolerance: float = 0.02,
    most: int = 6,
) -> Reached:
    """Turn the rule's dial to a step time that has to be measured, with few measurements.

    Each is taken where the guess, corrected by what was measured before, puts the target.

    Args:
        architecture: the start.
        step_time: the target, over the start's.
        measure: step time of an architecture over the start's.
        guess: something that grows about in proportion to the step time, such as MACs at the training image size.
        tolerance: relative; what is as near as that ends the search.
        most: measurements, >= 1.
    Returns: the nearest of what was measured.
    Raises: OutOfReach (a ValueError) if the guess already says so; ValueError for a bad target.
    """
    if not (step_time > 0 and math.isfinite(step_time)):
        raise ValueError(f"target step_time must be positive and finite, got {step_time!r}")
    known = [(math.log(guess(architecture)), 0.0)]  # logarithms of guess and step time; the start's is 1
    tried: dict[str, Reached] = {}
    for _ in range(most):
        corrected = _scaled(guess, step_time / math.exp(_where(known, math.log(step_time))))
        try:
            dial, grown, _ = _search(architecture, rule, corrected, "step_time", step_time)
        except OutOfReach:
            if tried:
                break
            raise
        if grown.arch_id in tried:
            break
        found = Reached(grown, dial, "step_time", step_time, measure(grown))
        tried[grown.arch_id] = found
        if abs(found.error) <= tolerance:
            break
        known.append((math.log(guess(grown)), math.log(found.reached)))
    return min(tried.values(), key=lambda found: abs(math.log(found.reached / step_time)))


def _scaled(guess: Callable[[Architecture], float], factor: float) -> Callable[[Architecture], float]:
    return lambda architecture: factor * guess(architecture)


def _where(known: Sequence[tuple[float, float]], wanted: float) -> float:
    """The x at which y is `wanted`: between the nearest points below and above, else at slope 1 from the nearest."""
    below = max((point for point in known if point[1] <= wanted), key=lambda point: point[1], default=None)
    above = min((point for point in known if point[1] > wanted), key=lambda point: point[1], default=None)
    if below and above:
        return below[0] + (above[0] - below[0]) * (wanted - below[1]) / (above[1] - below[1])
    x, y = below or above or (0.0, 0.0)
    return x + wanted - y


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
        raise _out_of_reach(quantity, target, at(low), "more")
    while at(high) < target:
        if high == _STEPS:
            raise _out_of_reach(quantity, target, at(high), "less")
        low, high = high, min(2 * high, _STEPS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if at(middle) < target else (low, middle)
    return min(seen.values(), key=lambda found: abs(math.log(found[2] / target)))


def _out_of_reach(quantity: str, target: float, limit: float, direction: str) -> OutOfReach:
    wanted, possible = (f"{value:,.0f}" if value >= 1000 else f"{value:g}" for value in (target, limit))
    return OutOfReach(f"target {quantity} {wanted} is out of reach: the rule gives {possible} or {direction}")
