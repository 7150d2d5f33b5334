"""RandAugment: each image gets its own random operations; how strong they are is one number that may grow with time.

Source: Cubuk et al. 2020 (arXiv:1909.13719), with the operations of EfficientNetV2's official code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from nas.data import colour, geometry
from nas.data.drawn import on_drawn
from nas.data.mixing import paste, rectangles
from nas.data.policies import POLICIES, argument

FILL = 128  # grey level of what an operation leaves empty

TABLES = {  # of the argument alone
    "invert": colour.invert,
    "posterize": colour.posterize,
    "solarize": colour.solarize,
    "solarize_add": colour.solarize_add,
    "brightness": colour.brightness,
}
IMAGE_TABLES = {  # of the image and the argument
    "autocontrast": colour.autocontrast,
    "equalize": colour.equalize,
    "contrast": colour.contrast,
}
GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
PIXELS = {"saturation": colour.saturation, "sharpness": colour.sharpness}
# Numbered by kind, so that images sorted by operation are sorted by kind.
OPERATIONS = (*GEOMETRIC, *TABLES, *IMAGE_TABLES, *PIXELS, "cutout")


def randaugment(
    images: Tensor, layers: int, magnitude: float, policy: str, generator: torch.Generator | None
) -> Tensor:
    """Apply `layers` random operations to each image.

    Args:
        images: (N, H, W, C) uint8, H = W.
        layers: operations an image gets, one after the other.
        magnitude: how strong, >= 0; 10 = AutoAugment's full range.
        policy: a key of POLICIES.
        generator: of every draw.
    Returns: (N, H, W, C) uint8.
    """
    names, size = [name for name in OPERATIONS if name in POLICIES[policy]], images.shape[2]
    place = torch.arange(len(images), device=images.device)
    for _ in range(layers):
        draws = torch.rand(2, len(images), generator=generator, device=images.device)
        # Images that drew the same become neighbours, which a CPU can work on without picking them out.
        chosen, order = (draws[0] * len(names)).to(torch.int64).sort()
        images, place = images.index_select(0, order), place.index_select(0, order)
        drawn = {name: chosen == i for i, name in enumerate(names)}
        low, high = ({name: argument(policy, name, magnitude, sign, size) for name in names} for sign in (-1, 1))
        values = {name: torch.where(draws[1] < 0.5, low[name], high[name]) for name in names}
        images = apply(images, drawn, values, generator)
    return images.index_select(0, place.argsort())


def apply(
    images: Tensor, drawn: Mapping[str, Tensor], values: Mapping[str, Tensor], generator: torch.Generator | None
) -> Tensor:
    """Apply to each image the operation that it drew.

    Args:
        images: (N, H, W, C) uint8; changed in place on a CPU.
        drawn: operation -> (N,) bool, at most one of them true for an image.
        values: operation -> (N,) its argument.
    """
    moved = _any(drawn, GEOMETRIC)
    images = on_drawn(images, moved, partial(geometry.warp, fill=FILL), images, _matrices(images, drawn, values))
    tables = colour.identity_tables(images)
    for name, table in TABLES.items():
        tables = on_drawn(tables, drawn[name], table, values[name])
    for name, image_table in IMAGE_TABLES.items():
        tables = on_drawn(tables, drawn[name], image_table, images, values[name])
    images = on_drawn(images, _any(drawn, (*TABLES, *IMAGE_TABLES)), colour.look_up, images, tables)
    for name, change in PIXELS.items():
        images = on_drawn(images, drawn[name], change, images, values[name])
    if "cutout" in drawn:
        images = cutout(images, drawn["cutout"], values["cutout"], generator)
    return images


def cutout(images: Tensor, drawn: Tensor, side: Tensor, generator: torch.Generator | None) -> Tensor:
    """Fill one square of each drawn image, `side` (N,) its share of the width, centred anywhere."""
    n, height, width, _ = images.shape
    centre = torch.rand(2, n, generator=generator, device=images.device)
    hole = rectangles(height, width, centre[0] * height, centre[1] * width, side * height, side * width)
    blank = images.new_full((1, height, width, images.shape[3]), FILL)
    return on_drawn(images, drawn, lambda image, *where: paste(image, blank, *where), images, *hole)


def _matrices(images: Tensor, drawn: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> Tensor:
    size = images.shape[2]
    angle, shear_x, shear_y, move_x, move_y = (torch.where(drawn[name], values[name], 0.0) for name in GEOMETRIC)
    return geometry.matrices(angle, shear_x, shear_y, move_x * size, move_y * size, size)


def _any(drawn: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
    return torch.stack([drawn[name] for name in names]).any(0)
