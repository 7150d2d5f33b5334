"""Mixup, CutMix and random erasing on a batch, each image with its own draw; no host synchronisation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def soft_labels(labels: Tensor, num_classes: int) -> Tensor:
    """(N,) classes -> (N, num_classes) float32 weights; weights pass through."""
    if labels.dim() == 2:
        return labels
    return functional.one_hot(labels, num_classes).to(torch.float32)


def mixup(images: Tensor, labels: Tensor, alpha: float, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Blend each image with its partner, the batch read backwards.

    Args:
        images: (N, C, H, W) float.
        labels: (N, classes) weights.
        alpha: of Beta(alpha, alpha), from which each image's share is drawn.
    Source: Zhang et al. 2018 (arXiv:1710.09412); share per image and partner as in EfficientNetV2's official code.
    """
    share = beta(len(images), alpha, generator, images.device)
    share = torch.maximum(share, 1 - share)
    blended = torch.lerp(images.flip(0), images, share.to(images.dtype)[:, None, None, None])
    return blended, torch.lerp(labels.flip(0), labels, share[:, None])


def cutmix(images: Tensor, labels: Tensor, alpha: float, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Paste a rectangle of its partner, the batch read backwards, into each image.

    Args: as for `mixup`; the area left of an image is drawn from Beta(alpha, alpha), less what falls outside.
    Source: Yun et al. 2019 (arXiv:1905.04899), rectangle per image.
    """
    n, _, height, width = images.shape
    side = torch.sqrt(1 - beta(n, alpha, generator, images.device))
    inside = rectangles(n, height, width, side * height, side * width, generator)  # (N, H, W)
    pasted = torch.where(inside[:, None], images.flip(0), images)
    share = 1 - inside.to(torch.float32).mean((1, 2))
    return pasted, torch.lerp(labels.flip(0), labels, share[:, None])


def rectangles(
    n: int, height: int, width: int, tall: Tensor, wide: Tensor, generator: torch.Generator | None
) -> Tensor:
    """Mask (N, H, W) of one rectangle an image, `tall` and `wide` pixels (N,), centred anywhere, cut off at the edge."""
    device = tall.device
    centre = torch.rand(2, n, generator=generator, device=device)
    y, x = centre[0] * height, centre[1] * width
    rows = torch.arange(height, device=device) + 0.5
    columns = torch.arange(width, device=device) + 0.5
    in_rows = (rows - y[:, None]).abs() < tall[:, None] / 2
    in_columns = (columns - x[:, None]).abs() < wide[:, None] / 2
    return in_rows[:, :, None] & in_columns[:, None, :]


def beta(n: int, alpha: float, generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Draw (n,) float32 numbers from Beta(alpha, alpha).

    As the ratio of two gamma draws in logarithms: for a small alpha both underflow to 0.
    """
    shape = torch.full((2, n), alpha + 1.0, device=device)
    boost = torch.rand(2, n, generator=generator, device=device).clamp_(min=1e-30).log() / alpha
    first, second = torch._standard_gamma(shape, generator=generator).log() + boost
    return torch.sigmoid(first - second)
