"""What the disk is asked for ahead is in memory when it is wanted."""

import ctypes
import mmap
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from nas.data.batches import Batches
from nas.data.prepare import load_split, prepare
from nas.data.settings import DataSettings

SIZE, EACH = 96, 120  # pixels, images of a class: 27 kB each


def in_memory(array: np.memmap[Any, Any]) -> NDArray[np.bool_]:
    """(N,), whether the system has all of each row in its memory."""
    fresh = np.memmap(array.filename, np.uint8, "r")
    page, pages = mmap.PAGESIZE, -(-len(fresh) // mmap.PAGESIZE)
    held = (ctypes.c_ubyte * pages)()
    start = fresh.ctypes.data  # of the file, so of a page
    assert ctypes.CDLL(None).mincore(ctypes.c_void_p(start), ctypes.c_size_t(len(fresh)), held) == 0
    there = np.frombuffer(held, np.uint8) & 1 > 0
    each = int(np.prod(array.shape[1:]))
    firsts = [array.offset + i * each for i in range(len(array))]
    return np.array([there[first // page : (first + each - 1) // page + 1].all() for first in firsts])


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux which pages it has in memory")
def test_the_next_batch_is_read_while_this_one_is_used(tmp_path: Path) -> None:
    """Of an array that is on the disk alone, the rows of the first two batches are in memory after the first."""
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for i in range(EACH):
            pixels = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / label / f"{i}.png")
    settings = DataSettings("folder", str(tmp_path / "images"), minival=0, cache_dir=str(tmp_path / "cache"))
    prepared = prepare(settings, SIZE)
    batches = Batches(prepared, "train", batch_size=8, device=torch.device("cpu"))
    array = load_split(prepared, "train").images
    assert isinstance(array, np.memmap)
    descriptor = os.open(str(array.filename), os.O_RDWR)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    if in_memory(array).any():
        pytest.skip("this file system keeps its files in memory")
    epoch = batches.epoch(0)
    next(epoch)
    end = time.monotonic() + 10
    while in_memory(array).sum() < 16:
        assert time.monotonic() < end, "the second batch is not read ahead"
        time.sleep(0.01)
    assert in_memory(array).sum() <= 40, "more than was asked for, and its neighbours on the same pages"
