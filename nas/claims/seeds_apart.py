"""Architectures that were trained with the same few seeds: their means, and which of them are told apart.

Seeds are blocks: a value is the architecture's mean, plus what its seed adds to all of them, plus noise (a randomised
block design). Of two or three seeds no single architecture's scatter says much; the noise is therefore estimated from
all of them together, and pairs are compared by Tukey's studentised range, so that with 95 % confidence not one
of all the pairs is told apart wrongly. Where the differences of a pair scatter more than that, theirs counts: a few
architectures may be noisier than the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import studentized_range
from scipy.stats import t as student

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SeedMeans:
    """What is known of k architectures over seeds; NaN where nothing is."""

    means: Floats  # (k,); where a seed is missing, what the mean would be with the average effect of that seed
    se: Floats  # (k,); of another draw of seeds
    low: Floats  # (k,); confidence interval of each mean by itself
    high: Floats
    sd: float  # of one training: seed and noise
    difference_se: Floats  # (k, k); of the difference of two means, in which the seeds' common effect cancels
    margin: Floats  # (k, k); a difference larger than this is told apart; NaN: none can be
    freedom: int  # degrees of freedom of the noise

    @property
    def apart(self) -> NDArray[np.bool_]:
        """Which pairs are told apart, (k, k)."""
        return np.abs(self.means[:, None] - self.means) > self.margin

    def p_values(self) -> Floats:
        """Give the chance that any of the pairs differs as much by chance, (k, k): adjusted for all pairs."""
        with np.errstate(divide="ignore", invalid="ignore"):
            q = np.abs(self.means[:, None] - self.means) / self.difference_se * math.sqrt(2)
        known = np.isfinite(q) & ~np.eye(len(q), dtype=bool)
        p = np.full(q.shape, np.nan)
        if known.any():
            p[known] = studentized_range.sf(q[known], int(np.isfinite(self.means).sum()), self.freedom)
        return p


def seed_means(values: Floats, *, confidence: float = 0.95, resolution: float = 0.0) -> SeedMeans:
    """Compare architectures over seeds.

    The noise is taken to be normal. Where trainings are missing the means are those of least squares, and the
    comparison is Tukey's and Kramer's.

    Args:
        values: (k, n) of k architectures with n seeds, the same in each column; NaN = missing.
        confidence: of the intervals, and that no pair is told apart wrongly.
        resolution: the step in which values come, such as one image of so many; noise is no less than its rounding.
    Source: Tukey, The problem of multiple comparisons (1953); Kramer, Biometrics 12 (1956), 307-310; e.g. Montgomery,
        Design and Analysis of Experiments, sections 3.5 and 4.1.
    """
    there = np.isfinite(values)
    rows = np.flatnonzero(there.any(axis=1))
    used, known = values[rows], there[rows]
    count = len(values)
    means, se, half = (np.full(count, np.nan) for _ in range(3))
    difference_se, margin = np.full((count, count), np.nan), np.full((count, count), np.nan)
    effects, unscaled, residual, freedom = _fit(used, known)
    means[rows] = effects
    noise = max(residual / freedom, resolution**2 / 12) if freedom > 0 else math.nan
    pairs, diagonal = np.ix_(rows, rows), np.diag(unscaled)
    share = np.maximum(diagonal[:, None] + diagonal - 2 * unscaled, 0)
    difference_se[pairs] = np.sqrt(np.fmax(noise, _of_pairs(used)) * share)
    if freedom > 0 and len(rows) > 1:
        margin[pairs] = _critical(len(rows), freedom, confidence) / math.sqrt(2) * difference_se[pairs]
    np.fill_diagonal(margin, np.nan)
    variance, own_freedom = _one_training(used, known, noise)
    se[rows] = np.sqrt(variance / known.sum(axis=1))
    if own_freedom > 0:
        half[rows] = float(student.ppf((1 + confidence) / 2, own_freedom)) * se[rows]
    return SeedMeans(means, se, means - half, means + half, math.sqrt(variance), difference_se, margin, freedom)


@lru_cache(maxsize=64)
def _critical(groups: int, freedom: int, confidence: float) -> float:
    return float(studentized_range.ppf(confidence, groups, freedom))


def _fit(values: Floats, known: NDArray[np.bool_]) -> tuple[Floats, Floats, float, int]:
    """Fit architecture + seed by least squares.

    Returns: the means, at the average of the seeds' effects; the inverse of their normal equations, of which
        the noise's multiple is their covariance; the sum of squares that is left, and its degrees of freedom.
    """
    count, seeds = values.shape
    row, column = np.nonzero(known)
    # Seeds that nobody has are in no column; effects of seeds add up to 0, so a mean is over all seeds.
    design = np.zeros((len(row), count + seeds))
    design[np.arange(len(row)), row] = 1
    design[np.arange(len(row)), count + column] = 1
    there = np.flatnonzero(known.any(axis=0))
    centred = np.eye(len(there))[:, 1:] - np.eye(len(there))[:, :1]  # the first effect is minus the sum of the others
    design = np.hstack([design[:, :count], design[:, count + there] @ centred])
    inverse = np.linalg.pinv(design.T @ design)
    observed = values[row, column]
    found = inverse @ design.T @ observed
    left = observed - design @ found
    freedom = len(observed) - int(np.linalg.matrix_rank(design)) if len(observed) else 0
    return found[:count], inverse[:count, :count], float(left @ left), freedom


def _of_pairs(values: Floats) -> Floats:
    """Give the noise that the differences of each pair show by themselves, (k, k); NaN with fewer than two."""
    differences = values[:, None, :] - values
    seeds = np.isfinite(differences).sum(axis=2)
    centred = differences - np.nansum(differences, axis=2, keepdims=True) / np.maximum(seeds, 1)[:, :, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(seeds > 1, np.nansum(centred**2, axis=2) / (2 * (seeds - 1)), np.nan)


def _one_training(values: Floats, known: NDArray[np.bool_], noise: float) -> tuple[float, float]:
    """Give the variance of one training over seeds, their common effect and noise, and its degrees of freedom.

    The common effect does not average out over architectures, so that many of them do not make it better known. Where
    there seems to be one, degrees of freedom are those of the seeds; else they are Satterthwaite's. Seeds that not
    every architecture has say nothing of it; without two others it is as if there were one.
    """
    whole = values[:, known.all(axis=0)]
    count, seeds = whole.shape
    if not count:
        return math.nan, 0.0
    if seeds < 2:
        return _within(values, known)
    of_seeds = count * float(np.var(whole.mean(axis=0), ddof=1))  # estimates noise + count * the seeds' variance
    if count == 1:
        return of_seeds, seeds - 1.0
    common, own = of_seeds / count, noise * (count - 1) / count
    if of_seeds > _COMMON * noise or common + own == 0:
        return common + own, seeds - 1.0
    satterthwaite = (common + own) ** 2 / (common**2 / (seeds - 1) + own**2 / ((count - 1) * (seeds - 1)))
    return common + own, satterthwaite


_COMMON = 2.0  # ratio of mean squares from which on seeds seem to have a common effect


def _within(values: Floats, known: NDArray[np.bool_]) -> tuple[float, float]:
    """Give the variance within architectures, with the degrees of freedom of the one that has most seeds."""
    seeds = known.sum(axis=1)
    centred = values - (np.nansum(values, axis=1) / np.maximum(seeds, 1))[:, None]
    freedom = float((seeds - 1).sum())
    return (float(np.nansum(centred**2)) / freedom, float(seeds.max() - 1)) if freedom > 0 else (math.nan, 0.0)


def groups(apart: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """Give the largest sets of architectures of which no two are told apart, in the order of their first members.

    Args:
        apart: (k, k), symmetric.
    """
    found: list[tuple[int, ...]] = []

    def grow(inside: tuple[int, ...], may: set[int], seen: set[int]) -> None:  # Bron and Kerbosch, 1973
        if not may and not seen:
            found.append(tuple(sorted(inside)))
        for each in sorted(may):
            near = {other for other in range(len(apart)) if other != each and not apart[each, other]}
            grow((*inside, each), may & near, seen & near)
            may, seen = may - {each}, seen | {each}

    grow((), set(range(len(apart))), set())
    return sorted(found)


def or_nan(value: float | None) -> float:
    """Give a record's number for arithmetic: NaN where it is not known."""
    return math.nan if value is None else value


def or_none(value: float) -> float | None:
    """Give a number for a record: None where it is not known."""
    return float(value) if math.isfinite(value) else None
