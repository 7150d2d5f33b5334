"""Where crops lie: rectangles drawn in images as they were, given in the squares that hold them squashed.

A rectangle has the same share of the height and of the width in either, so that one number of an image, its width over
its height, is all that must be kept of its shape. Everything here is on the host.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nas.data.settings import AugmentSettings

TRIES = 10  # at a crop that fits


def random_boxes(aspects: Tensor, size: int, settings: AugmentSettings, generator: torch.Generator | None) -> Tensor:
    """Draw a part of each image: uniform in area, log-uniform in width over height.

    The first of ten draws that fits into the image; if none does, the largest part about its centre that has an allowed
    ratio.

    Args:
        aspects: (N,) width over height of the images as they were.
        size: height and width of the squares, pixels.
        settings: share of the area, and ratio in the images as they were.
        generator: on the host; None = its default.
    Returns: (4, N) int64, of each the top, left, height and width in the square, whole pixels.
    Source: Szegedy et al. 2015 (arXiv:1409.4842), section 6; draws, rounding and what none fits as in torchvision's and
        timm's RandomResizedCrop.
    """
    n = len(aspects)
    area, ratio = torch.rand(2, n, TRIES, generator=generator)
    low, high = settings.crop_scale
    area = low + (high - low) * area
    low, high = (math.log(bound) for bound in settings.crop_ratio)
    stretch = torch.sqrt(torch.exp(low + (high - low) * ratio) / aspects[:, None])  # of the square: 1 = a square of it
    sides = torch.stack([torch.sqrt(area) / stretch, torch.sqrt(area) * stretch])  # (2, N, TRIES) shares
    fits = (sides <= 1).all(0)
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    chosen = sides.gather(2, first.expand(2, n, 1))[..., 0]
    whole = _largest(aspects, *settings.crop_ratio)
    pixels = _pixels(torch.where(fits.any(1), chosen, whole), size)
    places = torch.where(fits.any(1), torch.rand(2, n, generator=generator), 0.5)
    starts = (places * (size - pixels + 1)).floor()  # every whole pixel equally likely
    return torch.cat([starts, pixels]).to(torch.int64)


def centre_boxes(aspects: Tensor, size: int) -> Tensor:
    """Give the largest part of each image that was a square, about its centre: as `random_boxes`."""
    pixels = _pixels(_largest(aspects, 1, 1), size)
    return torch.cat([((size - pixels) / 2).floor(), pixels]).to(torch.int64)


def _largest(aspects: Tensor, low: float, high: float) -> Tensor:
    """(2, N) height and width, as shares, of the largest part with a ratio between `low` and `high`."""
    ratio = aspects.clamp(low, high)
    return torch.stack([(aspects / ratio).clamp(max=1), (ratio / aspects).clamp(max=1)])


def _pixels(shares: Tensor, size: int) -> Tensor:
    return (shares * size).round().clamp(1, size)
