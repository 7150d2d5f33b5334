"""The training loop that most people write: the baseline of `training.py`, and nothing else.

A map-style Dataset of decoded images, PIL transforms of one image at a time in DataLoader workers, an eager network,
plain SGD. The transforms do what torchvision's RandomCrop(padding), RandomHorizontalFlip, ToTensor and Normalize do
with PIL images. The images are already decoded and resized, which is kind to this loop: no file is read, no JPEG
decoded.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, RandomSampler

from nas.data.prepare import Prepared, load_split


class Images(Dataset[tuple[Tensor, int]]):
    """Images of a prepared train split, augmented one by one with PIL."""

    def __init__(self, prepared: Prepared, padding: int) -> None:
        split = load_split(prepared, "train")
        self.images: NDArray[np.uint8] = split.images[split.indices]  # (N, H, W, C), in memory
        self.labels = split.labels
        self.padding = padding
        self.mean = torch.tensor(prepared.mean)[:, None, None]
        self.std = torch.tensor(prepared.std)[:, None, None]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.images[index])
        size = image.width
        image = ImageOps.expand(image, border=self.padding, fill=0)
        left, top = random.randint(0, 2 * self.padding), random.randint(0, 2 * self.padding)
        image = image.crop((left, top, left + size, top + size))
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        return tensor.sub_(self.mean).div_(self.std), int(self.labels[index])


def train_usually(
    network: nn.Module,
    prepared: Prepared,
    *,
    batch_size: int,
    padding: int,
    workers: int,
    device: torch.device,
    tuned: bool,
    between_steps: Callable[[], None],
) -> None:
    """Train for ever; `between_steps` is called before each step.

    Args:
        padding: pixels on each side before the random crop.
        tuned: what a careful user adds: channels_last, and bf16 autocast on a GPU.
    """
    data = Images(prepared, padding)
    loader = DataLoader(
        data,
        batch_size,
        sampler=RandomSampler(data, replacement=True, num_samples=10**9),  # one endless epoch: no pause between epochs
        num_workers=workers,
        pin_memory=device.type == "cuda",
        drop_last=True,
    )
    memory_format = torch.channels_last if tuned else torch.contiguous_format
    network.to(device, memory_format=memory_format).train()  # type: ignore[call-overload]
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-5)
    amp = tuned and device.type == "cuda"
    for images, labels in loader:
        between_steps()
        images = images.to(device, memory_format=memory_format, non_blocking=True)
        labels = labels.to(device, non_blocking=True)
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=amp):
            loss = loss_of(network(images), labels)
        loss.backward()
        optimizer.step()
