"""RandAugment: each image gets its own random operations; how strong they are is one number that may grow with time.

Source: Cubuk et al. 2020 (arXiv:1909.13719), with the operations of EfficientNetV2's official code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from nas.data import colour, geometry
from nas.data.drawn import on_drawn, sent
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
        generator: of every draw, on the host.
    Returns: (N, H, W, C) uint8.
    """
    names, device = [name for name in OPERATIONS if name in POLICIES[policy]], images.device
    each = ((argument(policy, name, magnitude, sign, images.shape[2]) for sign in (-1, 1)) for name in names)
    arguments = torch.tensor([list(pair) for pair in each], dtype=torch.float64)
    place = torch.arange(len(images))
    for _ in range(layers):
        draws = torch.rand(2, len(images), generator=generator)
        # Images that drew the same become neighbours, which are worked on without picking them out.
        chosen, order = (draws[0] * len(names)).to(torch.int64).sort()
        images, place = images.index_select(0, sent(order, device)), place[order]
        drawn = {name: chosen == i for i, name in enumerate(names)}
        images = apply(images, drawn, arguments[chosen, (draws[1] >= 0.5).to(torch.int64)], generator)
    return images.index_select(0, sent(place.argsort(), device))


def apply(
    images: Tensor, drawn: Mapping[str, Tensor], values: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Apply to each image the operation that it drew.

    Args:
        images: (N, H, W, C) uint8; changed in place.
        drawn: operation -> (N,) bool, on the host, at most one of them true for an image.
        values: (N,) float64, on the host, of each image's operation its argument.
    """
    moves, factors = sent(_matrices(drawn, values, images.shape[2]), images.device), values.to(torch.float32)
    on_drawn(images, _any(drawn, GEOMETRIC), partial(geometry.warp, fill=FILL), images, moves)
    _map_levels(images, drawn, factors)
    arguments = sent(factors, images.device)
    for name, change in PIXELS.items():
        on_drawn(images, drawn[name], change, images, arguments)
    if "cutout" in drawn:
        cutout(images, drawn["cutout"], factors, generator)
    return images


def cutout(images: Tensor, drawn: Tensor, side: Tensor, generator: torch.Generator | None) -> Tensor:
    """Fill one square of each drawn image, in place; `side` (N,) its share of the width, centred anywhere."""
    n, height, width, _ = images.shape
    centre = torch.rand(2, n, generator=generator)
    box = torch.stack([centre[0] * height, centre[1] * width, side * height, side * width])
    hole = rectangles(height, width, *sent(box, images.device))
    blank = images.new_full((1, height, width, images.shape[3]), FILL)
    return on_drawn(images, drawn, lambda image, *where: paste(image, blank, *where), images, *hole)


def _map_levels(images: Tensor, drawn: Mapping[str, Tensor], values: Tensor) -> None:
    """Do all operations that are tables: those of the argument alone are made on the host."""
    n, channels, device = images.shape[0], images.shape[3], images.device
    tables = colour.identity_tables(n, channels)
    for name, table in TABLES.items():
        on_drawn(tables, drawn[name], table, values)
    tables, values = sent(tables, device), sent(values, device)
    for name, image_table in IMAGE_TABLES.items():
        on_drawn(tables, drawn[name], image_table, images, values)
    on_drawn(images, _any(drawn, (*TABLES, *IMAGE_TABLES)), colour.look_up, images, tables)


def _matrices(drawn: Mapping[str, Tensor], values: Tensor, size: int) -> Tensor:
    angle, shear_x, shear_y, move_x, move_y = (torch.where(drawn[name], values, 0.0) for name in GEOMETRIC)
    return geometry.matrices(angle, shear_x, shear_y, move_x * size, move_y * size, size)


def _any(drawn: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
    return torch.stack([drawn[name] for name in names]).any(0)
