"""A source -> uint8 arrays on disk, decoded once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from nas.data.decode import GREY_MODES, open_image, pixels
from nas.data.progress import track
from nas.data.sources.records import Images, Source

CHUNK = 256  # images a thread decodes in one go
LOOKED_AT = 64  # images whose colour decides `channels`


@dataclass(frozen=True)
class ArraysInfo:
    """What is known of decoded arrays besides their pixels. Mean and deviation are of train, white = 1."""

    image_size: int
    channels: int
    num_classes: int
    class_names: tuple[str, ...] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: int  # images
    test: int
    digest: str  # of every pixel and label


@dataclass(frozen=True)
class _Sums:
    """Of one chunk, per channel."""

    total: NDArray[np.float64]
    squares: NDArray[np.float64]
    digest: bytes


def write_arrays(source: Source, image_size: int, channels: int | None, folder: Path, progress: bool) -> ArraysInfo:
    """Decode a source into `folder`: {train,test}_{images,labels}.npy, images (N, H, W, C).

    Threads decode, for Pillow decodes and resizes without holding the interpreter's lock; unlike worker processes
    they end with this process however it dies.

    Raises: ValueError naming the image if one cannot be read; ValueError if the disk has too little room.
    """
    guessed = channels is None
    channels = channels or _channels(source.train)
    parts = {"train": source.train} | ({"test": source.test} if source.test else {})
    _check_room(folder, sum(len(part.labels) for part in parts.values()) * image_size**2 * channels)
    digest = hashlib.blake2b(digest_size=16)
    train_sums: list[_Sums] = []
    for name, images in parts.items():
        array = open_memmap(
            folder / f"{name}_images.npy", "w+", np.uint8, (len(images.labels), image_size, image_size, channels)
        )
        for sums in _decode(images, array, guessed and channels == 1, f"decoding {name}", progress):
            digest.update(sums.digest)
            if name == "train":
                train_sums.append(sums)
        array.flush()
        np.save(folder / f"{name}_labels.npy", images.labels)
        digest.update(images.labels.tobytes())
    mean, std = _moments(train_sums, len(source.train.labels) * image_size**2)
    test_count = len(source.test.labels) if source.test else 0
    return ArraysInfo(
        image_size, channels, source.num_classes, source.class_names, mean, std,
        len(source.train.labels), test_count, digest.hexdigest(),
    )  # fmt: skip


def save_info(info: ArraysInfo, folder: Path) -> None:
    """Write `info` beside the arrays."""
    (folder / "info.json").write_text(json.dumps(asdict(info), indent=1))


def load_info(folder: Path) -> ArraysInfo:
    """Read what `save_info` wrote."""
    record = json.loads((folder / "info.json").read_text())
    names = record["class_names"]
    record |= {"mean": tuple(record["mean"]), "std": tuple(record["std"])}
    return ArraysInfo(**record | {"class_names": tuple(names) if names else None})


def _channels(images: Images) -> int:
    for i in np.linspace(0, len(images.labels) - 1, min(LOOKED_AT, len(images.labels))).astype(int):
        with _naming(images, int(i)), open_image(images.read(int(i), int(i) + 1)[0]) as image:
            if image.mode not in GREY_MODES:
                return 3
    return 1


def _decode(images: Images, array: NDArray[np.uint8], grey_only: bool, what: str, progress: bool) -> Iterator[_Sums]:
    starts = range(0, len(array), CHUNK)
    pool = ThreadPoolExecutor(_processors())
    try:
        chunks = pool.map(lambda start: _decode_chunk(images, array, start, grey_only), starts)
        done = ((min(CHUNK, len(array) - start), sums) for start, sums in zip(starts, chunks, strict=True))
        yield from track(done, len(array), what, progress)
    finally:
        pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C the chunks not begun are not decoded


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _decode_chunk(images: Images, array: NDArray[np.uint8], start: int, grey_only: bool) -> _Sums:
    _, image_size, _, channels = array.shape
    stop = min(start + CHUNK, len(array))
    for i, data in enumerate(images.read(start, stop), start):
        with _naming(images, i), open_image(data) as image:
            if grey_only and image.mode not in GREY_MODES:
                raise ValueError("is in colour, while the images looked at first are grey: set channels to 3 or 1")
            array[i] = pixels(image, image_size, channels)
    block = array[start:stop]
    levels = np.stack([np.bincount(block[..., c].ravel(), minlength=256) for c in range(channels)])
    values = np.arange(256, dtype=np.float64)
    return _Sums(levels @ values, levels @ values**2, hashlib.blake2b(block.data, digest_size=16).digest())


@contextmanager
def _naming(images: Images, i: int) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # Pillow raises a dozen kinds for a broken file
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"cannot read {images.name(i)}: {reason}") from error


def _moments(sums: list[_Sums], pixel_count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean = np.sum([chunk.total for chunk in sums], axis=0) / pixel_count
    variance = np.sum([chunk.squares for chunk in sums], axis=0) / pixel_count - mean**2
    # A constant channel has no deviation; 1 leaves it centred instead of dividing by zero.
    std = np.where(variance > 1e-6, np.sqrt(np.maximum(variance, 0)), 255.0)
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(f"decoded images need {needed / 1e9:.1f} GB in {folder}, which has {free / 1e9:.1f} GB free")
