"""A source -> uint8 arrays on disk, decoded once."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from nas.data.chunks import Part, decode_part, guess_channels, usual_length
from nas.data.decode import Decoding
from nas.data.findings import about_labels, about_left_out, about_levels, same_images
from nas.data.settings import DataSettings
from nas.data.sources.records import Images, Source
from nas.data.wide import Range


@dataclass(frozen=True)
class ArraysInfo:
    """What is known of decoded arrays besides their pixels. Mean and deviation are of train, white = 1."""

    image_size: int  # largest that is wanted
    frame_size: int | None  # of the squares that whole images were squashed to; None = centres, of `image_size`
    channels: int
    num_classes: int
    class_names: tuple[str, ...] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: int  # images
    test: int
    digest: str  # of every pixel and label
    value_range: Range | None  # that became 0..255, where it was not 0..255 already
    left_out: tuple[str, ...]  # what lies there and is not used, a line a kind
    copies: tuple[str, ...]  # some of the images that are there more than once, pixel by pixel
    warnings: tuple[str, ...]  # what whoever uses the data should know, a line each


def write_arrays(
    source: Source,
    settings: DataSettings,
    image_size: int,
    folder: Path,
    progress: bool,
    frame_size: int | None = None,
) -> ArraysInfo:
    """Decode a source into `folder`: {train,test}_{images,labels,hashes,aspects}.npy, images (N, H, W, C).

    Images of more than 8 bits are read twice: once to find what is white.

    Raises: ValueError naming the images that cannot be read; ValueError if the disk has too little room, or the
        training images are all of one level.
    """
    if frame_size is not None:  # no image is kept larger than it is, but for what is wanted
        frame_size = max(image_size, min(frame_size, usual_length(source.train) or frame_size))
    side = frame_size or image_size
    channels = settings.channels or guess_channels(source.train)
    sources = {"train": source.train} | ({"test": source.test} if source.test else {})
    _check_room(folder, sum(len(part.labels) for part in sources.values()) * side**2 * channels)
    grey_only = settings.channels is None and channels == 1
    how = Decoding(side, channels, grey_only, settings.value_range, whole=frame_size is not None)
    digest = hashlib.blake2b(digest_size=16)
    parts: dict[str, Part] = {}
    for name, images in sources.items():
        shape = (len(images.labels), side, side, channels)
        array = open_memmap(folder / f"{name}_images.npy", "w+", np.uint8, shape)
        _take_room(folder / f"{name}_images.npy")
        leave_out = settings.unreadable == "leave_out"
        parts[name], how = decode_part(images, array, how, name, leave_out, progress)
        array.flush()
        if name == "train" and len(present := np.unique(parts[name].labels)) < 2:
            raise ValueError(f"the images that can be read are all of one class, {_name(source, int(present[0]))}")
        _save(parts[name], folder, name)
        for part in (*parts[name].digests, parts[name].labels.tobytes(), _left_out_digest(parts[name])):
            digest.update(part)
        if how.whole:
            digest.update(parts[name].aspects.tobytes())
    return replace(_info(source, sources, parts, how, digest.hexdigest()), image_size=image_size, frame_size=frame_size)


def _name(source: Source, label: int) -> str:
    return source.class_names[label] if source.class_names else str(label)


def _save(part: Part, folder: Path, name: str) -> None:
    np.save(folder / f"{name}_labels.npy", part.labels)
    np.save(folder / f"{name}_hashes.npy", part.hashes)
    np.save(folder / f"{name}_aspects.npy", part.aspects)


def _left_out_digest(part: Part) -> bytes:
    """What a fingerprint says of the images left out: nothing where there are none, so that it is as it always was."""
    return np.array(list(part.unreadable), np.int64).tobytes()


def _info(
    source: Source, sources: Mapping[str, Images], parts: Mapping[str, Part], how: Decoding, digest: str
) -> ArraysInfo:
    train, test = parts["train"], parts.get("test")
    value_range = how.given_range or how.found_range
    wide = {name: part.wide for name, part in parts.items()}
    mean, std = _moments(train.levels)
    left_out = (about_left_out(name, list(part.unreadable.values()), part.several) for name, part in parts.items())
    hashes = {name: part.hashes for name, part in parts.items()}
    copies = same_images(hashes, lambda name, i: sources[name].name(int(parts[name].numbers[i])))
    return ArraysInfo(
        image_size=how.image_size, frame_size=None, channels=how.channels, num_classes=source.num_classes,
        class_names=source.class_names, mean=mean, std=std, train=len(train.labels),
        test=0 if test is None else len(test.labels), digest=digest, value_range=value_range,
        left_out=(*source.left_out, *chain.from_iterable(left_out)), copies=tuple(copies),
        warnings=(
            *source.warnings,
            *about_levels(train.levels, wide, value_range),
            *about_labels(train.hashes, train.labels),
        ),
    )  # fmt: skip


def save_info(info: ArraysInfo, folder: Path) -> None:
    """Write `info` beside the arrays."""
    (folder / "info.json").write_text(json.dumps(asdict(info), indent=1))


def load_info(folder: Path) -> ArraysInfo:
    """Read what `save_info` wrote."""
    record = json.loads((folder / "info.json").read_text())
    names = record["class_names"]
    value_range = record["value_range"]
    record |= {name: tuple(record[name]) for name in ("mean", "std", "left_out", "copies", "warnings")}
    record |= {"class_names": tuple(names) if names else None, "value_range": value_range and tuple(value_range)}
    return ArraysInfo(**record)


def _moments(levels: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    values, count = np.arange(256, dtype=np.float64), levels[0].sum()
    mean = levels @ values / count
    variance = levels @ values**2 / count - mean**2
    # A constant channel has no deviation; 1 leaves it centred instead of dividing by zero.
    std = np.where(variance > 1e-6, np.sqrt(np.maximum(variance, 0)), 255.0)
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def _take_room(path: Path) -> None:
    """Take the room of a mapped file, which is empty: a disk that is full later would end the process by a signal."""
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # a file system that cannot
                raise


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        text = f"decoded images need {needed / 1e9:.1f} GB in {folder.parent}, which has {free / 1e9:.1f} GB free"
        raise ValueError(f"{text}; make room, or say by data.cache_dir or NAS_CACHE where there is some")
