"""Augmentation of a batch on its device: each image draws for itself, and an operation runs on its own images alone.

What is done to which image is drawn on the host, from one stream; the device only computes, and nobody waits for it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nas.data import crops, geometry, mixing
from nas.data.drawn import sent
from nas.data.randaugment import randaugment
from nas.data.settings import AugmentSettings


def augment(
    images: Tensor,
    labels: Tensor,
    settings: AugmentSettings,
    generator: torch.Generator | None,
    num_classes: int,
    image_size: int | None = None,
    aspects: Tensor | None = None,
    is_cut: bool = False,
) -> tuple[Tensor, Tensor]:
    """Crop, flip, RandAugment, erase, Mixup and CutMix a training batch, in this order.

    Args:
        images: (N, C, H, W) grey levels 0..255, uint8 or float, H = W; quickest if uint8 and channels-last.
        labels: (N,) classes, or (N, num_classes) weights.
        settings: what to do and how strongly; may change from call to call.
        generator: of every draw, on the host; None = its default.
        num_classes: width of soft labels.
        image_size: height and width wanted; None = as given.
        aspects: (N,) on the host, width over height of images that are squashed here; None = they are not.
        is_cut: whether images were cut out and resized before; what said where is drawn again (nas/data/cut_jpegs.py).
    Returns: grey levels (N, C, image_size, image_size), channels-last, uint8, or float32 with Mixup; labels as given,
        or (N, num_classes) float32 if `settings.mixes`.
    """
    size = image_size or images.shape[-1]
    if images.dtype != torch.uint8:
        images = images.round().clamp(0, 255).to(torch.uint8)
    pixels = images.permute(0, 2, 3, 1).contiguous()  # (N, H, W, C): no copy if channels-last
    pixels = _cut(pixels, settings, size, generator, aspects, is_cut)
    if settings.randaugment_magnitude and settings.randaugment_layers:
        layers, magnitude = settings.randaugment_layers, settings.randaugment_magnitude
        pixels = randaugment(pixels, layers, magnitude, settings.randaugment_policy, generator)
    if settings.erasing:
        pixels = mixing.erase(pixels, settings.erasing, generator)
    if settings.mixes:
        labels = mixing.soft_labels(labels, num_classes)
        pixels, labels = mixing.mix(pixels, labels, settings.mixup_alpha, settings.cutmix_alpha, generator)
    return pixels.permute(0, 3, 1, 2), labels


def _cut(
    pixels: Tensor,
    settings: AugmentSettings,
    size: int,
    generator: torch.Generator | None,
    aspects: Tensor | None,
    is_cut: bool,
) -> Tensor:
    """Crop, resize and flip: (N, H, W, C) -> (N, size, size, C)."""
    n, given = len(pixels), pixels.shape[1]
    if settings.crop == "resized":
        shapes = torch.ones(n) if aspects is None else aspects
        boxes = crops.random_boxes(shapes, given, settings, generator)
        pixels = pixels if is_cut else geometry.resized_crop(pixels, boxes, size)
    elif not is_cut:
        pixels = centres(pixels, aspects, size)
    padding = round(settings.crop_padding * size / 32) if settings.crop == "pad" else 0
    if padding:
        top, left = sent(torch.randint(0, 2 * padding + 1, (2, n), generator=generator), pixels.device)
        pixels = geometry.crop(pixels, padding, top, left)
    if settings.flip:
        pixels = geometry.flip(pixels, torch.rand(n, generator=generator) < 0.5)
    return pixels


def centres(pixels: Tensor, aspects: Tensor | None, size: int) -> Tensor:
    """Resize images (N, H, W, C) uint8 to (N, size, size, C): of whole ones, squashed, the centre alone.

    Args:
        aspects: (N,) width over height before squashing, on the host; None = images are centres already.
    """
    if aspects is not None:
        return geometry.resized_crop(pixels, crops.centre_boxes(aspects, pixels.shape[1]), size)
    return pixels if pixels.shape[1] == size else geometry.resize(pixels, size)
