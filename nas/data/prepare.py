"""Any data set -> a folder of decoded arrays, made once by whichever process comes first, and its splits."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from nas.data.arrays import ArraysInfo, load_info, save_info, write_arrays
from nas.data.settings import DataSettings
from nas.data.source import read_source, reader
from nas.data.splits import split_train

logger = logging.getLogger(__name__)
FORMAT = 2  # of the arrays and of how images are decoded; a change makes every cache entry new
SplitName = Literal["train", "minival", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "minival", "test")


@dataclass(frozen=True)
class Prepared:
    """A data set ready to be trained on; small enough to be sent to every worker."""

    folder: str  # of the decoded arrays
    splits: str  # file of the indices
    image_size: int
    channels: int
    num_classes: int
    class_names: tuple[str, ...] | None
    mean: tuple[float, ...]  # of the source's training part, per channel, white = 1
    std: tuple[float, ...]
    train: int  # images in each split
    minival: int
    test: int
    fingerprint: str  # of every pixel, label and split: same data, same fingerprint, on any host


class Split(NamedTuple):
    """One split, its pixels still on disk: image i is `images[indices[i]]`, its class `labels[i]`."""

    images: NDArray[np.uint8]  # (N, H, W, C), mapped; may hold more images than the split
    labels: NDArray[np.int64]  # (M,)
    indices: NDArray[np.int64]  # (M,)


def prepare(settings: DataSettings, image_size: int, progress: bool = False) -> Prepared:
    """Decode a data set at `image_size` unless that was done before, and split it.

    Any number of processes may call this at the same moment: one decodes, the others wait for it. A process killed
    half-way leaves nothing that is taken for whole.

    Args:
        settings: which data set, how split.
        image_size: height and width, pixels.
        progress: whether somebody looks on: a bar is drawn on a terminal, and warnings about the data are said again.
    Raises: ValueError if the source is missing or wrong, an image cannot be read, or a split would be empty.
    """
    if image_size < 1:
        raise ValueError(f"image_size must be at least 1, got {image_size}")
    images = {"format": FORMAT, "source": settings.source, "size": image_size, "channels": settings.channels}
    images |= {"value_range": settings.value_range}
    key = _key(images | reader(settings).identity(settings))
    root = settings.cache
    root.mkdir(parents=True, exist_ok=True)
    folder = root / key
    built = False
    if not folder.is_dir():
        with _alone(root, key):
            if built := not folder.is_dir():
                _build(settings, image_size, folder, progress)
    info = load_info(folder)
    for line in info.warnings if built or progress else ():
        logger.warning("%s", line)
    return _split(settings, folder, info)


def load_split(prepared: Prepared, name: SplitName) -> Split:
    """Map one split into memory.

    Raises: ValueError if there is no such split or it has no images.
    """
    if name not in SPLITS:
        raise ValueError(f"unknown split {name!r}; known: {', '.join(SPLITS)}")
    if getattr(prepared, name) == 0:
        present = [other for other in SPLITS if getattr(prepared, other)]
        raise ValueError(f"the data set has no {name} images; it has: {', '.join(present)}")
    part = "test" if name == "test" else "train"
    images = np.load(Path(prepared.folder) / f"{part}_images.npy", mmap_mode="c")
    labels = np.load(Path(prepared.folder) / f"{part}_labels.npy")
    if name == "test":
        return Split(images, labels, np.arange(len(labels)))
    with np.load(prepared.splits) as splits:
        indices = splits[name]
    return Split(images, labels[indices], indices)


def _build(settings: DataSettings, image_size: int, folder: Path, progress: bool) -> None:
    work = folder.with_suffix(".part")
    shutil.rmtree(work, ignore_errors=True)  # of a process that was killed
    _remove_leftovers(folder.parent)
    work.mkdir()
    try:
        scratch = work / "scratch"
        scratch.mkdir()
        source = read_source(settings, scratch, progress)
        logger.info("decoding %s images into %s", settings.source, folder)
        info = write_arrays(source, image_size, settings.channels, work, progress, settings.value_range)
        save_info(info, work)
        shutil.rmtree(scratch)
        work.rename(folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


@contextmanager
def _alone(root: Path, key: str) -> Iterator[None]:
    """Hold the lock of one cache entry; the operating system frees it when its holder dies."""
    lock = FileLock(root / f"{key}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("another process is decoding the images; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _remove_leftovers(root: Path) -> None:
    """Remove what killed processes left half-done of other entries: nobody holds the lock of theirs."""
    for work in root.glob("*.part"):
        lock = FileLock(work.with_suffix(".lock"))
        try:
            with lock.acquire(timeout=0):
                shutil.rmtree(work, ignore_errors=True)
        except Timeout:
            continue


def _split(settings: DataSettings, folder: Path, info: ArraysInfo) -> Prepared:
    labels = np.load(folder / "train_labels.npy")
    train, minival = split_train(labels, settings.minival, settings.subset, settings.seed)
    drawn = hashlib.blake2b(train.tobytes() + minival.tobytes(), digest_size=16).hexdigest()
    file = folder / f"splits-{drawn}.npz"
    if not file.exists():
        _write_splits(file, train, minival)
    return Prepared(
        folder=str(folder), splits=str(file), image_size=info.image_size, channels=info.channels,
        num_classes=info.num_classes, class_names=info.class_names, mean=info.mean, std=info.std,
        train=len(train), minival=len(minival), test=info.test,
        fingerprint=_key({"pixels": info.digest, "splits": drawn}),
    )  # fmt: skip


def _write_splits(file: Path, train: NDArray[np.int64], minival: NDArray[np.int64]) -> None:
    unfinished = file.with_name(f"{uuid.uuid4().hex}.npz")
    np.savez(unfinished, train=train, minival=minival)
    unfinished.replace(file)


def _key(record: dict[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()
