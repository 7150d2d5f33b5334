"""IDX files, as MNIST, Fashion-MNIST, KMNIST and EMNIST are kept: one of images, one of labels, plain or gzipped.

Images are taken as they lie there; EMNIST's are mirrored at the diagonal. Source of the format: LeCun, Cortes and
Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import re
import shutil
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.data.settings import DataSettings
from nas.data.sources.layout import is_held_out, is_train
from nas.data.sources.records import Images, Source, first_line, nearby, printable, some, stamp

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_IMAGES = re.compile(r"images(?=[-.]idx[34])")


class _Files(NamedTuple):
    """One part of a data set."""

    images: Path
    labels: Path


def identity(settings: DataSettings) -> dict[str, Any]:
    """Tell which files there are. Raises: ValueError if they are missing."""
    return {part: stamp(str(file) for file in files) for part, files in _parts(settings).items()}


def read(settings: DataSettings, scratch: Path, progress: bool) -> Source:
    """Open the files; gzipped ones are unpacked into `scratch`. Classes are the labels of train, in their order.

    Raises: ValueError if a file is missing, cut off or none of the format, or labels do not fit.
    """
    parts = _parts(settings)
    labels = {part: _labels(files, scratch) for part, files in parts.items()}
    classes = np.unique(labels["train"])
    if len(unknown := np.setdiff1d(labels.get("test", classes), classes)):
        raise ValueError(f"{parts['test'].labels} has labels that {parts['train'].labels} has not: {some(unknown)}")
    images = {part: _images(files, np.searchsorted(classes, labels[part]), scratch) for part, files in parts.items()}
    return Source(len(classes), tuple(str(label) for label in classes), images["train"], images.get("test"))


def is_idx(file: Path) -> bool:
    """Whether a file is called as one of images is."""
    return _IMAGES.search(file.name) is not None


def holds_idx(folder: Path) -> bool:
    """Whether files of images lie in a folder."""
    return any(is_idx(file) for file in folder.iterdir())


def held_out_beside(images: Path) -> str:
    """Find the test split's file beside one of the training split, if it is called so; empty = none."""
    named = (images.with_name(images.name.replace("train", word)) for word in ("test", "t10k"))
    return next((str(file) for file in named if file != images and file.is_file()), "")


def _parts(settings: DataSettings) -> dict[str, _Files]:
    """Find the files: a folder holds those of train, and of test unless `test_path` names them."""
    given = Path(settings.path).expanduser()
    if given.is_dir():
        train, held_out = _in_folder(given)
    else:
        train, held_out = given, None
    test = Path(settings.test_path).expanduser() if settings.test_path else held_out
    return {part: _with_labels(file) for part, file in {"train": train, "test": test}.items() if file is not None}


def _in_folder(folder: Path) -> tuple[Path, Path | None]:
    files = [file for file in sorted(folder.iterdir()) if _IMAGES.search(file.name)]
    held_out = [file for file in files if is_held_out(file.name) or "t10k" in file.name]
    train = [file for file in files if is_train(file.name) and file not in held_out]
    if len(train) == 1 and len(held_out) <= 1:
        return train[0], held_out[0] if held_out else None
    lies = some([printable(file.name) for file in files]) or "no files called *images-idx3*"
    raise ValueError(f"{folder} holds {lies}: give one file of images as data.path, and one as data.test_path")


def _with_labels(images: Path) -> _Files:
    if not images.is_file():
        raise ValueError(f"no file {str(images)!r}{nearby(images)}")
    name = _IMAGES.sub("labels", images.name).replace("idx3", "idx1").replace("idx4", "idx1")
    plain = name.removesuffix(".gz")
    beside = [images.with_name(each) for each in dict.fromkeys((name, plain, f"{plain}.gz"))]
    labels = next((file for file in beside if file.is_file() and file != images), None)
    if labels is None:
        raise ValueError(f"{images} has no file of labels beside it: {beside[0].name} is expected")
    return _Files(images, labels)


def _labels(files: _Files, scratch: Path) -> NDArray[np.int64]:
    labels = _array(files.labels, scratch)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) == 0:
        raise ValueError(f"{files.labels} has an array of shape {labels.shape}, {labels.dtype.name}: labels are needed")
    return labels.astype(np.int64)


def _images(files: _Files, labels: NDArray[np.int64], scratch: Path) -> Images:
    pixels = _array(files.images, scratch)
    if pixels.ndim not in (3, 4) or (pixels.ndim == 4 and pixels.shape[3] not in (1, 3)):
        shapes = "(N, H, W), (N, H, W, 1) or (N, H, W, 3)"
        raise ValueError(f"{files.images} has an array of shape {pixels.shape}: images are {shapes}")
    if len(pixels) != len(labels):
        raise ValueError(f"{files.images} has {len(pixels)} images, {files.labels} has {len(labels)} labels")
    native = pixels.dtype.newbyteorder("=")
    return Images(
        labels,
        lambda start, stop: list(pixels[start:stop].astype(native)),
        lambda i: f"image {i} of {printable(files.images)}",
    )


def _array(file: Path, scratch: Path) -> NDArray[Any]:
    """Map a file's array into memory."""
    plain = _unpacked(file, scratch) if file.suffix == ".gz" else file
    with plain.open("rb") as opened:
        start = opened.read(4)
        if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _TYPES:
            raise ValueError(f"{file} is no IDX file: it begins with {start.hex() or 'nothing'}")
        sizes = np.frombuffer(opened.read(4 * start[3]), ">u4")
    shape, kind, header = tuple(int(size) for size in sizes), np.dtype(_TYPES[start[2]]), 4 + 4 * start[3]
    needed, there = header + int(np.prod(shape, dtype=np.int64)) * kind.itemsize, plain.stat().st_size
    if len(shape) != start[3] or needed != there:
        raise ValueError(f"{file} is cut off or damaged: {there:,} bytes where its header says {needed:,}")
    if needed == header:  # nothing to map
        return np.zeros(shape, kind)
    return np.memmap(plain, kind, "r", header, shape)


def _unpacked(file: Path, scratch: Path) -> Path:
    plain = scratch / file.stem
    try:
        with gzip.open(file) as packed, plain.open("wb") as out:
            shutil.copyfileobj(packed, out)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{file} is cut off or damaged: {first_line(error)}") from None
    return plain
