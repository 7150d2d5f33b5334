"""Augmentation of a batch on its device: each image draws for itself, and an operation runs on its own images alone.

What is done to which image is drawn on the host, from one stream; the device only computes, and nobody waits for it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nas.data import geometry, mixing
from nas.data.drawn import sent
from nas.data.randaugment import randaugment
from nas.data.settings import AugmentSettings

TRIES = 10  # at a crop that fits


def augment(
    images: Tensor,
    labels: Tensor,
    settings: AugmentSettings,
    generator: torch.Generator | None,
    num_classes: int,
    image_size: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Crop, flip, RandAugment, erase, Mixup and CutMix a training batch, in this order.

    Args:
        images: (N, C, H, W) grey levels 0..255, uint8 or float, H = W; quickest if uint8 and channels-last.
        labels: (N,) classes, or (N, num_classes) weights.
        settings: what to do and how strongly; may change from call to call.
        generator: of every draw, on the host; None = its default.
        num_classes: width of soft labels.
        image_size: height and width wanted; None = as given.
    Returns: grey levels (N, C, image_size, image_size), channels-last, uint8, or float32 with Mixup; labels as given,
        or (N, num_classes) float32 if `settings.mixes`.
    """
    size = image_size or images.shape[-1]
    if images.dtype != torch.uint8:
        images = images.round().clamp(0, 255).to(torch.uint8)
    pixels = images.permute(0, 2, 3, 1).contiguous()  # (N, H, W, C): no copy if channels-last
    pixels = _cut(pixels, settings, size, generator)
    if settings.randaugment_magnitude and settings.randaugment_layers:
        layers, magnitude = settings.randaugment_layers, settings.randaugment_magnitude
        pixels = randaugment(pixels, layers, magnitude, settings.randaugment_policy, generator)
    if settings.erasing:
        pixels = mixing.erase(pixels, settings.erasing, generator)
    if settings.mixes:
        labels = mixing.soft_labels(labels, num_classes)
        pixels, labels = mixing.mix(pixels, labels, settings.mixup_alpha, settings.cutmix_alpha, generator)
    return pixels.permute(0, 3, 1, 2), labels


def _cut(pixels: Tensor, settings: AugmentSettings, size: int, generator: torch.Generator | None) -> Tensor:
    """Crop, resize and flip: (N, H, W, C) -> (N, size, size, C)."""
    n, given = len(pixels), pixels.shape[1]
    if settings.crop == "resized":
        pixels = geometry.resized_crop(pixels, *_rectangle(n, given, settings, generator), size)
    elif given != size:
        pixels = geometry.resize(pixels, size)
    padding = round(settings.crop_padding * size / 32) if settings.crop == "pad" else 0
    if padding:
        top, left = sent(torch.randint(0, 2 * padding + 1, (2, n), generator=generator), pixels.device)
        pixels = geometry.crop(pixels, padding, top, left)
    if settings.flip:
        pixels = geometry.flip(pixels, torch.rand(n, generator=generator) < 0.5)
    return pixels


def _rectangle(
    n: int, size: int, settings: AugmentSettings, generator: torch.Generator | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Top, left, height and width (N,) int64 of a random part of a square: uniform in area and log-uniform in ratio.

    The first of ten draws that fits into the image; the whole image if none does.
    Source: Szegedy et al. 2015 (arXiv:1409.4842), section 6; ten draws as in the usual implementations.
    """
    area, ratio = torch.rand(2, n, TRIES, generator=generator)
    low, high = settings.crop_scale
    area = low + (high - low) * area
    low, high = (math.log(bound) for bound in settings.crop_ratio)
    ratio = torch.exp(low + (high - low) * ratio)
    sides = torch.stack([torch.sqrt(area / ratio), torch.sqrt(area * ratio)])  # (2, N, TRIES)
    fits = (sides <= 1).all(0)
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    chosen = sides.gather(2, first.expand(2, n, 1))[..., 0]
    sides = (size * torch.where(fits.any(1), chosen, 1.0)).round().clamp_(min=1)
    starts = (torch.rand(2, n, generator=generator) * (size - sides + 1)).floor()  # every whole pixel equally likely
    top, left, height, width = torch.cat([starts, sides]).to(torch.int64)
    return top, left, height, width
