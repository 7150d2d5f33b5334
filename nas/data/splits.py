"""Which images are train, minival and test: stratified, seeded, independent of decoding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def stratified(
    labels: NDArray[np.int64], count: int, seed: int, *, keep_one: bool = False, leave_one: bool = False
) -> Indices:
    """Draw `count` positions so that every class keeps its share, to within one image.

    Args:
        labels: (N,) class of each image.
        count: how many to draw, 0 <= count <= N.
        seed: same labels, count and seed: same positions.
        keep_one: draw at least one image of every class, as far as `count` goes.
        leave_one: leave at least one image of every class, as far as `count` lets.
    Returns: (count,) sorted positions.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    rng = np.random.default_rng(seed)
    exact = sizes * (count / max(len(labels), 1))
    quota = np.floor(exact).astype(np.int64)
    # The images that rounding down left over go to the classes that lost most; ties are drawn.
    order = np.lexsort((rng.random(len(classes)), -(exact - quota)))
    quota[order[: count - quota.sum()]] += 1
    if keep_one:
        quota = _one_each(quota)
    if leave_one:
        quota = sizes - _one_each(sizes - quota)
    by_class = np.split(np.argsort(labels, kind="stable"), np.cumsum(sizes)[:-1])
    drawn = [rng.permutation(members)[:n] for members, n in zip(by_class, quota, strict=True)]
    return np.sort(np.concatenate(drawn)) if drawn else np.empty(0, np.int64)


def _one_each(quota: Indices) -> Indices:
    """Give every class at least one of as many images; where there are fewer than classes, one to as many as go."""
    count = int(quota.sum())
    if count < len(quota):
        return np.isin(np.arange(len(quota)), np.argsort(-quota, kind="stable")[:count]).astype(np.int64)
    quota = quota.copy()
    for empty in np.flatnonzero(quota == 0):
        quota[np.argmax(quota)] -= 1
        quota[empty] = 1
    return quota


def split_train(labels: NDArray[np.int64], minival: float, subset: int | None, seed: int) -> tuple[Indices, Indices]:
    """Split the training images of a source into those trained on and minival; every class keeps a training image.

    Where there are too few images for that, as few classes as possible go without.

    Args:
        labels: (N,) class of each image of the source's training part.
        minival: share below 1, or number of images.
        subset: how many of the rest to keep; None = all.
        seed: of both draws.
    Returns: sorted positions of train and of minival, disjoint.
    Raises: ValueError if there are too few images.
    """
    held = int(minival) if minival >= 1 else round(minival * len(labels))
    if held >= len(labels):
        raise ValueError(f"minival {held} leaves no image to train on; the source has {len(labels)} training images")
    chosen = stratified(labels, held, seed, leave_one=True)
    rest = np.setdiff1d(np.arange(len(labels)), chosen, assume_unique=True)
    if subset is None:
        return rest, chosen
    if subset > len(rest):
        raise ValueError(f"subset {subset} is more than the {len(rest)} training images that minival leaves")
    # Another stream than minival's, or both would draw in the same order.
    return rest[stratified(labels[rest], subset, seed + 1_000_003, keep_one=True)], chosen
