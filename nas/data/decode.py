"""One encoded image -> pixels of the size wanted."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from nas.data.sources.records import Encoded
from nas.data.wide import WIDE_GREY_MODES, Held, Range, held, narrowed, raw_mode, wide_values

_CHANNELS = ((), (1,), (3,))  # what the shape of an array may end in behind height and width
GREY_MODES = WIDE_GREY_MODES | {"1", "L", "LA", "La"}


class Refused(ValueError):
    """An image that can be read, but not with these settings."""


@dataclass(frozen=True)
class Decoding:
    """How the images of a data set become pixels."""

    image_size: int  # height and width of what is kept, pixels
    channels: int  # 1 = grey, 3 = RGB
    grey_only: bool = False  # whether colour is refused
    given_range: Range | None = None  # black and white of every image, as the settings say
    found_range: Range | None = None  # of images of more than 8 bits; None = not known yet: they are measured
    whole: bool = False  # squash the whole image into the square, instead of cutting out its centre


class Decoded(NamedTuple):
    """What came of one image."""

    pixels: NDArray[np.uint8] | None  # (image_size, image_size, channels); None: wide, while the range is not known
    wide: Held | None = None  # what the values of an image of more than 8 bits lie between
    first_of_several: bool = False  # whether its file has more frames
    aspect: float = 1.0  # width over height, of the whole image, upright
    content: bytes | None = None  # of the JPEG that is kept in place of pixels
    levels: NDArray[np.int64] | None = None  # (channels, 256): of that JPEG, how many values are of each level


Keep = Callable[[Encoded, Image.Image, Decoding, Held | None], Decoded]


def decode(data: Encoded, how: Decoding, keep: Keep | None = None) -> Decoded:
    """Decode one image.

    Args:
        keep: makes of the image, open and of 8 bits, what is kept of it; None = the pixels of a square.
    Raises: Refused for colour where it is refused; what Pillow raises if it cannot read the image.
    """
    _check_kind(data)
    if isinstance(data, np.ndarray) and data.dtype.itemsize > 1:
        return _from_values(data, data, how, is_grey(data), None, keep or _kept)
    with open_image(data) as image:
        grey = _is_grey(image)
        # Telephones keep a second picture, a depth map say, in an MPO: it is no frame.
        several = bool(getattr(image, "is_animated", False)) and image.format != "MPO"
        values = wide_values(data, image)
        if values is None and how.given_range is None:
            _check_colour(grey, how)
            return (keep or _kept)(data, image, how, None)._replace(first_of_several=several)
        if values is None:
            values = np.asarray(ImageOps.exif_transpose(image).convert("L" if grey else "RGB"))
        made = _from_values(data, values, how, grey, image, keep or _kept)
        return made._replace(first_of_several=several)


def _check_kind(data: Encoded) -> None:
    """Raise Refused for what no reader may give. Four channels of 16 bits, say, would be taken for CMYK."""
    if not isinstance(data, bytes | Path | np.ndarray):
        raise Refused(f"is a {type(data).__name__}: a Path, bytes or an array is needed")
    if isinstance(data, np.ndarray) and (data.size == 0 or data.ndim not in (2, 3) or data.shape[2:] not in _CHANNELS):
        raise Refused(f"is an array of shape {data.shape}: (H, W), (H, W, 1) or (H, W, 3) is needed")


def is_grey(data: Encoded) -> bool:
    """Whether an image has no colour, by its header or shape."""
    if isinstance(data, np.ndarray):
        return data.ndim == 2 or data.shape[2] == 1
    with open_image(data) as image:
        return _is_grey(image)


def longest_side(data: Encoded) -> int:
    """Width or height of an image, whichever is more, by its header or shape."""
    if isinstance(data, np.ndarray):
        return int(max(data.shape[:2]))
    with open_image(data) as image:
        return max(image.size)


def shorter_side(data: Encoded) -> int:
    """Width or height of an image, whichever is less, by its header or shape."""
    if isinstance(data, np.ndarray):
        return int(min(data.shape[:2]))
    with open_image(data) as image:
        return min(image.size)


def open_image(data: bytes | Path | NDArray[np.uint8]) -> Image.Image:
    """Open an image file, its content, or pixels (H, W), (H, W, 1) or (H, W, 3); only the header is read."""
    if isinstance(data, np.ndarray):
        return Image.fromarray(data[..., 0] if data.ndim == 3 and data.shape[2] == 1 else data)
    return Image.open(io.BytesIO(data) if isinstance(data, bytes) else data)


def pixels(image: Image.Image, image_size: int, channels: int) -> NDArray[np.uint8]:
    """Decode, turn upright, resize the shorter side (bicubic, antialiased) and cut out the centre.

    Args:
        image: of 8 bits a value at most, as `open_image` or `narrowed` gives it.
        image_size: height and width wanted; an image that has them keeps its pixels exactly.
        channels: 1 = grey, 3 = RGB; converted where the image is otherwise.
    Returns: (image_size, image_size, channels).
    Raises: ValueError for an image of more bits; what Pillow raises if it cannot read the image.
    """
    image = upright(image, image_size, channels)
    if image.size != (image_size, image_size):
        image = ImageOps.fit(image, (image_size, image_size), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(image_size, image_size, channels)


def squashed(image: Image.Image, image_size: int, channels: int) -> NDArray[np.uint8]:
    """Decode, turn upright and resize the whole image to a square, whatever its shape; else as `pixels`.

    Lanczos's filter keeps more of what is fine than a bicubic one, and what is cut out of this is resized once more.
    """
    image = upright(image, image_size, channels).resize((image_size, image_size), Image.Resampling.LANCZOS)
    return np.asarray(image).reshape(image_size, image_size, channels)


def upright(image: Image.Image, image_size: int, channels: int) -> Image.Image:
    """Decode an image and turn it upright; a JPEG is halved while it is read as long as `image_size` is kept twice."""
    if image.mode in WIDE_GREY_MODES:
        raise ValueError(f"values of more than 8 bits (mode {image.mode}) have no known range")
    # A JPEG decoder can halve a large photograph while reading it; twice the size is left for the resize to average.
    image.draft(None, (2 * image_size, 2 * image_size))
    ImageOps.exif_transpose(image, in_place=True)
    if isinstance(image.info.get("transparency"), bytes):
        image = image.convert("RGBA")  # Pillow would warn of each such palette
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)  # which would copy: 4 % of the time a JPEG takes


def _kept(data: Encoded, image: Image.Image, how: Decoding, between: Held | None) -> Decoded:
    made = (squashed if how.whole else pixels)(image, how.image_size, how.channels)
    return Decoded(made, between, aspect=image.width / image.height)  # the image has been turned by now


def _from_values(
    data: Encoded, values: NDArray[Any], how: Decoding, grey: bool, image: Image.Image | None, keep: Keep
) -> Decoded:
    _check_colour(grey, how)
    between = held(values)
    if (value_range := how.given_range or how.found_range) is None:
        return Decoded(None, between)
    return keep(data, narrowed(values, value_range, image), how, between)


def _is_grey(image: Image.Image) -> bool:
    return image.mode in GREY_MODES or raw_mode(image).startswith("LA")


def _check_colour(grey: bool, how: Decoding) -> None:
    if how.grey_only and not grey:
        raise Refused("is in colour, while the images looked at first are grey: set channels to 3 or 1")
