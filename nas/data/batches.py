"""Batches of a prepared data set on the device, augmented and normalised."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.augment import augment as augment_batch
from nas.data.augment import centres
from nas.data.crops import centre_boxes
from nas.data.cut_jpegs import Cutter, boxes_ahead
from nas.data.jpegs import Jpegs
from nas.data.prefetch import prefetched
from nas.data.prepare import JpegSplit, Prepared, SplitName, load_jpegs, load_split
from nas.data.read_ahead import ReadAhead
from nas.data.settings import AugmentSettings
from nas.seeds import SEEDING, seed_of

RESIDENT_SHARE = 0.25  # of a GPU's free memory that a split may take
AHEAD = 2  # batches that are made while one is used
Batch = tuple[Tensor, Tensor]  # images, labels
Fill = Callable[[bool], Tensor]  # whether in pinned memory -> images (N, H, W, C) uint8 on the host


class Batches:
    """The batches of one split; `data_wait_s` adds up the time their consumer waited for them, in seconds.

    Args:
        prepared: the data set.
        split_name: train, minival or test.
        batch_size: images a batch, of all shares together.
        device: where batches are wanted.
        augment: what is done to images; None = nothing.
        image_size: height and width wanted, at most that of `prepared`; None = that.
        seed, seeding: of order and augmentation, together with the epoch; see nas/seeds.py.
        shuffle: draw a new order each epoch and drop the last, partial batch; None = for train only.
        channels_last: memory format of the images.
        resident: whether the split's images are held on the device; None = on a GPU that has room, never on a CPU.
            What is not resident stays mapped from disk.
        share: (i, n): only the i-th, counted from 0, of n parts of every batch, for one of n processes.
        threads: that decode images kept as JPEGs; None = as many as torch computes with, the cores of a trial.
        ahead: whether the next batches are made, augmented and normalised, too, while one is used: by a thread, on a
            GPU on a stream of its own; None = for a GPU.
    Raises: ValueError if the split is empty, `image_size` too large, shuffling would leave no whole batch, or the batch
        cannot be shared evenly.
    """

    def __init__(
        self,
        prepared: Prepared,
        split_name: SplitName,
        *,
        batch_size: int,
        device: torch.device,
        augment: AugmentSettings | None = None,
        image_size: int | None = None,
        seed: int = 0,
        seeding: int = SEEDING,
        shuffle: bool | None = None,
        channels_last: bool = True,
        resident: bool | None = None,
        share: tuple[int, int] = (0, 1),
        threads: int | None = None,
        ahead: bool | None = None,
    ) -> None:
        split = load_jpegs(prepared, split_name) if prepared.storage == "jpeg" else load_split(prepared, split_name)
        self.prepared, self.split_name, self.device = prepared, split_name, device
        self.batch_size, self.augment, self.seed, self.channels_last = batch_size, augment, seed, channels_last
        self.share, self.seeding = share, seeding
        self.ahead = device.type == "cuda" if ahead is None else ahead
        self.image_size = prepared.image_size if image_size is None else image_size
        self.shuffle = split_name == "train" if shuffle is None else shuffle
        self._check(len(split.labels))
        self.data_wait_s = 0.0
        self._rows = torch.from_numpy(split.indices)
        self._cutter = self._cutting(split.images, threads) if isinstance(split, JpegSplit) else None
        if isinstance(split, JpegSplit):
            self.resident = False
        else:
            self.resident = self._hold(split.images, resident)
        self._labels = torch.from_numpy(split.labels)
        self._aspects = None if split.aspects is None else torch.from_numpy(split.aspects)
        std = torch.tensor(prepared.std, dtype=torch.float64)
        scale, shift = 1 / (255 * std), -torch.tensor(prepared.mean, dtype=torch.float64) / std
        # One number for each value of an image's row: adding long rows is ten times quicker than adding triples.
        self._scale = scale.repeat(self.image_size).to(device, torch.float32)
        self._shift = shift.repeat(self.image_size).to(device, torch.float32)

    def __len__(self) -> int:
        """Batches an epoch."""
        count = len(self._labels)
        return count // self.batch_size if self.shuffle else -(-count // self.batch_size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of an epoch; the same again for the same number, whether resident or not.

        Yields: images (N, C, H, W) float32, normalised by the data set's mean and deviation; labels (N,) int64, or
            (N, classes) float32 where `augment` mixes.
        """
        drawn = seed_of(self.seed, "augmentation", number, self.share[0], seeding=self.seeding)
        generator = torch.Generator().manual_seed(drawn)
        order = torch.arange(len(self._labels))
        if self.shuffle:
            drawn = seed_of(self.seed, "order", number, seeding=self.seeding)
            order = torch.from_numpy(np.random.default_rng(drawn).permutation(len(order)))
        order = self._shared(order[: len(self) * self.batch_size])
        labels = self._labels[order].to(self.device)
        aspects = None if self._aspects is None else self._aspects[order]
        loaded = self._load(self._rows[order], self._filling(self._rows[order], aspects, generator))
        made = (
            self._finish(images, labels[part], None if aspects is None else aspects[part], generator)
            for part, images in zip(self._parts(len(order)), loaded, strict=True)
        )
        batches = self._made_ahead(made) if self.ahead else made
        for _ in self._parts(len(order)):
            began = time.perf_counter()
            batch = next(batches)
            self.data_wait_s += time.perf_counter() - began
            yield batch

    def _hold(self, images: NDArray[np.uint8], resident: bool | None) -> bool:
        """Map arrays, or hold the split's images on the device, and say which."""
        needed = len(self._rows) * int(np.prod(images.shape[1:]))
        resident = _has_room(self.device, needed) if resident is None else resident
        self._images = torch.from_numpy(images)
        self._ahead = None if resident or not isinstance(images, np.memmap) else ReadAhead(images)
        if resident:
            self._images = _upload(self._images, self._rows, self.device)
            self._rows = torch.arange(len(self._rows))
        return resident

    def _cutting(self, jpegs: Jpegs, threads: int | None) -> Cutter:
        prepared, whole = self.prepared, self.prepared.frame_size
        return Cutter(
            jpegs,
            size=self.image_size,
            frame=whole or prepared.image_size,
            whole=whole is not None,
            channels=prepared.channels,
            threads=threads or torch.get_num_threads(),
        )

    def _check(self, count: int) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if not 1 <= self.image_size <= self.prepared.image_size:
            raise ValueError(f"image_size {self.image_size} is not in 1..{self.prepared.image_size}, the size prepared")
        if self.shuffle and count < self.batch_size:
            raise ValueError(f"batch_size {self.batch_size} is larger than {self.split_name}, {count} images")
        if self.batch_size % self.share[1]:
            raise ValueError(f"batch_size {self.batch_size} cannot be shared evenly by {self.share[1]} processes")

    def _shared(self, order: Tensor) -> Tensor:
        """This process's rows: of each batch a run of neighbours, as a micro-batch is one."""
        mine, shares = self.share
        starts = range(0, len(order), self.batch_size)
        return torch.cat([order[start : start + self.batch_size].tensor_split(shares)[mine] for start in starts])

    def _parts(self, count: int) -> Iterator[slice]:
        size = self.batch_size // self.share[1]
        return (slice(start, start + size) for start in range(0, count, size))

    def _load(self, rows: Tensor, filling: Iterator[Fill]) -> Iterator[Tensor]:
        """Batches (N, H, W, C) uint8 on the device of the images at `rows`."""
        if self.resident:
            rows = rows.to(self.device)
            return (self._images.index_select(0, rows[part]) for part in self._parts(len(rows)))
        if self.device.type == "cpu":
            return (fill(False) for fill in filling)
        # PyTorch keeps what is pinned until it has been copied.
        return (fill(True).to(self.device, non_blocking=True) for fill in filling)

    def _filling(self, rows: Tensor, aspects: Tensor | None, generator: torch.Generator) -> Iterator[Fill]:
        """Batch by batch, what makes its images (N, H, W, C) uint8 on the host, in pinned memory or not."""
        parts = list(self._parts(len(rows)))
        if self._cutter is None:
            shape = self._images.shape[1:]
            return (partial(_picked, self._images, rows[part], shape) for part in self._announced(rows, parts))
        shapes = torch.ones(len(rows)) if aspects is None else aspects
        frame, size = self._cutter.frame, self.image_size
        boxes: Iterator[Tensor]
        if self.augment is not None and self.augment.crop == "resized":
            ahead = torch.Generator()
            ahead.set_state(generator.get_state())
            boxes = boxes_ahead((shapes[part] for part in parts), self.augment, frame, ahead)
        else:
            boxes = (centre_boxes(shapes[part], frame) for part in parts)
        shape = torch.Size((size, size, self.prepared.channels))
        return (partial(_cut, self._cutter, rows[part], box, shape) for part, box in zip(parts, boxes, strict=True))

    def _announced(self, rows: Tensor, parts: Sequence[slice]) -> Iterator[slice]:
        """Give parts, each when the disk has been asked for its rows and those of the next."""
        asked = 0
        for part in parts:
            if self._ahead is not None:
                end = 2 * part.stop - part.start
                self._ahead.ask(rows[asked:end].numpy())
                asked = end
            yield part

    def _made_ahead(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Have batches made in a thread of its own; on a GPU on a stream of its own, behind what is begun now."""
        if self.device.type != "cuda":
            return prefetched(batches, AHEAD)
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self.device))
        return self._arrived(prefetched(self._on(stream, batches), AHEAD))

    def _on(self, stream: torch.cuda.Stream, batches: Iterator[Batch]) -> Iterator[tuple[Batch, torch.cuda.Event]]:
        """Make batches on a stream, each with an event of its end."""
        torch.cuda.set_device(self.device)  # this thread's; pinned memory belongs to a device
        while True:
            with torch.cuda.stream(stream):
                batch = next(batches, None)
                if batch is None:
                    return
                done = stream.record_event()
            yield batch, done

    def _arrived(self, batches: Iterator[tuple[Batch, torch.cuda.Event]]) -> Iterator[Batch]:
        for batch, done in batches:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(done)
            for tensor in batch:
                tensor.record_stream(current)  # or the other stream could reuse its memory too early
            yield batch

    def _finish(self, images: Tensor, labels: Tensor, aspects: Tensor | None, generator: torch.Generator) -> Batch:
        if self.augment is not None:
            given, classes = images.permute(0, 3, 1, 2), self.prepared.num_classes
            images, labels = augment_batch(
                given, labels, self.augment, generator, classes, self.image_size, aspects, self._cutter is not None
            )
            images = images.permute(0, 2, 3, 1)
        elif self._cutter is None:
            images = centres(images, aspects, self.image_size)
        rows = images.reshape(len(images), self.image_size, -1).to(torch.float32).mul_(self._scale).add_(self._shift)
        normalised = rows.view(images.shape).permute(0, 3, 1, 2)  # (N, C, H, W), channels-last in memory
        return normalised if self.channels_last else normalised.contiguous(), labels


def _picked(images: Tensor, rows: Tensor, shape: torch.Size, pinned: bool) -> Tensor:
    if not pinned:
        return images.index_select(0, rows)
    made = torch.empty((len(rows), *shape), dtype=torch.uint8, pin_memory=True)
    torch.index_select(images, 0, rows, out=made)
    return made


def _cut(cutter: Cutter, rows: Tensor, boxes: Tensor, shape: torch.Size, pinned: bool) -> Tensor:
    made = torch.empty((len(rows), *shape), dtype=torch.uint8, pin_memory=pinned)
    cutter.fill(made, rows, boxes)
    return made


def _has_room(device: torch.device, needed: int) -> bool:
    return device.type == "cuda" and needed <= RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]


def _upload(images: Tensor, indices: Tensor, device: torch.device) -> Tensor:
    """The chosen images on the device, copied a part at a time so that the host never holds them all."""
    held = torch.empty((len(indices), *images.shape[1:]), dtype=torch.uint8, device=device)
    for start in range(0, len(indices), 4096):
        held[start : start + 4096] = images.index_select(0, indices[start : start + 4096]).to(device)
    return held
