"""What preparing a data set finds that whoever uses it should know: each a line, or a refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.data.sources.records import some
from nas.data.wide import Held, Range

NAMED = 8  # images that are there more than once
FEW_LEVELS = 32  # or fewer, of 256, hint at a range that is not the images'


def about_levels(
    levels: NDArray[np.int64], wide: Mapping[str, Held | None], value_range: Range | None
) -> Iterator[str]:
    """Say where the range of black and white does not suit the images.

    Args:
        levels: (channels, 256): how many values of the training images are of each level.
        wide: what the images of more than 8 bits hold, a part each.
        value_range: that became 0..255; None = 0..255 itself.
    Raises: ValueError if the training images are of one level.
    """
    used = np.flatnonzero(levels.sum(axis=0))
    scaled = f" ({value_range[0]:g}..{value_range[1]:g} became 0..255)" if value_range else ""
    if len(used) == 1:
        raise ValueError(f"the training images are all of one level, {used[0]} of 0..255{scaled}")
    # A few levels from black to white are a drawing's; but a range that was found may be that of a single stray value.
    if len(used) <= FEW_LEVELS and (value_range or (used[0], used[-1]) != (0, 255)):
        few = f"the training images have {len(used)} levels, within {used[0]}..{used[-1]}{scaled}"
        yield f"{few}: if white is another value, set data.value_range to [black, white]"
    test = wide.get("test")
    if value_range and test and not wide["train"]:
        yield f"only test images have more than 8 bits: they were scaled by themselves{scaled}"
    elif value_range and test and (test.low < value_range[0] or test.high > value_range[1]):
        yield f"test images hold {test.low:g}..{test.high:g}, cut off at what the training images hold{scaled}"


def about_left_out(part: str, unreadable: list[str], several: int) -> Iterator[str]:
    """Say what of a part's images is not used.

    Args:
        unreadable: names and reasons of those that cannot be read.
        several: how many have more frames than the first.
    """
    if unreadable:
        yield f"{part}: {len(unreadable)} images that cannot be read: {some(unreadable)}"
    if several:
        yield f"{part}: all frames but the first of {several} images"


def about_classes(
    train: NDArray[np.int64], others: Mapping[str, NDArray[np.int64]], num_classes: int, names: Sequence[str] | None
) -> Iterator[str]:
    """Say which classes have no image to be learnt from.

    Args:
        train: labels of the images that are trained on.
        others: labels of those that are judged by.
    """
    without = np.flatnonzero(np.bincount(train, minlength=num_classes) == 0)
    if len(without) == 0:
        return
    shown = some([names[int(i)] if names else str(i) for i in without])
    counts = {part: int(np.isin(labels, without).sum()) for part, labels in others.items()}
    judged = " and ".join(f"{count} of {len(others[part])} {part} images" for part, count in counts.items() if count)
    never = f"; {judged} can never be right" if judged else ""
    yield f"{len(without)} of {num_classes} classes have no training image: {shown}{never}"


def about_copies(hashes: Mapping[str, NDArray[np.uint64]]) -> Iterator[str]:
    """Say how many images of one split are, pixel by pixel, also in another that is trained on or judged by.

    Args:
        hashes: of the images of each split, in the order train, minival, test.
    """
    splits = list(hashes)
    for i, judged in enumerate(splits):
        for learnt in splits[:i]:
            count = int(np.isin(hashes[judged], hashes[learnt]).sum())
            if count:
                yield f"{count} of {len(hashes[judged])} {judged} images are also in {learnt}, pixel by pixel"


def same_images(hashes: Mapping[str, NDArray[np.uint64]], name: Callable[[str, int], str]) -> Iterator[str]:
    """Name some images that are there more than once, in a part or in two.

    Args:
        hashes: of the images of each part.
        name: gives a part's i-th image's.
    """
    every = np.concatenate(list(hashes.values()))
    ends = np.cumsum([len(each) for each in hashes.values()])

    def name_of(place: int) -> str:
        part = int(np.searchsorted(ends, place, side="right"))
        return name(list(hashes)[part], place - (int(ends[part - 1]) if part else 0))

    _, first, counts = np.unique(every, return_index=True, return_counts=True)
    for place in np.sort(first[counts > 1])[:NAMED]:
        same = np.flatnonzero(every == every[place])
        yield " = ".join(name_of(int(i)) for i in same[:2]) + " = ..." * (len(same) > 2)


def about_labels(hashes: NDArray[np.uint64], labels: NDArray[np.int64]) -> Iterator[str]:
    """Say how many training images are there more than once, under different classes."""
    pairs = np.unique(np.stack([hashes, labels.astype(np.uint64)]), axis=1)
    _, classes = np.unique(pairs[0], return_counts=True)
    if count := int((classes > 1).sum()):
        yield f"{count} training images are there under several classes, the same pixel by pixel"
