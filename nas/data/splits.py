"""Which images are train, minival and test: stratified, seeded, independent of decoding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def stratified(labels: NDArray[np.int64], count: int, seed: int) -> Indices:
    """Draw `count` positions so that every class keeps its share, to within one image.

    Args:
        labels: (N,) class of each image.
        count: how many to draw, 0 <= count <= N.
        seed: same labels, count and seed: same positions.
    Returns: (count,) sorted positions.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    rng = np.random.default_rng(seed)
    exact = sizes * (count / max(len(labels), 1))
    quota = np.floor(exact).astype(np.int64)
    # The images that rounding down left over go to the classes that lost most; ties are drawn.
    order = np.lexsort((rng.random(len(classes)), -(exact - quota)))
    quota[order[: count - quota.sum()]] += 1
    by_class = np.split(np.argsort(labels, kind="stable"), np.cumsum(sizes)[:-1])
    drawn = [rng.permutation(members)[:n] for members, n in zip(by_class, quota, strict=True)]
    return np.sort(np.concatenate(drawn)) if drawn else np.empty(0, np.int64)


def split_train(labels: NDArray[np.int64], minival: float, subset: int | None, seed: int) -> tuple[Indices, Indices]:
    """Split the training images of a source into those trained on and minival.

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
    chosen = stratified(labels, held, seed)
    rest = np.setdiff1d(np.arange(len(labels)), chosen, assume_unique=True)
    if subset is None:
        return rest, chosen
    if subset > len(rest):
        raise ValueError(f"subset {subset} is more than the {len(rest)} training images that minival leaves")
    # Another stream than minival's, or both would draw in the same order.
    return rest[stratified(labels[rest], subset, seed + 1_000_003)], chosen
