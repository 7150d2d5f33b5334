"""One part of a data set -> its array, chunk by chunk in threads; what cannot be read is told together at the end."""

from __future__ import annotations

import errno
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from nas.cpus import available_cpus
from nas.data.decode import Decoded, Decoding, Refused, is_grey, longest_side
from nas.data.progress import track
from nas.data.sources.records import Encoded, Images, some
from nas.data.stores import CHUNK, Chunk, Store
from nas.data.wide import Held, all_of, range_of

logger = logging.getLogger(__name__)
T = TypeVar("T")
AHEAD = 2  # chunks for each thread, beside the one that is waited for
NAMED = 20  # unreadable images, and then no more are read
LOOKED_AT = 64  # images whose colour and size decide how all are kept
LARGE = 90  # per cent of those that are no longer than what whole images are kept at


@dataclass(frozen=True)
class Part:
    """A part that is kept; image i is row i of its array, whose rows beyond them mean nothing, or record i."""

    labels: NDArray[np.int64]  # (N,)
    aspects: NDArray[np.float32]  # (N,) width over height of the images as they were
    numbers: NDArray[np.int64]  # (N,) of the images in the source: without those left out
    hashes: NDArray[np.uint64]  # (N,), of what is kept: equal images have equal ones
    levels: NDArray[np.int64]  # (channels, 256): how many values are of each level
    digests: tuple[bytes, ...]  # of what is kept of each chunk
    wide: Held | None  # what the images of more than 8 bits hold
    unreadable: dict[int, str]  # images left out, by their number in the source -> name and reason
    several: int  # images of more than one frame, of which the first is used


def decode_part(
    images: Images, store: Store, how: Decoding, name: str, leave_out: bool, progress: bool
) -> tuple[Part, Decoding]:
    """Decode a part into `store`; images of more than 8 bits after all others, when it is known what they hold.

    Threads decode, for Pillow decodes and resizes without holding the interpreter's lock; unlike worker processes
    they end with this process however it dies. What an earlier process kept, and is whole, is not decoded again.

    Args:
        name: of the part, for messages.
        leave_out: whether images that cannot be read are left out.
        progress: whether to draw a bar on a terminal.
    Returns: the part; and `how` with the range that was found, for the next part.
    Raises: ValueError naming the first unreadable images, up to twenty of them.
    """
    starts = range(0, len(images.labels), CHUNK)
    chunks = _decode(images, store, starts, how, f"decoding {name}", leave_out, progress, store.kept(starts))
    wide = all_of(chunk.wide for chunk in chunks.values())
    if wide and how.given_range is how.found_range is None:
        how = replace(how, found_range=range_of(wide, name))
        again = [start for start, chunk in chunks.items() if chunk.wide]
        chunks |= _decode(images, store, again, how, f"scaling {name}", leave_out, progress, {})
    unreadable = {i: reason for chunk in chunks.values() for i, reason in chunk.unreadable.items()}
    labels = images.labels
    if len(unreadable) == len(labels):
        raise ValueError(f"cannot read {some(list(unreadable.values()))}: no {name} image is left")
    numbers = np.delete(np.arange(len(labels)), list(unreadable))
    several = sum(chunk.several for chunk in chunks.values())
    aspects = np.concatenate([chunk.aspects for chunk in chunks.values()])
    chunks = store.close(chunks, numbers)
    part = Part(
        labels=labels[numbers],
        aspects=aspects[numbers],
        numbers=numbers,
        hashes=np.concatenate([chunk.hashes for chunk in chunks.values()]),
        levels=np.asarray(sum(chunk.levels for chunk in chunks.values())),
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
    store: Store,
    starts: Sequence[int],
    how: Decoding,
    what: str,
    leave_out: bool,
    progress: bool,
    kept: Mapping[int, Chunk],
) -> dict[int, Chunk]:
    """Decode the chunks that begin at `starts`. Raises: ValueError naming what cannot be read and is not left out."""
    pool = ThreadPoolExecutor(available_cpus())
    done: dict[int, Chunk] = dict(kept)
    unreadable = [reason for chunk in kept.values() for reason in chunk.unreadable.values()]
    left = [start for start in starts if start not in kept]
    count = len(images.labels)
    before = sum(min(CHUNK, count - start) for start in kept)
    if kept:
        logger.info("%s: %d images are there already", what, before)
    try:
        with _no_attack():
            chunks = _in_order(pool, lambda start: _decode_chunk(images, store, start, how), left)
            steps = ((min(CHUNK, count - start), chunk) for start, chunk in zip(left, chunks, strict=True))
            total = before + sum(min(CHUNK, count - start) for start in left)
            for start, chunk in zip(left, track(steps, total, what, progress, before), strict=True):
                store.commit(start, chunk)
                done[start] = replace(chunk, contents=())
                unreadable += chunk.unreadable.values()
                if len(unreadable) >= NAMED and not leave_out:
                    break
    finally:
        pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C the chunks not begun are not decoded
    if unreadable and not leave_out:
        raise ValueError(_refusal(unreadable))
    return {start: done[start] for start in starts if start in done}


def _in_order(pool: ThreadPoolExecutor, work: Callable[[int], Chunk], starts: Sequence[int]) -> Iterator[Chunk]:
    """Give what is made of each, in order; a few are made ahead, so that few wait for one that takes long."""
    ahead: deque[Future[Chunk]] = deque()
    for start in starts:
        ahead.append(pool.submit(work, start))
        if len(ahead) > AHEAD * available_cpus():
            yield ahead.popleft().result()
    while ahead:
        yield ahead.popleft().result()


def _refusal(unreadable: Sequence[str]) -> str:
    named = "; ".join(unreadable[:NAMED]) + ("; and maybe more" if len(unreadable) >= NAMED else "")
    return f"cannot read {named} (data.unreadable: leave_out goes on without)"


def _decode_chunk(images: Images, store: Store, start: int, how: Decoding) -> Chunk:
    stop = min(start + CHUNK, len(images.labels))
    unreadable: dict[int, str] = {}
    made: list[Decoded | None] = []
    encoded = images.read(start, stop)
    if len(encoded) != stop - start:  # what the others are of would be black
        raise ValueError(f"{images.name(start)} to {images.name(stop - 1)}: {len(encoded)} of {stop - start} were read")
    for i, data in enumerate(encoded, start):
        try:
            made.append(store.make(i, data, how))
        except Exception as error:  # Pillow raises a dozen kinds for a broken file
            reason = f"{images.name(i)}: {_reason(error)}"
            if not _is_the_images(error):
                raise ValueError(f"cannot read {reason}") from error
            unreadable[i] = reason
            made.append(None)
    read = [each for each in made if each is not None]
    several = sum(each.first_of_several for each in read)
    wide = all_of(each.wide for each in read)
    return replace(store.measured(start, made), wide=wide, unreadable=unreadable, several=several)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "no image of a kind that Pillow reads"  # its own words have an address in memory
    return (str(error) or type(error).__name__).splitlines()[0]


def _is_the_images(error: Exception) -> bool:
    """Whether an error is an image's own. A disk, network or memory that fails must not make another data set."""
    if isinstance(error, OSError):
        return error.errno in (None, errno.ENOENT)
    return not isinstance(error, MemoryError | Refused)


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
