"""Where pixels come from: crops, flips, affine warps and resizes, each image with its own. Images are (N, H, W, C)."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from nas.data.drawn import on_all, on_drawn, sent

_ONE = 1 << 16  # Pillow's fixed-point unit of coordinates


def crop(images: Tensor, padding: int, top: Tensor, left: Tensor) -> Tensor:
    """Pad with black and cut out at (top, left).

    Args:
        images: (N, H, W, C).
        padding: pixels on each side.
        top, left: (N,) int64, of the cut in the padded image, 0..2 * padding.
    Returns: (N, H, W, C).
    """
    n, height, width, channels = images.shape
    padded = functional.pad(images, (0, 0, padding, padding, padding, padding))
    tall, wide = height + 2 * padding, width + 2 * padding
    # Every run of `width` pixels, wherever it starts, as a row of a table that overlaps itself.
    runs = padded.as_strided((n * tall * wide - width + 1, width * channels), (channels, 1))
    rows = top[:, None] + torch.arange(height, device=images.device)  # (N, H)
    rows = rows + torch.arange(n, device=images.device)[:, None] * tall
    return runs[rows * wide + left[:, None]].view(images.shape)


def flip(images: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror those images (N, H, W, C) left-right that `mirrored` (N,), on the host, says."""
    return on_drawn(images.clone(), mirrored, lambda image: image.flip(2), images)


def warp(images: Tensor, matrices: Tensor, fill: int) -> Tensor:
    """Move pixels as Pillow's `transform(size, AFFINE, matrix)` does: nearest neighbour, exactly its arithmetic.

    Args:
        images: (N, H, W, C) uint8.
        matrices: (N, 6) float64; output pixel (x, y) shows input (a x + b y + c, d x + e y + f).
        fill: grey level of what comes from outside.
    """
    n, height, width, channels = images.shape
    a, b, c, d, e, f = matrices.unbind(1)
    x, y = torch.arange(width, device=images.device), torch.arange(height, device=images.device)
    # One pixel of border holds the fill; what is further out is clamped onto it.
    u = _coordinate(a, b, c, x, y).clamp_(-1, width)  # (N, H, W)
    v = _coordinate(d, e, f, x, y).clamp_(-1, height)
    stride = width + 2
    first = torch.arange(n, dtype=torch.int32, device=images.device) * ((height + 2) * stride) + stride + 1
    places = u.add_(v, alpha=stride).add_(first[:, None, None])
    padded = functional.pad(images, (0, 0, 1, 1, 1, 1), value=fill).reshape(-1, channels)
    return padded.index_select(0, places.view(-1)).view(n, height, width, channels)


def _coordinate(by_x: Tensor, by_y: Tensor, offset: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(N, H, W) int32: the input's column or row for every output pixel, from three (N,) coefficients."""
    start = _fixed(offset + 0.5 * by_x + 0.5 * by_y)
    along_x = start[:, None] + _fixed(by_x)[:, None] * x.to(torch.int32)
    along_y = _fixed(by_y)[:, None] * y.to(torch.int32)
    return (along_x[:, None, :] + along_y[:, :, None]).bitwise_right_shift_(16)


def _fixed(value: Tensor) -> Tensor:
    return torch.floor(value * _ONE + 0.5).to(torch.int32)


def matrices(angle: Tensor, shear_x: Tensor, shear_y: Tensor, move_x: Tensor, move_y: Tensor, size: int) -> Tensor:
    """Matrices (N, 6) float64 for `warp` of square images; each image has at most one argument that is not 0.

    Args: (N,) each: angle in degrees, counter-clockwise about the centre; shears as slopes; moves in pixels.
    """
    radians = angle.to(torch.float64) * (-math.pi / 180)
    cos, sin, half = torch.cos(radians), torch.sin(radians), size / 2
    return torch.stack(
        [
            cos,
            sin + shear_x,
            half - half * cos - half * sin + move_x,
            -sin + shear_y,
            cos,
            half + half * sin - half * cos + move_y,
        ],
        1,
    )


def resized_crop(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cut a rectangle out of each image and resize it to a square: Pillow's `crop`, then antialiased bilinear `resize`.

    A CPU takes one image after the other, which is ten times quicker there than a GPU's way: rows, then columns are
    mixed by one matrix an image, so that many images are two batched matrix products.

    Args:
        images: (N, H, W, C) uint8.
        boxes: (4, N) int64, on the host, top, left, height and width of the rectangles, in pixels, inside the image.
        size: height and width wanted.
    Returns: (N, size, size, C) uint8.
    """
    done = images.new_empty(len(images), size, size, images.shape[3])
    if images.device.type != "cpu":
        place = sent(boxes.T.to(torch.float32), images.device)
        return on_all(done, partial(_resized_by_matrices, size), images, place)
    for image, target, (top, left, height, width) in zip(images, done, boxes.T.tolist(), strict=True):
        part = image[top : top + height, left : left + width].permute(2, 0, 1)[None]
        target.copy_(functional.interpolate(part, (size, size), mode="bilinear", antialias=True)[0].permute(1, 2, 0))
    return done


def _resized_by_matrices(size: int, images: Tensor, boxes: Tensor) -> Tensor:
    n, rows, columns, channels = images.shape
    top, left, height, width = boxes.unbind(1)
    across = bilinear_weights(left, width, columns, size)  # (N, size, W)
    down = bilinear_weights(top, height, rows, size)  # (N, size, H)
    planes = images.permute(0, 3, 1, 2).reshape(n, channels * rows, columns).to(torch.float32)
    mixed = torch.bmm(planes, across.transpose(1, 2)).view(n, channels, rows, size)
    mixed = torch.matmul(down[:, None], mixed)  # (N, C, size, size)
    return mixed.add_(0.5).clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def bilinear_weights(start: Tensor, length: Tensor, count: int, size: int) -> Tensor:
    """(N, size, count) float32: what each of `count` pixels gives to each of `size` that cover start..start+length.

    A triangle as wide as two output pixels, or two input pixels if those are larger, of the pixels inside alone; each
    row sums to 1.
    """
    step = length / size
    reach = step.clamp(min=1.0)
    centre = start[:, None] + (torch.arange(size, device=start.device) + 0.5) * step[:, None]  # (N, size)
    pixels = torch.arange(count, device=start.device) + 0.5
    weights = (1 - (pixels - centre[:, :, None]).abs() / reach[:, None, None]).clamp_(min=0.0)
    inside = (pixels > start[:, None]) & (pixels < (start + length)[:, None])  # (N, count)
    weights.mul_(inside[:, None])
    return weights / weights.sum(2, keepdim=True)


def resize(images: Tensor, size: int) -> Tensor:
    """Resize (N, H, W, C) uint8 squares to (N, size, size, C), bilinear and antialiased."""
    return on_all(images.new_empty(len(images), size, size, images.shape[3]), partial(_resized, size), images)


def _resized(size: int, images: Tensor) -> Tensor:
    planes = images.permute(0, 3, 1, 2).to(torch.float32)
    small = functional.interpolate(planes, (size, size), mode="bilinear", antialias=True)
    return small.add_(0.5).clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
