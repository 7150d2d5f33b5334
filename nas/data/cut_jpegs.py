"""Squares cut out of JPEGs as a batch needs them: decoded no larger than that takes, in threads.

Pillow decodes and torch resizes without the interpreter's lock, so that threads work side by side; unlike processes
they share what is read, and end with this one.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nas.data import crops, geometry
from nas.data.augment import augment
from nas.data.jpegs import Jpegs
from nas.data.settings import AugmentSettings

_RUNS = 4  # of images, that each thread is given of a batch: the last ones even out what took longer


class Cutter:
    """Cuts squares out of the JPEGs of one part of a data set.

    Args:
        jpegs: of the part.
        size: height and width wanted, pixels.
        frame: pixels of the squares in which boxes are given, as arrays would hold them.
        whole: whether such a square is the whole image, squashed; else its centre.
        channels: 1 = grey, 3 = RGB.
        threads: that decode at once.
    """

    def __init__(self, jpegs: Jpegs, *, size: int, frame: int, whole: bool, channels: int, threads: int) -> None:
        self.jpegs, self.size, self.frame, self.whole = jpegs, size, frame, whole
        self.mode = "L" if channels == 1 else "RGB"
        self.threads = threads
        self._pool = pool_of(threads) if threads > 1 else None

    def fill(self, target: Tensor, rows: Tensor, boxes: Tensor) -> None:
        """Cut a square out of each of some images.

        Args:
            target: (N, size, size, C) uint8 on the host; filled.
            rows: (N,) numbers of the images in the part.
            boxes: (4, N) int64, as `nas.data.geometry.resized_crop` takes them, in squares of `frame` pixels.
        Raises: DamagedRecord naming an image that is not what was written.
        """

        def some(places: range) -> None:
            for i in places:
                self._cut(target[i], numbers[i], shares[i])

        numbers, shares = rows.tolist(), (boxes.T.to(torch.float64) / self.frame).tolist()
        if self._pool is None:
            some(range(len(numbers)))
            return
        step = max(1, len(numbers) // (_RUNS * self.threads))
        starts = range(0, len(numbers), step)
        list(self._pool.map(some, (range(start, min(start + step, len(numbers))) for start in starts)))

    def _cut(self, target: Tensor, row: int, share: tuple[float, float, float, float]) -> None:
        image = Image.open(io.BytesIO(self.jpegs.read(row)))
        top, left, height, width = share if self.whole else _of_centre(share, *image.size)
        # A JPEG is read at an eighth, a quarter or half of its size if the part wanted is no smaller than the square.
        image.draft(None, (math.ceil(self.size / width), math.ceil(self.size / height)))
        pixels = torch.from_numpy(np.array(image if image.mode == self.mode else image.convert(self.mode)))
        across, down = (_whole_pixels(*side) for side in ((left, width, image.width), (top, height, image.height)))
        box = torch.tensor([[down[0]], [across[0]], [down[1]], [across[1]]])
        if (down[1], across[1]) == (self.size, self.size):
            target.copy_(pixels[down[0] : down[0] + self.size, across[0] : across[0] + self.size].view_as(target))
        else:
            cut = geometry.resized_crop(pixels.view(1, image.height, image.width, -1), box, self.size)
            target.copy_(cut[0])


def pool_of(threads: int) -> ThreadPoolExecutor:
    """A pool whose threads compute alone: torch would give each a team as large as the calling thread's."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="jpegs")
    count, all_there = torch.get_num_threads(), Barrier(threads)

    def begin(_: int) -> None:
        torch.get_num_threads()  # or torch would set the number of others at this thread's first computation
        torch.set_num_threads(1)
        all_there.wait()  # so that each thread begins once

    list(pool.map(begin, range(threads)))
    torch.set_num_threads(count)  # of this thread and of those to come
    return pool


def _of_centre(share: tuple[float, float, float, float], width: int, height: int) -> tuple[float, float, float, float]:
    """Give as shares of an image what is given as shares of the square about its centre."""
    side = min(width, height)
    top, left, tall, wide = share
    return (
        ((height - side) / 2 + top * side) / height,
        ((width - side) / 2 + left * side) / width,
        tall * side / height,
        wide * side / width,
    )


def _whole_pixels(start: float, length: float, side: int) -> tuple[int, int]:
    """Give the first pixel, and how many, of a part given in shares of a side."""
    count = min(side, max(1, round(length * side)))
    return min(int(start * side + 1e-6), side - count), count


def boxes_ahead(
    shapes: Iterable[Tensor], settings: AugmentSettings, frame: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Give the boxes that `augment` draws for one batch after the other, before it does.

    What is drawn does not depend on the pixels, so tiny images draw the same.

    Args:
        shapes: of each batch (N,), width over height of its images.
        settings: of the augmentation, with resized crops.
        frame: pixels of the squares in which boxes are given.
        generator: in the state that the augmentation's has before the first batch; a generator of its own.
    Returns: (4, N) boxes, batch by batch.
    """
    rest = replace(settings, crop="none")
    for aspects in shapes:
        yield crops.random_boxes(aspects, frame, settings, generator)
        n = len(aspects)
        augment(torch.zeros(n, 1, 8, 8, dtype=torch.uint8), torch.zeros(n, dtype=torch.int64), rest, generator, 2)
