"""Operations on grey levels, each image with its own argument. Images are (N, H, W, C) uint8.

What Pillow's ImageOps and ImageEnhance do, with their rounding. Whatever maps each channel's level to a level is a
table (N, C, 256), so that any number of such operations is one look-up.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LUMA = (19595, 38470, 7471)  # Pillow's weights of red, green and blue, in 1 / 65536


def look_up(images: Tensor, tables: Tensor) -> Tensor:
    """Replace every level by what its image's and channel's table (N, C, 256) says."""
    return tables.reshape(-1).index_select(0, _places(images)).view(images.shape)


def identity_tables(n: int, channels: int) -> Tensor:
    """(N, C, 256) uint8 tables that change nothing."""
    return torch.arange(256, dtype=torch.uint8).repeat(n, channels, 1)


# ---- tables (N, 1, 256) that depend on an argument (N,) alone


def brightness(factor: Tensor) -> Tensor:
    """Multiply levels by `factor`."""
    return _blend(torch.zeros_like(factor), factor)


def posterize(bits: Tensor) -> Tensor:
    """Keep the `bits` highest bits of a level."""
    mask = (256 - torch.pow(2.0, 8 - bits)).to(torch.uint8)
    return _levels(bits).to(torch.uint8) & mask[:, None, None]


def solarize(threshold: Tensor) -> Tensor:
    """Invert levels of `threshold` and above."""
    levels = _levels(threshold)
    return torch.where(levels < threshold[:, None, None], levels, 255 - levels).to(torch.uint8)


def solarize_add(addition: Tensor) -> Tensor:
    """Add `addition` to levels below 128."""
    levels = _levels(addition)
    added = (levels + addition[:, None, None]).clamp_(0, 255)
    return torch.where(levels < 128, added, levels).to(torch.uint8)


def invert(nothing: Tensor) -> Tensor:
    """Turn white into black; the argument only says how many images."""
    return (255 - _levels(nothing)).to(torch.uint8).expand(len(nothing), 1, 256)


# ---- tables (N, C or 1, 256) that depend on the image too


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply the distance from the image's mean grey by `factor` (N,)."""
    mean = grey(images).to(torch.float64).mean((1, 2))
    return _blend(torch.floor(mean + 0.5).to(torch.float32), factor)


def autocontrast(images: Tensor, _: Tensor) -> Tensor:
    """Stretch each channel's darkest level to 0 and its lightest to 255."""
    low, high = (extreme(extreme(images, 1), 1)[..., None].to(torch.float64) for extreme in (torch.amin, torch.amax))
    levels = torch.arange(256, dtype=torch.float64, device=images.device)
    scale = torch.full_like(high, 255.0) / (high - low)  # a bare 255.0 would be multiplied by a rounded reciprocal
    stretched = (levels * scale - low * scale).clamp_(0, 255)
    return torch.where(high > low, stretched, levels).to(torch.uint8)


def equalize(images: Tensor, _: Tensor) -> Tensor:
    """Make each channel's levels equally frequent."""
    counts = histogram(images)  # (N, C, 256)
    levels = torch.arange(256, dtype=counts.dtype, device=images.device)
    highest = torch.where(counts > 0, levels, -1).amax(2, keepdim=True)
    total = images.shape[1] * images.shape[2]
    step = (total - counts.gather(2, highest)) // 255
    below = counts.cumsum(2) - counts
    evened = ((below + step // 2) // step.clamp(min=1)).clamp_(0, 255)
    return torch.where(step > 0, evened, levels).to(torch.uint8)


# ---- pixels


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply each pixel's distance from its own grey by `factor` (N,): Pillow's Color. Grey images stay."""
    base, changed = grey(images), torch.empty_like(images)
    for channel in range(images.shape[3]):  # a plane at a time: triples would be added one by one
        changed[..., channel] = _mix(base, images[..., channel].to(torch.float32), factor)
    return changed


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply each pixel's distance from its smoothed neighbourhood by `factor` (N,); the border stays."""
    n, height, width, c = images.shape
    wide = images.reshape(n, height, width * c).to(torch.int16)  # neighbours in a row are C values apart
    three = (wide[:, :-2] + wide[:, 2:]).add_(wide[:, 1:-1])
    around = (three[:, :, : -2 * c] + three[:, :, 2 * c :]).add_(three[:, :, c:-c])
    around.add_(wide[:, 1:-1, c:-c], alpha=4)
    smooth = around.to(torch.float32).mul_(1 / 13).add_(0.5).floor_()
    changed = images.reshape(n, height, width * c).clone()
    changed[:, 1:-1, c:-c] = _mix(smooth, wide[:, 1:-1, c:-c].to(torch.float32), factor)
    return changed.view(images.shape)


def grey(images: Tensor) -> Tensor:
    """(N, H, W) float32 whole levels: Pillow's conversion to greyscale, in numbers that float32 holds exactly."""
    if images.shape[3] == 1:
        return images[..., 0].to(torch.float32)
    red, green, blue = (plane.to(torch.float32) for plane in images.unbind(3))
    weighted = red.mul_(LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])
    return weighted.add_(0x8000).mul_(2**-16).floor_()


def histogram(images: Tensor) -> Tensor:
    """(N, C, 256) int64: how often each level occurs in each channel."""
    count = _count_by_bins if images.device.type == "cpu" else _count_by_scatter
    tables = (len(images), images.shape[3], 256)
    return count(_places(images), math.prod(tables)).view(tables)


def _count_by_bins(places: Tensor, count: int) -> Tensor:
    return torch.bincount(places, minlength=count)  # twice as quick on a CPU, but a GPU would wait for the host


def _count_by_scatter(places: Tensor, count: int) -> Tensor:
    counts = torch.zeros(count, dtype=torch.int64, device=places.device)
    return counts.scatter_add_(0, places.to(torch.int64), torch.ones_like(counts[:1]).expand_as(places))


def _places(images: Tensor) -> Tensor:
    """(N * H * W * C,) int32: where each value's entry is in tables (N, C, 256)."""
    n, height, width, channels = images.shape
    first = torch.arange(n * channels, dtype=torch.int32, device=images.device).view(n, 1, channels) * 256
    rows = images.reshape(n, height, width * channels).to(torch.int32)
    return rows.add_(first.repeat(1, 1, width)).view(-1)  # long rows are added faster than triples


def _levels(like: Tensor) -> Tensor:
    return torch.arange(256, dtype=torch.float32, device=like.device)


def _blend(base: Tensor, factor: Tensor) -> Tensor:
    """(N, 1, 256) tables base + factor * (level - base), cut to whole levels; base and factor (N,)."""
    levels, base = _levels(factor), base[:, None, None]
    return (base + factor[:, None, None] * (levels - base)).clamp_(0, 255).to(torch.uint8)


def _mix(base: Tensor, levels: Tensor, factor: Tensor) -> Tensor:
    """base + factor * (levels - base), all (N, ...) float32; overwrites `levels`."""
    return levels.sub_(base).mul_(factor[:, None, None]).add_(base).clamp_(0, 255)
