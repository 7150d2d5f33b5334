"""Operations on grey levels, each image with its own argument. Images are (N, H, W, C) uint8.

What Pillow's ImageOps and ImageEnhance do, with their rounding. Whatever maps each channel's level to a level is a
table (N, C, 256), so that any number of such operations is one look-up.
"""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (19595, 38470, 7471)  # Pillow's weights of red, green and blue, in 1 / 65536


def look_up(images: Tensor, tables: Tensor) -> Tensor:
    """Replace every level by what its image's and channel's table (N, C, 256) says."""
    n, height, width, channels = images.shape
    rows = torch.arange(n * channels, dtype=torch.int32, device=images.device).view(n, 1, channels) * 256
    rows = rows.repeat(1, 1, width)  # (N, 1, W * C), long rows add faster than triples
    places = images.reshape(n, height, width * channels).to(torch.int32).add_(rows)
    return tables.reshape(-1).index_select(0, places.view(-1)).view(images.shape)


def identity_tables(images: Tensor) -> Tensor:
    """(N, C, 256) uint8 tables that change nothing."""
    levels = torch.arange(256, dtype=torch.uint8, device=images.device)
    return levels.repeat(images.shape[0], images.shape[3], 1)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Tables that multiply levels by `factor` (N,)."""
    return _spread(images, _blend(torch.zeros_like(factor), factor))


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Tables that multiply the distance from the image's mean grey by `factor` (N,)."""
    mean = grey(images).to(torch.float64).mean((1, 2))
    return _spread(images, _blend(torch.floor(mean + 0.5).to(torch.float32), factor))


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Tables that keep the `bits` (N,) highest bits of a level."""
    mask = 256 - torch.pow(2.0, 8 - bits)
    return _spread(images, _levels(images).to(torch.uint8) & mask.to(torch.uint8)[:, None])


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Tables that invert levels of `threshold` (N,) and above."""
    levels = _levels(images)
    return _spread(images, torch.where(levels < threshold[:, None], levels, 255 - levels))


def solarize_add(images: Tensor, addition: Tensor) -> Tensor:
    """Tables that add `addition` (N,) to levels below 128."""
    levels = _levels(images)
    return _spread(images, torch.where(levels < 128, (levels + addition[:, None]).clamp_(0, 255), levels))


def invert(images: Tensor, _: Tensor) -> Tensor:
    """Tables that turn white into black."""
    return _spread(images, 255 - _levels(images).expand(len(images), 256))


def autocontrast(images: Tensor, _: Tensor) -> Tensor:
    """Tables that stretch each channel's darkest level to 0 and its lightest to 255."""
    present = histogram(images) > 0
    levels = torch.arange(256, dtype=torch.float64, device=images.device)
    low = torch.where(present, levels, 255.0).amin(2, keepdim=True)
    high = torch.where(present, levels, 0.0).amax(2, keepdim=True)
    scale = torch.full_like(high, 255.0) / (high - low)  # a bare 255.0 would be multiplied by a rounded reciprocal
    stretched = (levels * scale - low * scale).clamp_(0, 255)
    return torch.where(high > low, stretched, levels).to(torch.uint8)


def equalize(images: Tensor, _: Tensor) -> Tensor:
    """Tables that make each channel's levels equally frequent."""
    counts = histogram(images)  # (N, C, 256)
    levels = torch.arange(256, dtype=counts.dtype, device=images.device)
    highest = torch.where(counts > 0, levels, -1).amax(2, keepdim=True)
    total = images.shape[1] * images.shape[2]
    step = (total - counts.gather(2, highest)) // 255
    below = counts.cumsum(2) - counts
    evened = ((below + step // 2) // step.clamp(min=1)).clamp_(0, 255)
    return torch.where(step > 0, evened, levels).to(torch.uint8)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply each pixel's distance from its own grey by `factor` (N,): Pillow's Color. Grey images stay."""
    return _mix(grey(images)[..., None], images.to(torch.float32), factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply each pixel's distance from its smoothed neighbourhood by `factor` (N,); the border stays."""
    n, height, width, c = images.shape
    wide = images.reshape(n, height, width * c).to(torch.int16)  # neighbours in a row are C values apart
    three = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    around = three[:, :, : -2 * c] + three[:, :, c:-c] + three[:, :, 2 * c :] + 4 * wide[:, 1:-1, c:-c]
    sharp = wide.to(torch.float32)
    smooth = sharp.clone()
    smooth[:, 1:-1, c:-c] = around.to(torch.float32).mul_(1 / 13).add_(0.5).floor_()
    return _mix(smooth.view(images.shape), sharp.view(images.shape), factor)


def grey(images: Tensor) -> Tensor:
    """(N, H, W) float32 whole levels: Pillow's conversion to greyscale, in numbers that float32 holds exactly."""
    if images.shape[3] == 1:
        return images[..., 0].to(torch.float32)
    red, green, blue = images.to(torch.float32).unbind(3)
    weighted = red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]
    return weighted.add_(0x8000).mul_(2**-16).floor_()


def histogram(images: Tensor) -> Tensor:
    """(N, C, 256) int64: how often each level occurs in each channel."""
    n, _, _, channels = images.shape
    planes = images.permute(0, 3, 1, 2).reshape(n * channels, -1).to(torch.int64)
    one = torch.ones(1, dtype=torch.int64, device=images.device).expand_as(planes)
    counts = torch.zeros(n * channels, 256, dtype=torch.int64, device=images.device)
    return counts.scatter_add_(1, planes, one).view(n, channels, 256)


def _levels(images: Tensor) -> Tensor:
    return torch.arange(256, dtype=torch.float32, device=images.device)[None]


def _blend(base: Tensor, factor: Tensor) -> Tensor:
    """(N, 256) tables base + factor * (level - base), cut to whole levels."""
    levels = torch.arange(256, dtype=torch.float32, device=factor.device)
    return (base[:, None] + factor[:, None] * (levels - base[:, None])).clamp_(0, 255)


def _mix(base: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    mixed = images.sub_(base).mul_(factor[:, None, None, None]).add_(base)
    return mixed.clamp_(0, 255).to(torch.uint8)


def _spread(images: Tensor, tables: Tensor) -> Tensor:
    """(N, 256) tables, one for all channels -> (N, C, 256) uint8."""
    return tables.to(torch.uint8)[:, None].expand(len(images), images.shape[3], 256)
