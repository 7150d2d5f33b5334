"""Crops, flips, warps and resizes move pixels as Pillow does."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from torch import Tensor

from nas.data import geometry


def noise(n: int, size: int, channels: int = 3) -> Tensor:
    return torch.from_numpy(np.random.default_rng(size).integers(0, 256, (n, size, size, channels), dtype=np.uint8))


def smooth(n: int, size: int, channels: int = 3) -> Tensor:
    small = noise(n, 7, channels).numpy()
    large = [
        np.asarray(Image.fromarray(image.squeeze()).resize((size, size), Image.Resampling.BICUBIC)) for image in small
    ]
    return torch.from_numpy(np.stack(large)).view(n, size, size, channels)


def pillow(image: Tensor) -> Image.Image:
    return Image.fromarray(image.squeeze(-1).numpy())


def tensor(image: Image.Image, channels: int) -> Tensor:
    return torch.from_numpy(np.array(image)).view(*reversed(image.size), channels)


def transformed(image: Tensor, matrix: tuple[float, ...]) -> Tensor:
    channels = image.shape[2]
    fill = (128,) * channels if channels > 1 else 128
    done = pillow(image).transform(image.shape[1::-1], Image.Transform.AFFINE, matrix, fillcolor=fill)
    return tensor(done, channels)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.floats(-1.5, 1.5)] * 2, st.floats(-40, 40), *[st.floats(-1.5, 1.5)] * 2, st.floats(-40, 40)),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([8, 17, 32]),
    st.sampled_from([1, 3]),
)
def test_warp_is_pillows_affine_transform(given: list[tuple[float, ...]], size: int, channels: int) -> None:
    """A warp equals Pillow's AFFINE transform to the pixel for any matrix, a different one for each image."""
    images = noise(len(given), size, channels)
    warped = geometry.warp(images, torch.tensor(given, dtype=torch.float64), 128)
    for image, ours, matrix in zip(images, warped, given, strict=True):
        if matrix[1] or matrix[3]:  # Pillow has a path of its own, with other rounding, for those that only scale
            assert torch.equal(ours, transformed(image, matrix))


@pytest.mark.parametrize("angle", [-75.0, -30.0, -7.3, 12.0, 30.0])
def test_rotation_is_pillows(angle: float) -> None:
    """Rotation turns about the image's centre, in Pillow's direction, and fills with grey."""
    images = noise(1, 32)
    zero = torch.zeros(1)
    turned = geometry.warp(images, geometry.matrices(torch.tensor([angle]), zero, zero, zero, zero, 32), 128)
    theirs = tensor(pillow(images[0]).rotate(angle, fillcolor=(128, 128, 128)), 3)
    assert (turned[0] != theirs).any(2).float().mean() < 0.005  # a pixel on the edge of rounding may differ


@pytest.mark.parametrize(("which", "value", "matrix"), [
    ("shear_x", 0.3, (1, 0.3, 0, 0, 1, 0)),
    ("shear_y", -0.2, (1, 0, 0, -0.2, 1, 0)),
    ("move_x", 9.0, (1, 0, 9, 0, 1, 0)),
    ("move_y", -5.0, (1, 0, 0, 0, 1, -5)),
])  # fmt: skip
def test_shears_and_moves_are_pillows(which: str, value: float, matrix: tuple[float, ...]) -> None:
    """Shears and translations are Pillow's affine matrices of the field's definitions."""
    images = noise(2, 32)
    zero = torch.zeros(2)
    names = ("angle", "shear_x", "shear_y", "move_x", "move_y")
    moved = geometry.warp(images, geometry.matrices(*(zero + value * (n == which) for n in names), 32), 128)
    for image, ours in zip(images, moved, strict=True):
        assert torch.equal(ours, transformed(image, matrix))


def test_no_argument_is_no_change() -> None:
    """With every argument 0 a warp returns the very pixels."""
    images = noise(3, 32)
    zero = torch.zeros(3)
    assert torch.equal(geometry.warp(images, geometry.matrices(zero, zero, zero, zero, zero, 32), 128), images)


@pytest.mark.parametrize("channels", [1, 3])
def test_crop_is_pillows(channels: int) -> None:
    """Padding and cutting give what expand and crop give, for each image its own, to the farthest corners."""
    images = noise(5, 16, channels)
    top, left = torch.tensor([0, 3, 6, 2, 6]), torch.tensor([6, 0, 3, 5, 6])
    done = geometry.crop(images, 3, top, left)
    for image, ours, y, x in zip(images, done, top.tolist(), left.tolist(), strict=True):
        theirs = ImageOps.expand(pillow(image), 3, fill=0).crop((x, y, x + 16, y + 16))
        assert torch.equal(ours, tensor(theirs, channels))


@pytest.mark.parametrize("channels", [1, 3])
def test_flip_is_pillows(channels: int) -> None:
    """Mirroring gives what mirror gives, in the images that are to be mirrored, and spares the given ones."""
    images = noise(4, 16, channels)
    before, mirrored = images.clone(), torch.tensor([True, False, False, True])
    done = geometry.flip(images, mirrored)
    assert torch.equal(images, before)
    for image, ours, turned in zip(images, done, mirrored, strict=True):
        theirs = ImageOps.mirror(pillow(image)) if turned else pillow(image)
        assert torch.equal(ours, tensor(theirs, channels))


@pytest.mark.parametrize("by_matrices", [False, True])
@pytest.mark.parametrize("size", [9, 16, 32, 48])
def test_resized_crop_is_pillows(size: int, by_matrices: bool) -> None:
    """Cutting a part out and resizing it equals Pillow's crop and antialiased bilinear resize to one level, a GPU's
    way, too; nothing outside of the part is looked at."""
    images = torch.cat([smooth(2, 32), noise(2, 32)])
    top, left = torch.tensor([0, 3, 10, 1]), torch.tensor([0, 7, 2, 9])
    height, width = torch.tensor([32, 20, 13, 31]), torch.tensor([32, 12, 25, 22])
    if by_matrices:
        done = geometry._resized_by_matrices(size, images, torch.stack([top, left, height, width], 1).float())
    else:
        done = geometry.resized_crop(images, torch.stack([top, left, height, width]), size)
    for i in range(4):
        part = images[i, top[i] : top[i] + height[i], left[i] : left[i] + width[i]]
        theirs = tensor(pillow(part).resize((size, size), Image.Resampling.BILINEAR), 3)
        assert (done[i].int() - theirs.int()).abs().max() <= 1


def test_resize_is_antialiased() -> None:
    """Shrinking averages: a fine checkerboard becomes grey, as in Pillow, instead of black or white."""
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 255
    images = board.to(torch.uint8)[None, :, :, None]
    done = geometry.resize(images, 8)
    assert done[:, 1:-1, 1:-1].float().sub(127.5).abs().max() <= 1
    images = smooth(2, 40)
    for image, ours in zip(images, geometry.resize(images, 16), strict=True):
        theirs = tensor(pillow(image).resize((16, 16), Image.Resampling.BILINEAR), 3)
        assert (ours.int() - theirs.int()).abs().max() <= 1


@given(st.integers(0, 20), st.integers(1, 12), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_weights_sum_to_one(start: int, length: int, size: int) -> None:
    """However small or large the part, no pixel of a resize is brighter or darker than the image."""
    weights = geometry.bilinear_weights(torch.tensor([float(start)]), torch.tensor([float(length)]), 33, size)
    assert weights.shape == (1, size, 33)
    assert math.isclose(weights.sum(2).min().item(), 1, abs_tol=1e-5)
    assert math.isclose(weights.sum(2).max().item(), 1, abs_tol=1e-5)
