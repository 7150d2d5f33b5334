"""Splits are disjoint, stratified, seeded, and leave no image out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.data.splits import split_train, stratified

labelled = st.lists(st.integers(0, 5), min_size=2, max_size=200).map(lambda x: np.array(x, np.int64))


@given(labelled, st.floats(0, 1), st.integers(0, 9))
def test_stratified_keeps_every_classs_share(labels: np.ndarray, share: float, seed: int) -> None:
    """Exactly as many as asked, none twice, and each class within one image of its share."""
    count = round(share * len(labels))
    drawn = stratified(labels, count, seed)
    assert len(np.unique(drawn)) == len(drawn) == count
    for label in np.unique(labels):
        exact = count * (labels == label).mean()
        assert abs((labels[drawn] == label).sum() - exact) < 1


@given(labelled, st.integers(0, 9))
def test_minival_is_held_out_of_train(labels: np.ndarray, seed: int) -> None:
    """No image is in both, and together they are all of them."""
    train, minival = split_train(labels, 0.3, None, seed)
    assert len(minival) == round(0.3 * len(labels))
    assert sorted([*train, *minival]) == list(range(len(labels)))


@given(labelled, st.integers(0, 9))
def test_minival_does_not_depend_on_the_subset(labels: np.ndarray, seed: int) -> None:
    """Searches on more or fewer images are judged on the same ones, and train on none of them."""
    train, minival = split_train(labels, 0.25, None, seed)
    fewer, same = split_train(labels, 0.25, max(1, len(train) // 2), seed)
    assert np.array_equal(minival, same)
    assert set(fewer) <= set(train)
    assert len(fewer) == max(1, len(train) // 2)


sizes = st.lists(st.integers(1, 30), min_size=2, max_size=12)


@given(sizes, st.floats(0, 1), st.floats(0, 1), st.integers(0, 9))
def test_every_class_keeps_a_training_image(sizes: list[int], held: float, kept: float, seed: int) -> None:
    """However small: minival takes no class's last image, a subset drops no class, as far as there are images."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    minival = round(held * (len(labels) - 1))
    train, out = split_train(labels, minival, None, seed)
    assert len(out) == minival
    assert len(np.unique(labels[train])) == min(len(sizes), len(train))
    subset = max(1, round(kept * len(train)))
    fewer, _ = split_train(labels, minival, subset, seed)
    assert len(fewer) == subset
    assert len(np.unique(labels[fewer])) == min(len(sizes), subset)


@given(st.lists(st.integers(20, 60), min_size=2, max_size=12), st.integers(0, 9))
def test_splits_of_healthy_classes_stay(sizes: list[int], seed: int) -> None:
    """Where each class has images enough the draws are the plain ones, as they were: runs go on."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    train, minival = split_train(labels, 0.1, len(labels) // 2, seed)
    held = round(0.1 * len(labels))
    rest = np.setdiff1d(np.arange(len(labels)), stratified(labels, held, seed))
    assert np.array_equal(minival, stratified(labels, held, seed))
    assert np.array_equal(train, rest[stratified(labels[rest], len(labels) // 2, seed + 1_000_003)])


def test_seed_decides() -> None:
    """The same seed draws the same images and another seed others."""
    labels = np.arange(1000) % 10
    first, again, other = (split_train(labels, 0.1, 100, seed) for seed in (0, 0, 1))
    for a, b, c in zip(first, again, other, strict=True):
        assert np.array_equal(a, b)
        assert not np.array_equal(a, c)


def test_counts_and_shares() -> None:
    """minival is a share below 1 and a number of images from 1 on; 0 holds nothing out."""
    labels = np.arange(50) % 5
    assert [len(split_train(labels, m, None, 0)[1]) for m in (0, 0.1, 1, 20)] == [0, 5, 1, 20]


@pytest.mark.parametrize(("minival", "subset", "message"), [
    (50, None, "minival 50 leaves no image to train on; the source has 50"),
    (10, 41, "subset 41 is more than the 40 training images"),
])  # fmt: skip
def test_too_few_images(minival: float, subset: int | None, message: str) -> None:
    """Asking for more images than there are is refused with both numbers."""
    with pytest.raises(ValueError, match=message):
        split_train(np.arange(50) % 5, minival, subset, 0)
