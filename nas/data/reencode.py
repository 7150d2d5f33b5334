"""The JPEG that is kept of an image."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.data.decode import Decoded, Decoding, open_image, upright
from nas.data.sources.records import Encoded
from nas.data.wide import Held

QUALITY = 95  # of what is no JPEG, where JPEGs stay as they are
_ORIENTATION, _TURNED = 0x0112, 5  # EXIF's tag, and from which value on width and height change places
_MODES = {1: ("L",), 3: ("L", "RGB")}  # of JPEGs that may stay as they are, by the channels wanted


def as_jpeg(
    data: Encoded, image: Image.Image, how: Decoding, between: Held | None, *, size: int, quality: int | None
) -> Decoded:
    """Make the JPEG that is kept of one image: upright, its shorter side at most `size`, never enlarged.

    A JPEG file of that size which is no larger in bytes than it would become stays as it is.

    Args:
        data: what the image was opened from.
        image: as `open_image` gives it, or made of its values where these have more than 8 bits.
        how: as it would be decoded for arrays: its shape is taken at the same size, so that the same crops are drawn
            whichever way images are kept.
        size: pixels.
        quality: 1..95; None = JPEG files stay as they are, whatever their size.
    """
    own = None if between else _own(data, image, how.channels)
    stays = own is not None and quality is None
    before = image.size
    made = upright(image, how.image_size if stays else max(how.image_size, size), how.channels)
    aspect = made.width / made.height if stays or size <= how.image_size else _aspect(data, made, how.image_size)
    content = own
    if not stays:
        made = _smaller(made, size)
        content = _encoded(made, QUALITY if quality is None else quality)
        if own is not None and made.size == before and len(own) <= len(content):
            content = own
    return Decoded(None, between, aspect=aspect, content=content, levels=_levels(made, how))


def _own(data: Encoded, image: Image.Image, channels: int) -> bytes | None:
    """Give the bytes of a JPEG file whose pixels lie upright, in the mode wanted or one that becomes it; else None."""
    if isinstance(data, np.ndarray) or image.format != "JPEG" or image.mode not in _MODES[channels]:
        return None
    if image.getexif().get(_ORIENTATION, 1) > 1:
        return None
    return data.read_bytes() if isinstance(data, Path) else data


def _aspect(data: Encoded, made: Image.Image, image_size: int) -> float:
    """Width over height as arrays would have it: a large JPEG is halved while it is read, and its sides are rounded."""
    if isinstance(data, np.ndarray):
        return made.width / made.height
    with open_image(data) as image:
        image.draft(None, (2 * image_size, 2 * image_size))
        width, height = image.size
        return height / width if image.getexif().get(_ORIENTATION, 1) >= _TURNED else width / height


def _smaller(image: Image.Image, size: int) -> Image.Image:
    shorter = min(image.size)
    if shorter <= size:
        return image
    width, height = (max(1, round(side * size / shorter)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _encoded(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _levels(image: Image.Image, how: Decoding) -> NDArray[np.int64]:
    """(channels, 256): how many values are of each level, of the part that arrays would hold."""
    if not how.whole:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    return levels_of(image)


def levels_of(image: Image.Image) -> NDArray[np.int64]:
    """(channels, 256): how many values of an image are of each level."""
    return np.array(image.histogram(), np.int64).reshape(-1, 256)
