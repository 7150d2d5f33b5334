"""One part of a data set -> its array or JPEGs, chunk by chunk; what cannot be read is told together at the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from nas.cpus import available_cpus
from nas.data.decode import Decoding, is_grey, longest_side
from nas.data.making import CHUNK, Chunk, any_size, make_chunk, read_chunk
from nas.data.prefetch import mapped
from nas.data.progress import tracking
from nas.data.sources.records import Encoded, Images, some
from nas.data.stores import Store
from nas.data.wide import Held, all_of, range_of

logger = logging.getLogger(__name__)
T = TypeVar("T")
Take = Callable[[int, Chunk], None]  # the number in the source of its first image, and a chunk
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
    images: Images, store: Store, how: Decoding, name: str, leave_out: bool, progress: bool, decoders: Decoders
) -> tuple[Part, Decoding]:
    """Decode a part into `store`; images of more than 8 bits after all others, when it is known what they hold.

    What an earlier process kept, and is whole, is not decoded again.

    Args:
        name: of the part, for messages.
        leave_out: whether images that cannot be read are left out.
        progress: whether to draw a bar on a terminal.
        decoders: who decodes.
    Returns: the part; and `how` with the range that was found, for the next part.
    Raises: ValueError naming the first unreadable images, up to twenty of them.
    """
    starts = range(0, len(images.labels), CHUNK)
    way = _Way(images, store, decoders, leave_out, progress)
    chunks = way.decode(starts, how, f"decoding {name}", store.kept(starts))
    wide = all_of(chunk.wide for chunk in chunks.values())
    if wide and how.given_range is how.found_range is None:
        how = replace(how, found_range=range_of(wide, name))
        again = [start for start, chunk in chunks.items() if chunk.wide]
        chunks |= way.decode(again, how, f"scaling {name}", {})
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
    with any_size():
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


class DecodersFailed(RuntimeError):
    """It is not the data's fault that they are not decoded: what is decoded is kept."""


class Decoders(Protocol):
    """Decode the chunks of a part."""

    def decode(self, images: Images, store: Store, starts: Sequence[int], how: Decoding, take: Take) -> None:
        """Decode the chunks that begin at `starts`.

        Args:
            take: is given each chunk, in order, in this thread; what it raises ends this.
        Raises: what `make_chunk` and `read_chunk` do. DecodersFailed.
        """


class Threads:
    """Threads of this process: Pillow decodes and resizes without the interpreter's lock.

    Unlike processes they end with this one however it dies, and share what is decoded. Beyond some eight of them the
    rest of the work, which holds the lock, bounds them.
    """

    def decode(self, images: Images, store: Store, starts: Sequence[int], how: Decoding, take: Take) -> None:
        """See `Decoders`."""

        def make(start: int) -> Chunk:
            return make_chunk(store.form, how, read_chunk(images, start), store.rows(start))

        pool = ThreadPoolExecutor(available_cpus())
        try:
            with any_size():
                chunks = mapped(pool, make, starts, AHEAD * available_cpus())  # few wait for one that takes long
                for start, chunk in zip(starts, chunks, strict=True):
                    take(start, chunk)
        finally:
            pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C the chunks not begun are not decoded


@dataclass(frozen=True)
class _Way:
    """How the chunks of a part are decoded."""

    images: Images
    store: Store
    decoders: Decoders
    leave_out: bool
    progress: bool

    def decode(self, starts: Sequence[int], how: Decoding, what: str, kept: Mapping[int, Chunk]) -> dict[int, Chunk]:
        """Decode chunks but for those that are kept. Raises: ValueError naming what cannot be read, unless left out."""
        done: dict[int, Chunk] = dict(kept)
        unreadable = [reason for chunk in kept.values() for reason in chunk.unreadable.values()]
        left = [start for start in starts if start not in kept]
        count = len(self.images.labels)
        before, total = (sum(min(CHUNK, count - start) for start in each) for each in (kept, starts))
        if kept:
            logger.info("%s: %d images are there already", what, before)

        def take(start: int, chunk: Chunk) -> None:
            self.store.commit(start, chunk)
            done[start] = chunk.without_images()
            unreadable.extend(chunk.unreadable.values())
            advance(min(CHUNK, count - start))
            if len(unreadable) >= NAMED and not self.leave_out:
                raise ValueError(_refusal(unreadable))

        with tracking(total, what, self.progress, before) as advance:
            self.decoders.decode(self.images, self.store, left, how, take)
        if unreadable and not self.leave_out:
            raise ValueError(_refusal(unreadable))
        return {start: done[start] for start in starts}


def _refusal(unreadable: Sequence[str]) -> str:
    named = "; ".join(unreadable[:NAMED]) + ("; and maybe more" if len(unreadable) >= NAMED else "")
    return f"cannot read {named} (data.unreadable: leave_out goes on without)"
