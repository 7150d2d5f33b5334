"""Accuracy and loss of a network over batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nas.training.workers import ALONE, Workers


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
    workers: Workers = ALONE,
) -> Evaluation:
    """Evaluate a network, in evaluation mode and left in the mode it was in; the device is waited for once, at the end.

    Args:
        batches: (images (N, C, H, W), labels (N,)) on the network's device; every image counts the same.
        dtype: compute under autocast in this type; None = as the weights are.
        channels_last: the memory format that the network is in.
        workers: those that evaluate together, each with batches of its own: all get the whole result.
    Raises: ValueError if there is no image.
    """
    was_training = network.training
    network.eval()
    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    sums = torch.zeros(3, dtype=torch.float64, device=device)  # images right, summed loss, images
    with torch.inference_mode():
        for images, labels in batches:
            if channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            with torch.autocast(images.device.type, dtype, enabled=dtype is not None):
                logits = network(images).float()
            loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
            sums[0] += (logits.argmax(1) == labels).sum()
            sums[1] += loss
            sums[2] += len(images)
    network.train(was_training)
    right, loss_sum, count = workers.sum(sums).tolist()
    if not count:
        raise ValueError("there are no images to evaluate on")
    return Evaluation(right / count, loss_sum / count, int(count))
