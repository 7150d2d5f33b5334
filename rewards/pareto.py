"""The Pareto front and the hypervolume of points over any objectives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pareto_front(points: ArrayLike, maximise: Sequence[bool]) -> NDArray[np.int64]:
    """Give the indices of the points that no other point dominates, in ascending order.

    A point dominates another if it is at least as good in every objective and better in one. So copies of a point do
    not dominate each other: all are on the front, or none. A point with a NaN was not measured in full, can neither
    dominate nor be dominated, and is left out.

    Args:
        points: (N, M): N points, M objectives; infinities are allowed.
        maximise: per objective, whether greater is better.
    Raises: ValueError if the points are not (N, M) with M = len(maximise) >= 1.
    """
    gains = _gains(points, maximise)
    left = np.flatnonzero(~np.isnan(gains).any(axis=1))
    left = left[np.lexsort(-gains[left].T[::-1])]  # best first objective first: who dominates stands before whom
    front: list[int] = []
    while left.size:
        best, gains_left = gains[left[0]], gains[left]
        same = (gains_left == best).all(axis=1)
        front.extend(left[same].tolist())
        left = left[~(gains_left <= best).all(axis=1)]
    return np.array(sorted(front), dtype=np.int64)


def dominated(points: ArrayLike, front: ArrayLike, maximise: Sequence[bool]) -> NDArray[np.bool_]:
    """Say which points one of a front dominates, and so one of any front that it grows to.

    Args:
        points: (N, M): N points, M objectives.
        front: (F, M).
        maximise: per objective, whether greater is better.
    Returns: (N,).
    Raises: ValueError as `pareto_front` does.
    """
    ours, theirs = _gains(points, maximise)[:, None], _gains(front, maximise)[None]
    as_good: NDArray[np.bool_] = np.all(theirs >= ours, axis=2)
    better: NDArray[np.bool_] = np.any(theirs > ours, axis=2)
    return np.asarray(np.any(as_good & better, axis=1))


def hypervolume(points: ArrayLike, reference: ArrayLike, maximise: Sequence[bool]) -> float:
    """Measure the volume that the points dominate, bounded by the reference point; exact for any number of objectives.

    A point that is not better than the reference in every objective adds nothing, nor does one with a NaN. Two
    objectives take N log N steps, each further one a factor of N: meant for fronts of hundreds of points.

    Args:
        points: (N, M): N points, M objectives.
        reference: (M,): a point worse than all of interest; finite.
        maximise: per objective, whether greater is better.
    Returns: the volume in the product of the objectives' units; 0 without a point better than the reference.
    Raises: ValueError if the shapes do not fit, the reference is not finite or a point is infinitely good.
    """
    gains = _gains(points, maximise)
    corner = np.asarray(reference, dtype=np.float64)
    if corner.shape != (len(maximise),):
        raise ValueError(f"reference must be ({len(maximise)},) as maximise has it, got shape {corner.shape}")
    corner = _gains(corner[None, :], maximise)[0]
    if not np.isfinite(corner).all():
        raise ValueError(f"reference must be finite, got {reference!r}")
    beyond = gains - corner
    beyond = beyond[(beyond > 0).all(axis=1)]  # NaN is not > 0
    if not np.isfinite(beyond).all():
        raise ValueError("points must be finite, got an infinitely good one")
    return _volume(beyond)


def _gains(points: ArrayLike, maximise: Sequence[bool]) -> NDArray[np.float64]:
    """Give the points as floats (N, M) of which greater is better in every column."""
    array = np.asarray(points, dtype=np.float64)
    if array.size == 0 and array.ndim < 2:
        array = array.reshape(0, len(maximise))
    if array.ndim != 2 or array.shape[1] != len(maximise) or not len(maximise):
        raise ValueError(f"points must be (N, {len(maximise)}) as maximise has it, got shape {array.shape}")
    return np.where(np.asarray(maximise, dtype=bool), array, -array)


def _volume(extents: NDArray[np.float64]) -> float:
    """Volume of the union of the boxes from the origin to each row (N, M), by slices along the last column."""
    if len(extents) == 0:
        return 0.0
    if extents.shape[1] == 1:
        return float(extents.max())
    extents = extents[pareto_front(extents, [True] * extents.shape[1])]
    extents = extents[np.argsort(-extents[:, -1], kind="stable")]
    thickness = extents[:, -1] - np.append(extents[1:, -1], 0.0)
    if extents.shape[1] == 2:
        return float(thickness @ extents[:, 0])  # on a front, the lower in one is the greater in the other
    return sum(float(t) * _volume(extents[: n + 1, :-1]) for n, t in enumerate(thickness) if t > 0)
