"""Find the setting of a dial at which an architecture costs what it should: counted, or measured few times."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from search_space.architecture import Architecture

Dial = Callable[[float], Architecture]  # from small to large; 0 is where a search begins
Value = Callable[[Architecture], float]  # greater for a larger architecture
_STEPS = 2**16  # settings of the dial from 0 to its highest
_DOWN = 16 * _STEPS  # and below 0: there, whatever can shrink has
_APART, _STEEPEST = 0.05, 3.0  # logarithms of guesses whose measurements differ by more than noise; slope between them


@dataclass(frozen=True)
class Reached:
    """What a target led to."""

    architecture: Architecture
    dial: float  # of the rule; 0, 1, 2 ... are its named sizes
    quantity: str  # params, macs or step_time
    target: float
    reached: float
    other: float | None = None  # the nearest found on the other side of the target; None = none was
    measurements: int = 0  # that were taken; 0 = counted or estimated

    @property
    def error(self) -> float:
        """Relative: 0.01 is 1 % above the target."""
        return self.reached / self.target - 1

    @property
    def distance(self) -> float:
        """Between target and reached, the same for twice too much as for half."""
        return abs(math.log(self.reached / self.target))


class OutOfReach(ValueError):
    """No setting of the dial comes to the target."""

    def __init__(self, message: str, nearest: Reached) -> None:
        super().__init__(message)
        self.nearest = nearest


def search(at: Dial, highest: float, value: Value, quantity: str, target: float) -> Reached:
    """Double the dial, up or down from 0, until the target is passed, then bisect; the nearest of all seen wins."""
    seen: dict[str, Reached] = {}

    def reach(step: int) -> Reached:
        dial = highest * step / _STEPS
        candidate = at(dial)
        if candidate.arch_id not in seen:
            seen[candidate.arch_id] = Reached(candidate, dial, quantity, target, value(candidate))
        return seen[candidate.arch_id]

    low, high = _bracket(reach, target)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if reach(middle).reached < target else (low, middle)
    best = min(seen.values(), key=lambda found: found.distance)
    return replace(best, other=_other([each.reached for each in seen.values()], best))


def _bracket(reach: Callable[[int], Reached], target: float) -> tuple[int, int]:
    """Give two steps of the dial between which the target is. Raises OutOfReach if there are none."""
    low, high = 0, 1
    if target < reach(low).reached * (1 - 1e-9):
        low, high = -1, 0
        while reach(low).reached > target:
            if low == -_DOWN:
                raise _out_of_reach(reach(low), "more")
            low, high = max(2 * low, -_DOWN), low
        return low, high
    while reach(high).reached < target:
        if high == _STEPS:
            raise _out_of_reach(reach(high), "less")
        low, high = high, min(2 * high, _STEPS)
    return low, high


def _other(values: Sequence[float], best: Reached) -> float | None:
    """The nearest value on the target's other side than the best."""
    above = [value for value in values if value > best.target]
    below = [value for value in values if value < best.target]
    return min(above, default=None) if best.reached <= best.target else max(below, default=None)


def _out_of_reach(nearest: Reached, direction: str) -> OutOfReach:
    values = (nearest.target, nearest.reached)
    wanted, possible = (f"{value:,.0f}" if value >= 1000 else f"{value:g}" for value in values)
    message = f"target {nearest.quantity} {wanted} is out of reach: the rule gives {possible} or {direction}"
    return OutOfReach(message, nearest)


class Tried:
    """What was measured on the way to a target, and where the next measurement is to be."""

    def __init__(
        self, quantity: str, target: float, tolerance: float, most: int, known: list[tuple[float, float]]
    ) -> None:
        self.quantity, self.target, self.tolerance, self.most = quantity, target, tolerance, most
        self.known = known  # logarithms of guess and of what was measured
        self.found: dict[str, Reached] = {}

    def turn(self, find: Callable[[Value, str, float], Reached], measure: Value, guess: Value) -> None:
        """Measure where `find` puts the target, until that is near enough, measured already, or enough.

        Raises: OutOfReach if it does before anything was measured.
        """
        while not self.ended:
            try:
                there = find(self.corrected(guess), self.quantity, self.target)
            except OutOfReach:
                if self.found:
                    return
                raise
            if there.architecture.arch_id in self.found:
                return
            measured = Reached(there.architecture, there.dial, self.quantity, self.target, measure(there.architecture))
            self.found[there.architecture.arch_id] = measured
            self.known.append((math.log(guess(there.architecture)), math.log(measured.reached)))

    def corrected(self, guess: Value) -> Value:
        """Give the guess in the target's unit, as what was measured near the target says it is to be read."""
        factor = self.target / math.exp(_where(self.known, math.log(self.target)))
        return lambda architecture: factor * guess(architecture)

    @property
    def ended(self) -> bool:
        """Whether one is near enough, or as many were measured as may be."""
        near = any(abs(each.error) <= self.tolerance for each in self.found.values())
        return near or len(self.found) >= self.most

    @property
    def nearest(self) -> Reached:
        """The nearest of what was measured."""
        found = list(self.found.values())
        best = min(found, key=lambda each: each.distance)
        return replace(best, other=_other([each.reached for each in found], best), measurements=len(found))


def _where(known: Sequence[tuple[float, float]], wanted: float) -> float:
    """The x at which y is `wanted`: between the nearest points below and above, else beyond the nearest two."""
    below = max((point for point in known if point[1] <= wanted), key=lambda point: point[1], default=None)
    above = min((point for point in known if point[1] > wanted), key=lambda point: point[1], default=None)
    if below and above:
        return below[0] + (above[0] - below[0]) * (wanted - below[1]) / (above[1] - below[1])
    (x, y), *others = sorted(known, key=lambda point: abs(point[1] - wanted)) or [(0.0, 0.0)]
    return x + (wanted - y) / _slope((x, y), others)


def _slope(nearest: tuple[float, float], others: Sequence[tuple[float, float]]) -> float:
    """How steep it is beyond the nearest point: in proportion, 1, unless the next one says otherwise."""
    for x, y in others[:1]:
        if abs(nearest[0] - x) > _APART:
            return min(max((nearest[1] - y) / (nearest[0] - x), 1 / _STEEPEST), _STEEPEST)
    return 1.0
