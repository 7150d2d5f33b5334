"""Where the images of one part go while a data set is prepared, and what is known of each chunk of them.

What is known of a chunk is written once its images are there: whoever goes on after a kill takes what is kept, if the
images are what they were said to be.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from nas.cpus import available_cpus
from nas.data.jpegs import index_of
from nas.data.making import CHUNK, AsJpegs, AsPixels, Chunk, Form, digest_of, measured
from nas.data.wide import Held


class Store(Protocol):
    """Keeps the images of one part."""

    @property
    def form(self) -> Form:
        """What is kept."""

    def rows(self, start: int) -> NDArray[np.uint8] | None:
        """Give where the pixels of a chunk go, for who can write there; None where none are kept."""

    def commit(self, start: int, chunk: Chunk) -> None:
        """Keep a chunk for good: called for one after the other, in order, but for wide images' second time."""

    def kept(self, starts: Sequence[int]) -> dict[int, Chunk]:
        """Give the chunks that an earlier process kept and that are whole."""

    def close(self, chunks: dict[int, Chunk], numbers: NDArray[np.int64]) -> dict[int, Chunk]:
        """Close the gaps that unreadable images left, and finish.

        Args:
            numbers: (N,) of the images that are kept.
        """


class ArrayStore:
    """Decoded images in one array, (N, H, W, C)."""

    form = AsPixels()

    def __init__(self, folder: Path, name: str, shape: tuple[int, int, int, int]) -> None:
        file = folder / f"{name}_images.npy"
        self._records = folder / f"{name}_chunks"
        array = _reopened(file, shape)
        if array is None:
            shutil.rmtree(self._records, ignore_errors=True)  # of chunks that are gone
            array = open_memmap(file, "w+", np.uint8, shape)
        self.array: np.memmap[Any, np.dtype[np.uint8]] = array
        _take_room(file)
        self._records.mkdir(exist_ok=True)

    def rows(self, start: int) -> NDArray[np.uint8]:
        """Give the rows of a chunk."""
        return self.array[start : start + CHUNK]

    def commit(self, start: int, chunk: Chunk) -> None:
        """Write down that a chunk is there; not of wide images, for they are read twice."""
        if chunk.pixels is not None:
            self.rows(start)[:] = chunk.pixels
        if chunk.wide is None:
            _save(chunk, self._records / f"{start}.npz")

    def kept(self, starts: Sequence[int]) -> dict[int, Chunk]:
        """Give the chunks whose rows are what they were."""
        with ThreadPoolExecutor(available_cpus()) as pool:
            found = pool.map(self._kept, starts)
            return {start: chunk for start, chunk in zip(starts, found, strict=True) if chunk is not None}

    def close(self, chunks: dict[int, Chunk], numbers: NDArray[np.int64]) -> dict[int, Chunk]:
        """Move the rows that hold images together; measure anew what moved."""
        if len(numbers) < len(self.array):
            for start in range(0, len(numbers), CHUNK):
                if (whole := numbers[start : start + CHUNK])[-1] != start + len(whole) - 1 or (
                    start + CHUNK > len(numbers)
                ):
                    self.array[start : start + len(whole)] = self.array[whole]
                    chunks[start] = measured(self.array[start : start + len(whole)])
            chunks = {start: chunk for start, chunk in chunks.items() if start < len(numbers)}
        self.array.flush()
        shutil.rmtree(self._records)
        return chunks

    def _kept(self, start: int) -> Chunk | None:
        chunk = _load(self._records / f"{start}.npz")
        return chunk if chunk is not None and digest_of(self.rows(start)) == chunk.digest else None


class JpegStore:
    """JPEGs in one file, in the order of the source; see nas/data/jpegs.py.

    Args:
        size: of the shorter side, pixels.
        quality: 1..95; None = JPEG files stay as they are.
    """

    def __init__(self, folder: Path, name: str, size: int, quality: int | None) -> None:
        self.file = folder / f"{name}_images.jpegs"
        self._records = folder / f"{name}_chunks"
        self._records.mkdir(exist_ok=True)
        self.form = AsJpegs(size, quality)
        self._written = 0  # bytes
        self.file.touch()

    def rows(self, start: int) -> None:
        """No pixels are kept."""

    def commit(self, start: int, chunk: Chunk) -> None:
        """Append a chunk."""
        with self.file.open("ab") as file:
            file.writelines(chunk.contents)
        self._written += int(chunk.index["length"].sum())
        _save(chunk, self._records / f"{start}.npz")

    def kept(self, starts: Sequence[int]) -> dict[int, Chunk]:
        """Give the first chunks that are what they were, and cut off what lies behind them."""
        found = dict(self._whole(starts))
        os.truncate(self.file, self._written)
        return found

    def close(self, chunks: dict[int, Chunk], numbers: NDArray[np.int64]) -> dict[int, Chunk]:
        """Write the index, and see that all is on the disk."""
        with self.file.open("rb") as file:
            os.fsync(file.fileno())
        index = np.concatenate([chunk.index for chunk in chunks.values()])
        index["offset"] = np.cumsum(index["length"], dtype=np.int64) - index["length"]
        np.save(index_of(self.file), index)
        shutil.rmtree(self._records)
        return chunks

    def _whole(self, starts: Sequence[int]) -> Iterator[tuple[int, Chunk]]:
        with self.file.open("rb") as file:
            for start in starts:
                chunk = _load(self._records / f"{start}.npz")
                if chunk is None:
                    return
                length = int(chunk.index["length"].sum())
                if hashlib.blake2b(file.read(length), digest_size=16).digest() != chunk.digest:
                    return
                self._written += length
                yield start, chunk


def _reopened(file: Path, shape: tuple[int, ...]) -> Any:
    """The array that an earlier process began; None if there is none, or another."""
    with suppress(OSError, ValueError, EOFError):  # not there, or not whole
        array = open_memmap(file, "r+")
        if array.shape == shape and array.dtype == np.uint8:
            return array
    return None


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


def _save(chunk: Chunk, file: Path) -> None:
    """Write what is known of a chunk, whole or not at all."""
    unfinished = file.with_suffix(".tmp.npz")
    np.savez(
        unfinished,
        aspects=chunk.aspects,
        hashes=chunk.hashes,
        levels=chunk.levels,
        digest=np.frombuffer(chunk.digest, np.uint8),
        unreadable=np.array(list(chunk.unreadable), np.int64),
        reasons=np.array(list(chunk.unreadable.values()), np.str_),
        several=chunk.several,
        wide=[] if chunk.wide is None else [chunk.wide.low, chunk.wide.high, chunk.wide.whole],
        index=chunk.index,
    )
    unfinished.replace(file)


def _load(file: Path) -> Chunk | None:
    try:
        with np.load(file) as of:
            unreadable = dict(zip(of["unreadable"].tolist(), of["reasons"].tolist(), strict=True))
            low, high, whole = of["wide"] if len(of["wide"]) else (0, 0, 0)
            return Chunk(
                aspects=of["aspects"], hashes=of["hashes"], levels=of["levels"], digest=of["digest"].tobytes(),
                unreadable=unreadable, several=int(of["several"]), index=of["index"],
                wide=Held(float(low), float(high), bool(whole)) if len(of["wide"]) else None,
            )  # fmt: skip
    except (OSError, ValueError, EOFError, KeyError, BadZipFile):  # not there, or torn by a power cut
        return None
