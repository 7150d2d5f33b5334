"""CutMix, Mixup and random erasing, each image with its own draw. Images are (N, H, W, C)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from nas.data.drawn import on_all, on_drawn, sent

ERASED_AREA = (0.02, 0.4)  # share of the image
ERASED_RATIO = (0.3, 1 / 0.3)  # height over width
# SplitMix64's step and factors, as numbers of 64 bits with a sign: 0x9E37..., 0xBF58..., 0x94D0...
_STEP, _FACTORS = -0x61C8864680B583EB, ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15))


class Rectangles(NamedTuple):
    """One rectangle an image: the pixels whose row and column are both in."""

    rows: Tensor  # (N, H) bool
    columns: Tensor  # (N, W) bool


def soft_labels(labels: Tensor, num_classes: int) -> Tensor:
    """(N,) classes -> (N, num_classes) float32 weights; weights pass through."""
    return labels if labels.dim() == 2 else functional.one_hot(labels, num_classes).to(torch.float32)


def mix(
    images: Tensor, labels: Tensor, mixup_alpha: float, cutmix_alpha: float, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Mixup, CutMix, or, where both are on, Mixup of one half of the batch and CutMix of the other.

    Args:
        images: (N, H, W, C) uint8.
        labels: (N, classes) weights.
        mixup_alpha, cutmix_alpha: 0 = off.
    Returns: the same shapes, images float32 if Mixup is on; labels still sum to 1.
    Source: the halves are those of EfficientNetV2's official code.
    """
    if not cutmix_alpha:
        return mixup(images, labels, mixup_alpha, generator)
    if not mixup_alpha:
        return cutmix(images, labels, cutmix_alpha, generator)
    half, mixed = len(images) // 2, torch.empty_like(images, dtype=torch.float32)
    _, their_labels = mixup(images[:half], labels[:half], mixup_alpha, generator, mixed[:half])
    _, other_labels = cutmix(images[half:], labels[half:], cutmix_alpha, generator, mixed[half:])
    return mixed, torch.cat([their_labels, other_labels])


