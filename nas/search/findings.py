"""What a look at a search's configuration and data finds: what would fail, what makes it worth less.

Each is one line. Nothing here is decoded, trained or started.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.config.search import Config
from nas.data.description import DataDescription
from nas.data.disk import Kept, disk_use, free_bytes, kept_as, short_bytes
from nas.data.findings import about_classes
from nas.data.settings import Known
from nas.data.splits import split_train
from rewards.uncertainty import accuracy_error, critical, images_needed
from search_space.cost import output_size

ACCURACY = 0.9  # that a minival is judged by before any is known
GAP = 0.02  # in accuracy, that a minival should tell from the best
FEW_STEPS = 4  # an epoch


class Splits(NamedTuple):
    """How many images a search trains on and judges by."""

    train: int
    minival: int
    labels: NDArray[np.int64]  # (train,) of those trained on


def splits_of(config: Config, data: DataDescription) -> Splits:
    """Split the training images as a search does. Raises ValueError if there are too few."""
    settings = config.data
    labels = np.repeat(np.arange(len(data.counts)), data.counts)
    train, minival = split_train(labels, settings.minival, settings.subset, settings.seed)
    return Splits(len(train), len(minival), labels[train])


def gap_told_apart(minival: int, trials: int, accuracy: float = ACCURACY) -> float:
    """Give how much lower an accuracy must be to be told apart from the best of so many trials."""
    return float(critical(trials)) * sqrt(2) * accuracy_error(accuracy, minival)


def minival_for(gap: float, trials: int, accuracy: float = ACCURACY) -> int:
    """Give how many images tell an accuracy from the best of so many trials that is higher by a gap."""
    some = 1000  # the error of so many says that of any other number
    from_accuracy = sqrt(2) * accuracy_error(accuracy, some)
    return round(images_needed(gap, 1, from_accuracy * sqrt(some), 0.0, float(critical(trials))))


def about_minival(minival: int, trials: int) -> str:
    """Say what a minival can tell apart."""
    error, gap = accuracy_error(ACCURACY, minival), gap_told_apart(minival, trials)
    return (
        f"minival of {minival:,} images: an accuracy of {ACCURACY:g} is known to ±{error:.4f}; of {trials} trials "
        f"those {gap:.3f} below the best are told apart from it"
    )


def about_images(config: Config, data: DataDescription, splits: Splits) -> Iterator[str]:
    """Say where the images are too few, or not what the configuration says of them."""
    trials = config.search.trials
    if splits.minival and gap_told_apart(splits.minival, trials) > GAP:
        wanted = minival_for(GAP, trials)
        more = f"for {GAP:g} data.minival must be {wanted:,}"
        if wanted >= data.images:
            more += ", more images than there are: `nas confirm` with several seeds tells more apart"
        yield f"{about_minival(splits.minival, trials)}; {more}"
    if 0 < splits.minival < len(data.counts):
        yield f"data.minival has {splits.minival} images of {len(data.counts)} classes: not every class is judged by"
    batch = config.training.batch_size
    if (steps := splits.train // batch) < FEW_STEPS:
        yield f"training.batch_size {batch} makes {steps} steps an epoch of {splits.train:,} images: few to learn by"
    yield from about_classes(splits.labels, {}, len(data.counts), data.class_names)
    said = config.space.constraints.num_classes
    if "num_classes" in config.constraints_given and said != len(data.counts):
        yield f"space.constraints.num_classes is {said}, the data have {len(data.counts)}: costs are counted for {said}"
    yield from data.warnings


def about_sizes(config: Config, data: DataDescription | None) -> Iterator[str]:
    """Say where the image size does not go with the space's strides, or with the images."""
    space, size = config.space, config.image_size
    strides = [space.stem_stride, *(max(stage.stride) for stage in space.stages)]
    sizes = [size]
    for stride in strides:
        sizes.append(output_size(sizes[-1], stride))
    for number, ((before, _), stride) in enumerate(zip(pairwise(sizes), strides, strict=True)):
        if stride > 1 and before < 2:
            yield (
                f"image_size {size} leaves {before} px before stage {number}, which has stride {stride}: at least "
                f"{int(np.prod(strides[: number + 1]))} px, or smaller strides, are needed"
            )
            return
    if data is not None and (median := data.sizes[1]) and size > 2 * max(median, int(np.prod(strides))):
        yield f"image_size {size} is more than twice the images' {median} px: it costs time and shows nothing more"


def how_kept(config: Config, data: DataDescription) -> Kept:
    """Say how the images would be kept, were they not there already."""
    return kept_as(config.data, config.image_size, _frame(config, data), data.channels, data.images + data.test)


def kept_bytes(config: Config, data: DataDescription) -> int:
    """Give the room that the images take, decoded or as JPEGs."""
    return int(how_kept(config, data).each * (data.images + data.test))


def disk(config: Config, data: DataDescription) -> str:
    """Say how the images are kept, how much room that takes, and how much there is."""
    known = Known(len(data.counts), data.channels, data.images + data.test)
    use = disk_use(config.data, config.image_size, _frame(config, data), known)
    return f"{use}; {short_bytes(free_bytes(config.data.cache))} free"


def _frame(config: Config, data: DataDescription) -> int | None:
    frame = config.augment.frame_size(config.image_size)
    if frame is None or not data.sizes[2]:
        return frame
    return max(config.image_size, min(frame, data.sizes[2]))  # no image is kept larger than it is


def about_room(config: Config, data: DataDescription) -> Iterator[str]:
    """Say where the disk has no room for the images as they are kept."""
    needed = kept_bytes(config, data)
    if needed > (free := free_bytes(config.data.cache)):
        what = "decoded images" if how_kept(config, data).storage == "arrays" else "images as JPEGs"
        yield (
            f"{what} need {short_bytes(needed)} in {config.data.cache}, which has {short_bytes(free)} free; "
            "make room, or say by data.cache_dir or NAS_CACHE where there is some"
        )


def about_paths(config: Config) -> Iterator[str]:
    """Say which paths of the data are not there, without reading any."""
    if config.data.source not in ("folder", "parquet", "idx"):
        return
    for name, text in (("data.path", config.data.path), ("data.test_path", config.data.test_path)):
        if text and not (Path(text).exists() or (set(text) & set("*?[") and any(Path("/").glob(text.lstrip("/"))))):
            yield f"{name} {text} is not there"
