"""Accuracy and loss of a network over batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Evaluation(NamedTuple):
    """How a network does on a split: top-1 accuracy in [0, 1], mean cross entropy (no label smoothing), images."""

    accuracy: float
    loss: float
    images: int


def evaluate(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    dtype: torch.dtype | None = None,
    channels_last: bool = True,
) -> Evaluation:
    """Evaluate a network, in evaluation mode and left in the mode it was in; the device is waited for once, at the end.

    Args:
        batches: (images (N, C, H, W), labels (N,)) on the network's device; every image counts the same.
        dtype: compute under autocast in this type; None = as the weights are.
        channels_last: the memory format that the network is in.
    Raises: ValueError if there is no image.
    """
    was_training = network.training
    network.eval()
    sums: Tensor | None = None  # (2,): images right, summed loss
    count = 0
    with torch.inference_mode():
        for images, labels in batches:
            if channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            with torch.autocast(images.device.type, dtype, enabled=dtype is not None):
                logits = network(images).float()
            loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
            batch = torch.stack([(logits.argmax(1) == labels).sum().to(loss.dtype), loss]).double()
            sums = batch if sums is None else sums + batch
            count += len(images)
    network.train(was_training)
    if sums is None or not count:
        raise ValueError("there are no images to evaluate on")
    right, loss_sum = sums.tolist()
    return Evaluation(right / count, loss_sum / count, count)
