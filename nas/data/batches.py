"""Batches of a prepared data set on the device, augmented and normalised."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nas.data.augment import augment as augment_batch
from nas.data.prepare import Prepared, SplitName, load_split
from nas.data.settings import AugmentSettings

RESIDENT_SHARE = 0.25  # of the GPU's free memory that a data set may take


class Batches:
    """The batches of one split.

    Args:
        prepared: the data set.
        split_name: train, minival or test.
        batch_size: images a batch.
        device: where batches are wanted.
        augment: what is done to images; None = nothing.
        image_size: height and width wanted, at most that of `prepared`; None = that.
        seed: of order and augmentation, together with the epoch.
        shuffle: draw the order anew each epoch and drop the last, partial batch; None = for train only.
        channels_last: memory format of the images.
        resident: whether the whole split is held on the device; None = on a GPU, if it takes at most a quarter of its
            free memory. What is not resident stays mapped from disk.
    Raises: ValueError if the split is missing or empty, `image_size` too large, or an epoch would have no batch.
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
        shuffle: bool | None = None,
        channels_last: bool = True,
        resident: bool | None = None,
    ) -> None:
        split = load_split(prepared, split_name)
        self.prepared, self.split_name, self.batch_size, self.device = prepared, split_name, batch_size, device
        self.augment, self.image_size, self.seed = augment, image_size or prepared.image_size, seed
        self.shuffle = split_name == "train" if shuffle is None else shuffle
        self.channels_last, self.resident = channels_last, bool(resident)
        self.data_wait_s = 0.0
        self._images = torch.from_numpy(split.images)
        self._labels = torch.from_numpy(split.labels)
        self._indices = split.indices

    def __len__(self) -> int:
        """Batches an epoch."""
        count = len(self._indices)
        return count // self.batch_size if self.shuffle else -(-count // self.batch_size)

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images (N, C, H, W) float32 normalised, labels) of an epoch; the same again for the same number."""
        generator = torch.Generator(self.device).manual_seed(self.seed * 1_000_003 + number)
        order = np.arange(len(self._indices))
        if self.shuffle:
            order = np.random.default_rng((self.seed, number)).permutation(order)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            began = time.perf_counter()
            rows = torch.from_numpy(order[start : start + self.batch_size])
            picked = torch.from_numpy(self._indices)[rows]
            images = self._images[picked].permute(0, 3, 1, 2).to(self.device)
            labels = self._labels[rows].to(self.device)
            batch = self._finish(images, labels, generator)
            self.data_wait_s += time.perf_counter() - began
            yield batch

    def _finish(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        if self.augment:
            images, labels = augment_batch(images, labels, self.augment, generator, self.prepared.num_classes)
        floats = images.to(torch.float32)
        if self.image_size != self.prepared.image_size:
            floats = functional.interpolate(floats, (self.image_size,) * 2, mode="bilinear", antialias=True)
        mean = torch.tensor(self.prepared.mean, device=self.device)[:, None, None]
        std = torch.tensor(self.prepared.std, device=self.device)[:, None, None]
        floats = (floats / 255 - mean) / std
        return floats.contiguous(memory_format=torch.channels_last) if self.channels_last else floats, labels