def mixup(
    images: Tensor, labels: Tensor, alpha: float, generator: torch.Generator | None, target: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Blend each image with its partner, the batch read backwards.

    Args:
        images: (N, H, W, C).
        labels: (N, classes) weights.
        alpha: of Beta(alpha, alpha), from which each image's share is drawn; the larger part stays its own.
        target: what is filled; None = a tensor of its own.
    Returns: the same shapes, float32.
    Source: Zhang et al. 2018 (arXiv:1710.09412), with a share for each image as in EfficientNetV2's official code.
    """
    share = beta(len(images), alpha, generator)
    share = sent(torch.maximum(share, 1 - share), images.device)
    target = torch.empty_like(images, dtype=torch.float32) if target is None else target
    blended = on_all(target, _blend, images, images.flip(0), share)
    return blended, torch.lerp(labels.flip(0), labels, share[:, None])


def _blend(images: Tensor, partners: Tensor, share: Tensor) -> Tensor:
    return torch.lerp(partners.to(torch.float32), images.to(torch.float32), share[:, None, None, None])


def cutmix(
    images: Tensor, labels: Tensor, alpha: float, generator: torch.Generator | None, target: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Paste a rectangle of its partner, the batch read backwards, into each image.

    Args:
        images: (N, H, W, C) uint8.
        labels: (N, classes) weights; mixed by the area pasted.
        alpha: of Beta(alpha, alpha), from which the share an image keeps is drawn, before its rectangle is cut off
            at the image's edge.
        target: what is filled; None = a tensor of its own.
    Source: Yun et al. 2019 (arXiv:1905.04899), with a rectangle for each image.
    """
    n, height, width, _ = images.shape
    side = torch.sqrt(1 - beta(n, alpha, generator))
    centre = torch.rand(2, n, generator=generator)
    box = torch.stack([centre[0] * height, centre[1] * width, side * height, side * width])
    cut = rectangles(height, width, *sent(box, images.device))
    share = 1 - cut.rows.to(torch.float32).mean(1) * cut.columns.to(torch.float32).mean(1)
    target = torch.empty_like(images) if target is None else target
    pasted = on_all(target, paste, images, images.flip(0), *cut)
    return pasted, torch.lerp(labels.flip(0), labels, share[:, None])


def erase(images: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Fill a rectangle of some images with noise.

    Args:
        images: (N, H, W, C) uint8.
        share: probability that an image is erased.
    Source: Zhong et al. 2020 (arXiv:1708.04896), with random values; sides longer than the image are cut to it, where
        the paper draws again.
    """
    n, height, width, _ = images.shape
    drawn, area, ratio, y, x = torch.rand(5, n, generator=generator)
    seeds = torch.empty(n, dtype=torch.int64).random_(-(2**63), None, generator=generator)
    area = ERASED_AREA[0] + (ERASED_AREA[1] - ERASED_AREA[0]) * area
    low, high = (math.log(bound) for bound in ERASED_RATIO)
    ratio = torch.exp(low + (high - low) * ratio)
    tall = (height * torch.sqrt(area * ratio)).clamp(max=height)
    wide = (width * torch.sqrt(area / ratio)).clamp(max=width)
    box = torch.stack([tall / 2 + y * (height - tall), wide / 2 + x * (width - wide), tall, wide])
    cut = rectangles(height, width, *sent(box, images.device))

    def fill(image: Tensor, seed: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        return paste(image, noise_like(image, seed), rows, columns)

    return on_drawn(images.clone(), drawn < share, fill, images, sent(seeds, images.device), *cut)


def rectangles(height: int, width: int, y: Tensor, x: Tensor, tall: Tensor, wide: Tensor) -> Rectangles:
    """Rectangles `tall` by `wide` about (y, x), all (N,) in pixels; what is outside the image is cut off."""
    rows = torch.arange(height, device=y.device) + 0.5
    columns = torch.arange(width, device=x.device) + 0.5
    return Rectangles((rows - y[:, None]).abs() < tall[:, None] / 2, (columns - x[:, None]).abs() < wide[:, None] / 2)


def paste(images: Tensor, others: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Rectangles of `others` in `images`, both (N, H, W, C) uint8; by bits, far quicker on a CPU than `where`."""
    wide = columns.to(torch.uint8).neg().repeat_interleave(images.shape[3], dim=1)  # (N, W * C), 0 or 255
    inside = (rows.to(torch.uint8).neg()[:, :, None] & wide[:, None, :]).view(images.shape)
    return images ^ ((images ^ others) & inside)


def noise_like(images: Tensor, seeds: Tensor) -> Tensor:
    """Uniform uint8 noise, eight levels at a time, the same on every device: each image's is made of its seed alone.

    Args:
        images: (N, H, W, C), whose shape and device count.
        seeds: (N,) int64.
    Source: Steele et al. 2014, SplitMix64: a counter in steps of an odd number, its bits mixed.
    """
    values = images[:1].numel()
    words = seeds[:, None] + torch.arange(-(-values // 8), device=images.device) * _STEP
    for shift, factor in _FACTORS:
        words.bitwise_xor_(_shifted(words, shift)).mul_(factor)
    words.bitwise_xor_(_shifted(words, 31))
    return words.view(torch.uint8)[:, :values].reshape(images.shape)


def _shifted(words: Tensor, bits: int) -> Tensor:
    """Shift right, zeros from the left."""
    return (words >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def beta(n: int, alpha: float, generator: torch.Generator | None) -> Tensor:
    """Draw (n,) float32 numbers from Beta(alpha, alpha), on the host.

    As the ratio of two gamma draws, in logarithms because both underflow to 0 for a small alpha.
    """
    shape = torch.full((2, n), alpha + 1.0)
    boost = torch.rand(2, n, generator=generator).clamp_(min=1e-30).log() / alpha
    first, second = torch._standard_gamma(shape, generator=generator).log() + boost
    return torch.sigmoid(first - second)
