"""Images of more than 8 bits a value: the values they hold, and 8 bits made of them by one range for the data set.

A container says little of its content: cameras keep 10 or 12 bits in 16, and many a tool writes 0..255 into them. White
is therefore sought in the training images, all of them together: a range of each image's own would lose its brightness.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.PpmImagePlugin import PpmImageFile

Range = tuple[float, float]  # the values of black and of white
BITS = (8, 10, 12, 14, 16)  # what sensors and files have; the range found is the smallest that holds every value
WIDE_GREY_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_WHITE_IS_ZERO, _PHOTOMETRIC = 0, 262  # a TIFF's tag; Pillow heeds it for 8 bits alone
_BITS_PER_SAMPLE, _PLANE = 258, ("R;16", "C;16")  # the latter: the first of a TIFF's planes, as Pillow calls them
_OTHER_BYTE = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


@dataclass(frozen=True)
class Held:
    """The extremes of the values of some wide images."""

    low: float
    high: float
    whole: bool  # numbers, without fractions


def wide_values(data: bytes | Path | NDArray[np.uint8], image: Image.Image) -> NDArray[Any] | None:
    """Give the values of an image that has more than 8 bits each, upright and undiminished; None if it has 8.

    Args:
        data: the image file's content, the file, or pixels.
        image: as `open_image` gives it; only its header is read if it has 8 bits.
    Returns: (H, W), or (H, W, C) where C is 3 (RGB) or 4 (CMYK); transparency is left out.
    """
    if image.mode in WIDE_GREY_MODES:
        return np.asarray(ImageOps.exif_transpose(image))
    if isinstance(data, np.ndarray):
        return None
    raw = raw_mode(image)
    if isinstance(image, PpmImageFile):
        return _ppm(data, image)
    if raw == "LA;16B":  # the four bytes of a pixel taken for red, green, blue and transparency
        values = _bytes(data, "RGBA")
        return values[..., 0] * 256 + values[..., 1]
    if raw[:-1] not in ("RGB;16", "RGBX;16", "RGBA;16", "CMYK;16", *_PLANE):
        return None
    # Pillow has no mode for these and keeps the upper byte; asked for the other byte order, it keeps the lower one.
    values = _bytes(data, raw) * 256 + _bytes(data, raw[:-1] + _OTHER_BYTE[raw[-1]])
    return values if raw.startswith("C") else values[..., :3]


def raw_mode(image: Image.Image) -> str:
    """How the pixels of an image lie in its file, in Pillow's words; nothing if they are not wide, or it tells not."""
    tiles = getattr(image, "tile", None) if image.format in ("PNG", "TIFF") else None
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    if first in ("R", "C") and max(image.tag_v2.get(_BITS_PER_SAMPLE, (8,))) == 16:  # type: ignore[attr-defined]
        # Pillow takes the planes of an uncompressed TIFF for bytes: upper and lower ones become neighbouring pixels.
        return f"{first};16{'L' if image.tag_v2.prefix == b'II' else 'B'}"  # type: ignore[attr-defined]
    return first if isinstance(first, str) and ";16" in first else ""


def held(values: NDArray[Any]) -> Held:
    """Say what the values of an image lie between. Raises: ValueError if one is no number."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("has values that are no finite numbers")
    return Held(low, high, bool(np.issubdtype(values.dtype, np.integer)))


def all_of(images: Iterable[Held | None]) -> Held | None:
    """Say what the values of several images lie between; None if none of them is wide."""
    wide = [each for each in images if each is not None]
    if not wide:
        return None
    return Held(min(w.low for w in wide), max(w.high for w in wide), all(w.whole for w in wide))


def range_of(images: Held, part: str) -> Range:
    """Find the range of wide images: from 0 to the largest number of the fewest bits that hold every value.

    Args:
        part: whose images they are, for messages.
    Raises: ValueError if no value is known to be white: numbers below 0, above 16 bits, or with fractions.
    """
    if images.low < 0 or images.high >= 2 ** BITS[-1] or not images.whole:
        raise ValueError(
            f"the {part} images hold values from {images.low:g} to {images.high:g}, of which none is known to be black "
            "or white: set data.value_range to [black, white]"
        )
    return 0.0, float(2 ** next(bits for bits in BITS if images.high < 2**bits) - 1)


def narrowed(values: NDArray[Any], value_range: Range, image: Image.Image | None = None) -> Image.Image:
    """Make 8 bits of an image's values: black becomes 0, white 255, what lies beyond them too.

    Args:
        values: (H, W), (H, W, 1), (H, W, 3) or, of CMYK, (H, W, 4).
        image: where they are from.
    """
    low, high = value_range
    # Each of the 256 levels stands for as many numbers as any other: 16 bits lose their lower byte, 8 bits nothing.
    span = high - low + (1 if np.issubdtype(values.dtype, np.integer) else 0)
    levels = np.clip((values - np.float64(low)) * (256 / span), 0, 255).astype(np.uint8)
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO and values.dtype != np.uint8:
        levels = 255 - levels
    if levels.ndim == 3 and levels.shape[2] == 4:
        return Image.frombytes("CMYK", (levels.shape[1], levels.shape[0]), levels.tobytes())
    return Image.fromarray(levels[..., 0] if levels.ndim == 3 and levels.shape[2] == 1 else levels)


def _bytes(data: bytes | Path, raw: str) -> NDArray[np.uint16]:
    """Decode a file as if its pixels lay as `raw` says."""
    with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data) as image:
        image.tile = [_as(tile, raw) for tile in image.tile]
        return np.asarray(ImageOps.exif_transpose(image)).astype(np.uint16)


def _as(tile: Any, raw: str) -> Any:
    if raw[:-1] in _PLANE:
        raw = tile[3][0] + raw[1:]  # each plane has a letter of its own
    arguments = (raw, *tile[3][1:]) if isinstance(tile[3], tuple) else raw
    return tile._replace(args=arguments) if hasattr(tile, "_replace") else (*tile[:3], arguments)


def _ppm(data: bytes | Path, image: PpmImageFile) -> NDArray[np.uint16] | None:
    """Read colour of more than 8 bits, scaled to 16 bits as Pillow does it with grey: its file says what is white."""
    decoder, _, offset, arguments = image.tile[0]
    if not isinstance(arguments, tuple) or arguments[0] != "RGB" or arguments[1] <= 255:
        return None
    content = (data if isinstance(data, bytes) else data.read_bytes())[offset:]
    count = image.width * image.height * 3
    if decoder == "ppm_plain":
        values = np.array(re.sub(rb"#[^\r\n]*", b"", content).split()[:count], np.int64)
    else:
        values = np.frombuffer(content, ">u2", count).astype(np.int64)
    scaled: NDArray[np.uint16] = np.rint(values * (65535 / arguments[1])).astype(np.uint16)
    return scaled.reshape(image.height, image.width, 3)
