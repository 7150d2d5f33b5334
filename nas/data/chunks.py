"""One part of a data set -> its array, chunk by chunk in threads; what cannot be read is told together at the end."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from nas.cpus import available_cpus
from nas.data.decode import Decoding, Refused, decode, is_grey, longest_side
from nas.data.progress import track
from nas.data.sources.records import Encoded, Images, some
from nas.data.wide import Held, all_of, range_of

T = TypeVar("T")
CHUNK = 256  # images a thread decodes in one go
NAMED = 20  # unreadable images, and then no more are read
LOOKED_AT = 64  # images whose colour and size decide how all are kept
LARGE = 90  # per cent of those that are no longer than what whole images are kept at


@dataclass(frozen=True)
class Part:
    """A decoded part; image i is row i of its array, whose rows beyond them mean nothing."""

    labels: NDArray[np.int64]  # (N,)
    aspects: NDArray[np.float32]  # (N,) width over height of the images as they were
    numbers: NDArray[np.int64]  # (N,) of the images in the source: without those left out
    hashes: NDArray[np.uint64]  # (N,), of the pixels: equal images have equal ones
    levels: NDArray[np.int64]  # (channels, 256): how many values are of each level
    digests: tuple[bytes, ...]  # of the pixels of each chunk
    wide: Held | None  # what the images of more than 8 bits hold
    unreadable: dict[int, str]  # images left out, by their number in the source -> name and reason
    several: int  # images of more than one frame, of which the first is used


@dataclass(frozen=True)
class _Rows:
    """Where decoded images go, as they are in the source."""

    pixels: NDArray[np.uint8]  # (N, H, W, C)
    aspects: NDArray[np.float32]  # (N,)


@dataclass(frozen=True)
class _Chunk:
    """What decoding some neighbouring images gave."""

    hashes: NDArray[np.uint64]
    levels: NDArray[np.int64]
    digest: bytes
    wide: Held | None = None
    unreadable: dict[int, str] = field(default_factory=dict)
    several: int = 0


def decode_part(
    images: Images, array: NDArray[np.uint8], how: Decoding, name: str, leave_out: bool, progress: bool
) -> tuple[Part, Decoding]:
    """Decode a part into `array`; images of more than 8 bits after all others, when it is known what they hold.

    Threads decode, for Pillow decodes and resizes without holding the interpreter's lock; unlike worker processes
    they end with this process however it dies.

    Args:
        array: (N, H, W, C).
        name: of the part, for messages.
        leave_out: whether images that cannot be read are left out.
        progress: whether to draw a bar on a terminal.
    Returns: the part; and `how` with the range that was found, for the next part.
    Raises: ValueError naming the first unreadable images, up to twenty of them.
    """
    starts, rows = list(range(0, len(array), CHUNK)), _Rows(array, np.ones(len(array), np.float32))
    chunks = _decode(images, rows, starts, how, f"decoding {name}", leave_out, progress)
    wide = all_of(chunk.wide for chunk in chunks.values())
    if wide and how.given_range is how.found_range is None:
        how = replace(how, found_range=range_of(wide, name))
        again = [start for start, chunk in chunks.items() if chunk.wide]
        chunks |= _decode(images, rows, again, how, f"scaling {name}", leave_out, progress)
    unreadable = {i: reason for chunk in chunks.values() for i, reason in chunk.unreadable.items()}
    labels = images.labels
    if len(unreadable) == len(labels):
        raise ValueError(f"cannot read {some(list(unreadable.values()))}: no {name} image is left")
    numbers = np.delete(np.arange(len(labels)), list(unreadable))
    several = sum(chunk.several for chunk in chunks.values())
    if unreadable:
        chunks = _close_ranks(array, chunks, numbers)
    part = Part(
        labels=labels[numbers],
        aspects=rows.aspects[numbers],
        numbers=numbers,
        hashes=np.concatenate([chunk.hashes for chunk in chunks.values()]),
        levels=np.sum([chunk.levels for chunk in chunks.values()], axis=0),
        digests=tuple(chunk.digest for chunk in chunks.values()),
        wide=wide,
        unreadable=unreadable,
        several=several,
    )
    return part, how


def looked_at(images: Images, what: Callable[[Encoded], T]) -> Iterator[T]:
    """Give what is asked of some images, spread over all; of those that cannot be read nothing."""
    with _no_attack():
        for i in np.linspace(0, len(images.labels) - 1, min(LOOKED_AT, len(images.labels))).astype(int):
            with suppress(Exception):
                yield what(images.read(int(i), int(i) + 1)[0])


def guess_channels(images: Images) -> int:
    """Give 1 if the images looked at are grey, 3 if one has colour; one that cannot be read is told of later."""
    return 1 if all(looked_at(images, is_grey)) else 3


def usual_length(images: Images) -> int | None:
    """Give what the longer sides of nine tenths of the images looked at do not exceed; None if none can be read."""
    lengths = list(looked_at(images, longest_side))
    return int(np.percentile(lengths, LARGE, method="lower")) if lengths else None


def _decode(
    images: Images,
    rows: _Rows,
    starts: Sequence[int],
    how: Decoding,
    what: str,
    leave_out: bool,
    progress: bool,
) -> dict[int, _Chunk]:
    """Decode the chunks that begin at `starts`. Raises: ValueError naming what cannot be read and is not left out."""
    pool = ThreadPoolExecutor(available_cpus())
    done: dict[int, _Chunk] = {}
    unreadable: list[str] = []
    count = len(rows.pixels)
    try:
        with _no_attack():
            chunks = pool.map(lambda start: _decode_chunk(images, rows, start, how), starts)
            steps = ((min(CHUNK, count - start), chunk) for start, chunk in zip(starts, chunks, strict=True))
            total = sum(min(CHUNK, count - start) for start in starts)
            for start, chunk in zip(starts, track(steps, total, what, progress), strict=True):
                done[start] = chunk
                unreadable += chunk.unreadable.values()
                if len(unreadable) >= NAMED and not leave_out:
                    break
    finally:
        pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C the chunks not begun are not decoded
    if unreadable and not leave_out:
        raise ValueError(_refusal(unreadable))
    return done


def _refusal(unreadable: Sequence[str]) -> str:
    named = "; ".join(unreadable[:NAMED]) + ("; and maybe more" if len(unreadable) >= NAMED else "")
    return f"cannot read {named} (data.unreadable: leave_out goes on without)"


def _decode_chunk(images: Images, rows: _Rows, start: int, how: Decoding) -> _Chunk:
    stop = min(start + CHUNK, len(rows.pixels))
    wide: list[Held | None] = []
    unreadable: dict[int, str] = {}
    several = 0
    encoded = images.read(start, stop)
    if len(encoded) != stop - start:  # what the others are of would be black
        raise ValueError(f"{images.name(start)} to {images.name(stop - 1)}: {len(encoded)} of {stop - start} were read")
    for i, data in enumerate(encoded, start):
        try:
            decoded = decode(data, how)
        except Exception as error:  # Pillow raises a dozen kinds for a broken file
            reason = f"{images.name(i)}: {_reason(error)}"
            if not _is_the_images(error):
                raise ValueError(f"cannot read {reason}") from error
            unreadable[i] = reason
            continue
        wide.append(decoded.wide)
        several += decoded.first_of_several
        if decoded.pixels is not None:
            rows.pixels[i], rows.aspects[i] = decoded.pixels, decoded.aspect
    return replace(_measured(rows.pixels[start:stop]), wide=all_of(wide), unreadable=unreadable, several=several)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "no image of a kind that Pillow reads"  # its own words have an address in memory
    return (str(error) or type(error).__name__).splitlines()[0]


def _is_the_images(error: Exception) -> bool:
    """Whether an error is an image's own. A disk, network or memory that fails must not make another data set."""
    if isinstance(error, OSError):
        return error.errno in (None, errno.ENOENT)
    return not isinstance(error, MemoryError | Refused)


def _measured(block: NDArray[np.uint8]) -> _Chunk:
    hashes = [hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in block]
    levels = np.stack([np.bincount(block[..., c].ravel(), minlength=256) for c in range(block.shape[3])])
    digest = hashlib.blake2b(np.ascontiguousarray(block).data, digest_size=16).digest()
    return _Chunk(np.frombuffer(b"".join(hashes), np.uint64), levels, digest)


def _close_ranks(array: NDArray[np.uint8], chunks: dict[int, _Chunk], kept: NDArray[np.int64]) -> dict[int, _Chunk]:
    """Move the rows of an array that hold images together; measure anew what moved."""
    for start in range(0, len(kept), CHUNK):
        if (whole := kept[start : start + CHUNK])[-1] != start + len(whole) - 1 or start + CHUNK > len(kept):
            array[start : start + len(whole)] = array[whole]
            chunks[start] = _measured(array[start : start + len(whole)])
    return {start: chunk for start, chunk in chunks.items() if start < len(kept)}


@contextmanager
def _no_attack() -> Iterator[None]:
    """Let Pillow read images of any size: these are the user's own, no stranger's."""
    limits = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
    Image.MAX_IMAGE_PIXELS = None
    PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 2**31 - 1
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = limits
