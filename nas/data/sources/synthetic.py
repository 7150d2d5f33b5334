"""Made-up images: what training costs without a data set's files, or to try things before there are any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.settings import DataSettings
from nas.data.sources.records import Encoded, Images, Source
from search_space.lookup import with_hint

# Options and their defaults; `size`: height and width, pixels.
DEFAULTS = {"images": 2048, "test": 0, "classes": 10, "size": 64}
_LEAST = {"images": 1, "test": 0, "classes": 2, "size": 1}
_NOISE = 40  # levels that an image's noise deviates by


def identity(settings: DataSettings) -> dict[str, Any]:
    """Tell what is made. Raises: ValueError for an option that is not known, or out of range."""
    return {"synthetic": _options(settings)}


def read(settings: DataSettings, scratch: Path, progress: bool) -> Source:
    """Make images, each class of a colour and a slope of its own under noise: they can be learnt.

    Raises: ValueError for an option that is not known, or out of range.
    """
    options = _options(settings)
    classes, size = options["classes"], options["size"]
    names = tuple(f"class {number}" for number in range(classes))
    train = _part(options["images"], classes, size, 0)
    return Source(classes, names, train, _part(options["test"], classes, size, 1) if options["test"] else None)


def _options(settings: DataSettings) -> dict[str, int]:
    for name, value in settings.options.items():
        if name not in DEFAULTS:
            raise ValueError(f"unknown option of source synthetic: {with_hint(name, DEFAULTS)}")
        if not isinstance(value, int) or isinstance(value, bool) or value < _LEAST[name]:
            raise ValueError(f"data.options.{name} must be a whole number of at least {_LEAST[name]}, got {value!r}")
    return DEFAULTS | settings.options


def _part(count: int, classes: int, size: int, part: int) -> Images:
    labels = np.arange(count, dtype=np.int64) % classes

    def read(start: int, stop: int) -> list[Encoded]:
        return [_image(int(labels[number]), size, (part, number)) for number in range(start, stop)]

    return Images(labels, read, lambda number: f"synthetic image {number}")


def _image(label: int, size: int, seed: tuple[int, int]) -> NDArray[np.uint8]:
    of_class, own = np.random.default_rng(label), np.random.default_rng(seed)
    colour, slope = of_class.uniform(64, 192, 3), of_class.uniform(-60, 60, (2, 3))
    across = np.linspace(-1, 1, size)
    values = colour + across[:, None, None] * slope[0] + across[None, :, None] * slope[1]
    pixels: NDArray[np.uint8] = np.clip(values + own.normal(0, _NOISE, (size, size, 3)), 0, 255).astype(np.uint8)
    return pixels
