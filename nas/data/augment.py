"""Augmentation of a batch on its device: each image draws for itself, no loop over images, no host synchronisation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nas.data import mixing
from nas.data.settings import AugmentSettings


def augment(
    images: Tensor, labels: Tensor, settings: AugmentSettings, generator: torch.Generator | None, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Crop, flip, RandAugment, erase, Mixup and CutMix a training batch.

    Args:
        images: (N, C, H, W) grey levels 0..255, uint8 or float.
        labels: (N,) classes, or (N, num_classes) weights.
        settings: what to do and how strongly; may change from call to call.
        generator: of every draw, on the images' device; None = that device's default.
        num_classes: width of soft labels.
    Returns: images of the same shape, uint8, or float32 if `settings.mixes`; labels as given, or soft if it mixes.
    """
    if images.dtype != torch.uint8:
        images = images.round().clamp(0, 255).to(torch.uint8)
    n, device = len(images), images.device
    if settings.crop == "pad":
        images = pad_crop(images, settings.crop_padding, generator)
    if settings.flip:
        mirrored = torch.rand(n, generator=generator, device=device) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    if not settings.mixes:
        return images, labels
    floats, weights = images.to(torch.float32), mixing.soft_labels(labels, num_classes)
    if settings.mixup_alpha:
        floats, weights = mixing.mixup(floats, weights, settings.mixup_alpha, generator)
    if settings.cutmix_alpha:
        floats, weights = mixing.cutmix(floats, weights, settings.cutmix_alpha, generator)
    return floats, weights


def pad_crop(images: Tensor, padding: int, generator: torch.Generator | None) -> Tensor:
    """Pad with black and cut out at a random offset: (N, C, H, W) -> the same shape."""
    n, _, height, width = images.shape
    pad = round(padding * height / 32)
    padded = functional.pad(images, (pad, pad, pad, pad))
    offset = torch.randint(0, 2 * pad + 1, (2, n), generator=generator, device=images.device)
    rows = offset[0][:, None] + torch.arange(height, device=images.device)
    columns = offset[1][:, None] + torch.arange(width, device=images.device)
    which = torch.arange(n, device=images.device)[:, None, None]
    cut = padded.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]]  # (N, H, W, C)
    return cut.permute(0, 3, 1, 2)
