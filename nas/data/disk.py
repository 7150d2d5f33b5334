"""How images are kept, and how much disk they take, told before any is read. No torch."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from nas.data.settings import DataSettings, Known
from nas.data.storage import chosen

# Bytes a pixel of photographs in colour at a quality, measured on those of two data sets; grey ones take three quarters
_QUALITIES, _BYTES = (50, 75, 85, 90, 95), (0.14, 0.22, 0.29, 0.36, 0.5)
_ASPECT = 4 / 3  # longer side over shorter, of photographs


class Kept(NamedTuple):
    """How images would be kept."""

    storage: Literal["arrays", "jpeg"]
    each: float  # bytes of an image; of JPEGs an estimate
    why: str  # of `auto`, where it is JPEGs; else empty


def disk_use(settings: DataSettings, image_size: int, frame_size: int | None, known: Known | None = None) -> str:
    """Say in one line how a data set would be kept.

    Args:
        image_size, frame_size: as `prepare` is given them, pixels.
        known: of the data set; None = what is known without reading it.
    """
    known = known or settings.known
    whole = settings.decode_size or frame_size
    side = max(image_size, whole or 0)
    images, channels = (known.images, known.channels) if known else (None, 3)
    kept = kept_as(settings, image_size, frame_size, channels, images)
    what = f"whole images at {side} px or less" if whole else f"centres at {image_size} px"
    total = "" if images is None else f", {short_bytes(kept.each * images)} for {images:,}"
    if kept.storage == "arrays":
        return f"{what}: {short_bytes(kept.each)} each{total}"
    quality = "JPEG files as they are" if settings.jpeg_quality is None else f"quality {settings.jpeg_quality}"
    size = "" if settings.jpeg_size is None else f", shorter side {settings.jpeg_size} px or less"
    why = f"; {kept.why}" if kept.why else ""
    return f"JPEGs, for {what}{size}, {quality}: about {short_bytes(kept.each)} each{total}{why}"


def kept_as(settings: DataSettings, image_size: int, frame_size: int | None, channels: int, images: int | None) -> Kept:
    """Say how images would be kept, were they not kept already.

    Args:
        image_size, frame_size: as `prepare` is given them, pixels.
        channels: of the images, where the settings do not say.
        images: of all parts; None = not known: arrays, unless the settings say otherwise.
    """
    side, channels = max(image_size, settings.decode_size or frame_size or 0), settings.channels or channels
    array = side**2 * channels
    storage, why = settings.storage, ""
    if storage == "auto":
        storage, why = chosen(array * (images or 0), free_bytes(settings.cache))
    if storage == "arrays":
        return Kept("arrays", array, "")
    pixels = (settings.jpeg_size or side) ** 2 * _ASPECT
    quality = settings.jpeg_quality or 95
    return Kept("jpeg", pixels * float(np.interp(quality, _QUALITIES, _BYTES)) * (1 if channels == 3 else 0.75), why)


def free_bytes(folder: Path) -> int:
    """Give the room on the disk where a folder is, or will be."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def short_bytes(count: float) -> str:
    """A number of bytes as people read it."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
