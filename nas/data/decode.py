"""One encoded image -> pixels of the size wanted."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

GREY_MODES = frozenset({"1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N"})
_UNKNOWN_RANGE = {"I", "F"}  # 32-bit: no telling which value is white


def open_image(data: bytes | Path | NDArray[np.uint8]) -> Image.Image:
    """Open an image file, its content, or pixels (H, W) or (H, W, 3); only the header is read."""
    if isinstance(data, np.ndarray):
        return Image.fromarray(data)
    return Image.open(io.BytesIO(data) if isinstance(data, bytes) else data)


def pixels(image: Image.Image, image_size: int, channels: int) -> NDArray[np.uint8]:
    """Decode, turn upright, resize the shorter side (bicubic, antialiased) and cut out the centre.

    Args:
        image: as `open_image` gives it.
        image_size: height and width wanted; an image that has them keeps its pixels exactly.
        channels: 1 = grey, 3 = RGB; converted where the image is otherwise.
    Returns: (image_size, image_size, channels).
    Raises: ValueError for a format whose white is unknown; what Pillow raises if it cannot read the image.
    """
    if image.mode in _UNKNOWN_RANGE:
        raise ValueError(f"pixels of 32 bits (mode {image.mode}) have no known range; save them with 8 or 16 bits")
    # A JPEG decoder can halve a large photograph while reading it; twice the size is left for the resize to average.
    image.draft(None, (2 * image_size, 2 * image_size))
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (image_size, image_size):
        image = ImageOps.fit(image, (image_size, image_size), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(image_size, image_size, channels)
