"""A source -> uint8 arrays on disk, decoded once."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from nas.cpus import available_cpus
from nas.data.decode import Decoding, decode, is_grey
from nas.data.findings import about_levels
from nas.data.progress import track
from nas.data.sources.records import Images, Source
from nas.data.wide import Held, Range, all_of, range_of

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
    value_range: Range | None  # that became 0..255, where it was not 0..255 already
    left_out: tuple[str, ...]  # what lies there and is not used, a line a kind
    warnings: tuple[str, ...]  # what whoever uses the data should know, a line each


@dataclass(frozen=True)
class _Chunk:
    """What decoding some neighbouring images gave; the sums are per channel."""

    levels: NDArray[np.int64]  # (channels, 256): how many values are of each level
    digest: bytes
    wide: Held | None  # what the images of more than 8 bits hold


def write_arrays(
    source: Source,
    image_size: int,
    channels: int | None,
    folder: Path,
    progress: bool,
    value_range: Range | None = None,
) -> ArraysInfo:
    """Decode a source into `folder`: {train,test}_{images,labels}.npy, images (N, H, W, C).

    Threads decode, for Pillow decodes and resizes without holding the interpreter's lock; unlike worker processes
    they end with this process however it dies. Images of more than 8 bits are read twice: once to find what is white.

    Args:
        value_range: of black and white in every image; None = as their files say, and as found in those of more bits.
    Raises: ValueError naming the image if one cannot be read; ValueError if the disk has too little room, or the
        training images are all of one level.
    """
    guessed = channels is None
    channels = channels or _channels(source.train)
    parts = {"train": source.train} | ({"test": source.test} if source.test else {})
    _check_room(folder, sum(len(part.labels) for part in parts.values()) * image_size**2 * channels)
    how = Decoding(image_size, channels, guessed and channels == 1, value_range)
    digest = hashlib.blake2b(digest_size=16)
    levels: dict[str, NDArray[np.int64]] = {}
    wide: dict[str, Held | None] = {}
    for name, images in parts.items():
        array = open_memmap(
            folder / f"{name}_images.npy", "w+", np.uint8, (len(images.labels), image_size, image_size, channels)
        )
        chunks, how = _decode_part(images, array, how, name, progress)
        array.flush()
        np.save(folder / f"{name}_labels.npy", images.labels)
        for chunk in chunks:
            digest.update(chunk.digest)
        digest.update(images.labels.tobytes())
        levels[name] = np.sum([chunk.levels for chunk in chunks], axis=0)
        wide[name] = all_of(chunk.wide for chunk in chunks)
    value_range = how.given_range or how.found_range
    mean, std = _moments(levels["train"])
    test_count = len(source.test.labels) if source.test else 0
    return ArraysInfo(
        image_size, channels, source.num_classes, source.class_names, mean, std, len(source.train.labels), test_count,
        digest.hexdigest(), value_range, source.left_out, tuple(about_levels(levels["train"], wide, value_range)),
    )  # fmt: skip


def save_info(info: ArraysInfo, folder: Path) -> None:
    """Write `info` beside the arrays."""
    (folder / "info.json").write_text(json.dumps(asdict(info), indent=1))


def load_info(folder: Path) -> ArraysInfo:
    """Read what `save_info` wrote."""
    record = json.loads((folder / "info.json").read_text())
    names = record["class_names"]
    value_range = record["value_range"]
    record |= {name: tuple(record[name]) for name in ("mean", "std", "left_out", "warnings")}
    record |= {"class_names": tuple(names) if names else None, "value_range": value_range and tuple(value_range)}
    return ArraysInfo(**record)


def _channels(images: Images) -> int:
    for i in np.linspace(0, len(images.labels) - 1, min(LOOKED_AT, len(images.labels))).astype(int):
        data = images.read(int(i), int(i) + 1)[0]
        with _naming(images, int(i)):
            if not is_grey(data):
                return 3
    return 1


def _decode_part(
    images: Images, array: NDArray[np.uint8], how: Decoding, name: str, progress: bool
) -> tuple[list[_Chunk], Decoding]:
    """Decode a part; images of more than 8 bits after all others, when it is known what they hold."""
    starts = list(range(0, len(array), CHUNK))
    chunks = dict(zip(starts, _decode(images, array, starts, how, f"decoding {name}", progress), strict=True))
    wide = all_of(chunk.wide for chunk in chunks.values())
    if wide and how.given_range is how.found_range is None:
        how = replace(how, found_range=range_of(wide, name))
        again = [start for start, chunk in chunks.items() if chunk.wide]
        chunks |= zip(again, _decode(images, array, again, how, f"scaling {name}", progress), strict=True)
    return list(chunks.values()), how


def _decode(
    images: Images, array: NDArray[np.uint8], starts: list[int], how: Decoding, what: str, progress: bool
) -> Iterator[_Chunk]:
    pool = ThreadPoolExecutor(available_cpus())
    try:
        chunks = pool.map(lambda start: _decode_chunk(images, array, start, how), starts)
        done = ((min(CHUNK, len(array) - start), chunk) for start, chunk in zip(starts, chunks, strict=True))
        yield from track(done, min(len(array), CHUNK * len(starts)), what, progress)
    finally:
        pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C the chunks not begun are not decoded


def _decode_chunk(images: Images, array: NDArray[np.uint8], start: int, how: Decoding) -> _Chunk:
    stop = min(start + CHUNK, len(array))
    wide: list[Held | None] = []
    for i, data in enumerate(images.read(start, stop), start):
        with _naming(images, i):
            decoded, between = decode(data, how)
        wide.append(between)
        if decoded is not None:
            array[i] = decoded
    block = array[start:stop]
    levels = np.stack([np.bincount(block[..., c].ravel(), minlength=256) for c in range(how.channels)])
    return _Chunk(levels, hashlib.blake2b(block.data, digest_size=16).digest(), all_of(wide))


@contextmanager
def _naming(images: Images, i: int) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # Pillow raises a dozen kinds for a broken file
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"cannot read {images.name(i)}: {reason}") from error


def _moments(levels: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    values, count = np.arange(256, dtype=np.float64), levels[0].sum()
    mean = levels @ values / count
    variance = levels @ values**2 / count - mean**2
    # A constant channel has no deviation; 1 leaves it centred instead of dividing by zero.
    std = np.where(variance > 1e-6, np.sqrt(np.maximum(variance, 0)), 255.0)
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(f"decoded images need {needed / 1e9:.1f} GB in {folder}, which has {free / 1e9:.1f} GB free")
