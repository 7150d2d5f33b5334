"""JPEGs in one file, one after the other, with an index that finds each and a checksum that proves it. No torch."""

from __future__ import annotations

import os
import weakref
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ENTRY = np.dtype([("offset", "<i8"), ("length", "<i4"), ("checksum", "<u4")])  # bytes, bytes, CRC-32


class DamagedRecord(ValueError):
    """A record whose content is not what was written."""


class Jpegs:
    """The JPEGs of one part of a data set; any number of threads may read them at once.

    Args:
        file: as `prepare` wrote it; its index lies beside it.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.index: NDArray[np.void] = np.load(index_of(file), mmap_mode="r")
        self._descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        weakref.finalize(self, os.close, self._descriptor)

    def __len__(self) -> int:
        """Records."""
        return len(self.index)

    def read(self, number: int) -> bytes:
        """Give a record's JPEG. Raises: DamagedRecord naming it, if it is not what was written."""
        offset, length, checksum = self.index[number].item()
        # Read, not mapped: pages of a mapped file would count as this process's memory.
        content = os.pread(self._descriptor, length, offset)
        if zlib.crc32(content) != checksum:
            raise DamagedRecord(
                f"image {number} of {self.file} is damaged: its checksum is wrong; remove {self.file.parent} and "
                "prepare the data anew"
            )
        return content


def index_of(file: Path) -> Path:
    """Give the file of the index that belongs to a file of records."""
    return file.with_name(f"{file.stem}_index.npy")


def entries(contents: list[bytes], offset: int) -> NDArray[np.void]:
    """Make the index of some neighbouring records, of which the first begins at `offset`, in bytes."""
    made = np.empty(len(contents), ENTRY)
    made["length"] = [len(content) for content in contents]
    made["offset"] = offset + np.cumsum(made["length"], dtype=np.int64) - made["length"]
    made["checksum"] = [zlib.crc32(content) for content in contents]
    return made
