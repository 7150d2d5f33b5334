"""EfficientNet's compound scaling, and the small grid search for its coefficients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from search_space.architecture import Architecture
from search_space.families import scaled


def compound(
    architecture: Architecture,
    phi: float,
    alpha: float,
    beta: float,
    gamma: float,
    *,
    floor_at_90_percent: bool = True,
    divisor: int = 8,
    scale_head: bool = True,
) -> Architecture:
    """Scale depth by alpha**phi, width by beta**phi and image size by gamma**phi.

    Args:
        phi: how much larger; 0 changes nothing, below 0 it is smaller, as it is with factors below 1.
        floor_at_90_percent, divisor: how channels are rounded; the defaults are EfficientNet's, V2 has no floor.
    Returns: the architecture, its image sizes rounded to whole pixels. EfficientNet's published B1 to B7 are given by
        width, depth and image size themselves: with phi = 1, alpha, beta and gamma are these, over B0's.
    Raises: ValueError if a factor is not positive and finite.
    Source: EfficientNet (arXiv:1905.11946), equation 3.
    """
    depth, width, image = alpha**phi, beta**phi, gamma**phi
    for name, factor in (("alpha ** phi", depth), ("beta ** phi", width), ("gamma ** phi", image)):
        if isinstance(factor, complex) or not (factor > 0 and math.isfinite(factor)):
            raise ValueError(f"{name} must be positive and finite, got {factor!r}")
    larger = scaled(
        architecture, width, depth, floor_at_90_percent=floor_at_90_percent, divisor=divisor, head=scale_head
    )
    sizes = {name: getattr(architecture, name) for name in ("image_size", "train_image_size")}
    return replace(larger, **{name: size and max(1, round(size * image)) for name, size in sizes.items()})


@dataclass(frozen=True)
class Coefficients:
    """One point of the grid: what it makes of the architecture at phi = 1, and its score."""

    alpha: float
    beta: float
    gamma: float
    architecture: Architecture
    score: float

    @property
    def growth(self) -> float:
        """About how many times the MACs: alpha * beta**2 * gamma**2."""
        return self.alpha * self.beta**2 * self.gamma**2


def fit_coefficients(
    architecture: Architecture,
    evaluate: Callable[[Architecture], float],
    *,
    growth: float = 2.0,
    tolerance: float = 0.1,
    step: float = 0.05,
    floor_at_90_percent: bool = True,
) -> list[Coefficients]:
    """Try every alpha, beta, gamma >= 1 of a grid with alpha * beta**2 * gamma**2 about `growth`, at phi = 1.

    Args:
        architecture: the base, with an image size.
        evaluate: score of an architecture, greater is better; NaN = could not be evaluated. It may be an estimate or a
            real training: each distinct architecture is evaluated once.
        growth: wished factor of the MACs.
        tolerance: how far alpha * beta**2 * gamma**2 may be from it.
        step: of the grid, for each of the three.
    Returns: the points that could be evaluated, best first; of equal scores, the one nearest to `growth` first.
    Raises: ValueError if the architecture has no image size, a setting is out of range, the grid is empty or no point
        could be evaluated.
    Example: real proxy trainings, with the `nas.trials.task.Task` of a search::

        def proxy(architecture: Architecture) -> float:
            at_its_size = replace(task, image_size=architecture.image_size)
            answer = evaluate(architecture, 0, at_its_size, lambda so_far: True)  # nas.trials.evaluate
            return answer["reward"] if answer["status"] == "ok" else math.nan

        best = fit_coefficients(base, proxy)[0]

    Source: EfficientNet (arXiv:1905.11946), section 3.3, step 1.
    """
    if architecture.image_size is None:
        raise ValueError("fit_coefficients needs an architecture with an image_size")
    scores: dict[str, float] = {}
    points = []
    for alpha, beta, gamma in _grid(growth, tolerance, step):
        grown = compound(architecture, 1, alpha, beta, gamma, floor_at_90_percent=floor_at_90_percent)
        if grown.arch_id not in scores:
            scores[grown.arch_id] = evaluate(grown)
        points.append(Coefficients(alpha, beta, gamma, grown, scores[grown.arch_id]))
    evaluated = [point for point in points if not math.isnan(point.score)]
    if not evaluated:
        raise ValueError(f"none of the {len(points)} points of the grid could be evaluated")
    return sorted(evaluated, key=lambda point: (-point.score, abs(point.growth - growth)))


def _grid(growth: float, tolerance: float, step: float) -> Iterator[tuple[float, float, float]]:
    if not (growth >= 1 and tolerance >= 0 and step > 0):
        raise ValueError(f"growth >= 1, tolerance >= 0, step > 0 are needed, got {growth}, {tolerance}, {step}")
    steps = math.floor((growth + tolerance - 1) / step + 1e-9)
    values = [round(1 + n * step, 9) for n in range(steps + 1)]
    found = False
    for alpha in values:
        for beta in values:
            for gamma in values:
                if abs(alpha * beta**2 * gamma**2 - growth) <= tolerance + 1e-9:
                    found = True
                    yield alpha, beta, gamma
    if not found:
        raise ValueError(f"no point of a grid of step {step} is within {tolerance} of growth {growth}")
