"""Grow or shrink an architecture to a wished cost by one dial: the rule's, or that of depth and width alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from scaling.dial import Dial, OutOfReach, Reached, Tried, Value, search
from scaling.grow import at_dial
from scaling.resize import resized
from scaling.rule import LATE_GROWTH, Rule
from search_space.architecture import Architecture
from search_space.cost import count

TOLERANCE = 0.03  # relative: what is as near to a target as that has reached it
_ALPHA, _BETA = 1.2, 1.1  # depth and width of one phi; source: EfficientNet (arXiv:1905.11946), section 3.3
_PHIS = 12.0  # the largest phi: some 3,000 times the MACs
_DIVISORS = (8, 4, 2, 1)  # of channels: what cannot be met in steps of eight may be in finer ones


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
            some ten to twenty times, beginning at the rule's first size and never far beyond the target. Where it has
            to be measured, `scale_by_measuring` asks less.
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

    return search(*_dial_of(architecture, rule), value, quantity, target)


def scale_by_measuring(
    architecture: Architecture,
    step_time: float,
    measure: Value,
    guess: Value,
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
    tried = Tried("step_time", step_time, tolerance, most, [(math.log(guess(architecture)), 0.0)])
    tried.turn(partial(search, *_dial_of(architecture, rule)), measure, guess)
    return tried.nearest


def resize_to(
    architecture: Architecture,
    value: Value,
    target: float,
    quantity: str,
    *,
    ends: bool = True,
    tolerance: float = TOLERANCE,
) -> Reached:
    """Change layers and channels, at the image size as it is, until something countable is as near as they allow.

    The dial is EfficientNet's phi: 1.2**phi times the layers and 1.1**phi times the channels. Where a layer is too
    coarse a step, channels alone change from there on. They are multiples of eight, where those do not reach the target
    of four, two or one.

    Args:
        value: of an architecture, never less for one that has more; such as its parameters.
        quantity: what that is.
        ends: whether the channels of stem and head may change, too.
    Returns: the nearest there is, however far.
    """
    found = []
    for divisor in _DIVISORS:
        found.append(_nearest(architecture, divisor, ends, tolerance, value, quantity, target))
        if abs(found[-1].error) <= tolerance:
            return found[-1]
    return min(found, key=lambda each: each.distance)


def resize_by_measuring(
    architecture: Architecture,
    target: float,
    measure: Value,
    guess: Value,
    *,
    ends: bool = True,
    tolerance: float = TOLERANCE,
    most: int = 6,
) -> Reached:
    """Do the same for a step time that has to be measured, with few measurements.

    Args:
        measure: step time of an architecture, in the unit of the target.
        guess: of that, before anything is measured; it should grow about in proportion.
        most: measurements, >= 1.
    Returns: the nearest of what was measured, however far.
    """
    tried = Tried("step_time", target, tolerance, most, [])
    for divisor in _DIVISORS:
        find = partial(_nearest, architecture, divisor, ends, tolerance / 2)
        corrected = tried.corrected(guess)
        if divisor > 1 and abs(find(corrected, "step_time", target).error) > tolerance / 2:
            continue  # too coarse to be worth a measurement
        tried.turn(find, measure, guess)
        if tried.ended:
            break
    return tried.nearest


def _dial_of(architecture: Architecture, rule: Rule) -> tuple[Dial, float]:
    """The rule's dial for an architecture, and its highest setting."""
    return lambda dial: at_dial(architecture, dial, rule), 2.0 * max(1, len(rule.sizes) - 1)


def _nearest(
    architecture: Architecture, divisor: int, ends: bool, tolerance: float, value: Value, quantity: str, target: float
) -> Reached:
    """Turn the dial of depth and width, as far as it goes; where layers are too coarse, then that of width alone."""

    def turned(dial: Dial) -> Reached:
        try:
            return search(dial, _PHIS, value, quantity, target)
        except OutOfReach as error:
            return error.nearest

    def at(phi: float, more_width: float = 0.0) -> Architecture:
        return resized(architecture, _ALPHA**phi, _BETA ** (phi + more_width), divisor=divisor, stem=ends, head=ends)

    found = turned(at)
    if found.other is None or abs(found.error) <= tolerance:
        return found
    finer = turned(partial(at, found.dial))
    return replace(finer, dial=found.dial) if finer.distance < found.distance else found
