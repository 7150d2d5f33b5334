"""How much disk decoded images take, told before any is read. No torch."""

from __future__ import annotations

from nas.data.settings import DataSettings


def disk_use(settings: DataSettings, image_size: int, frame_size: int | None) -> str:
    """Say in one line how a data set would be kept.

    Args:
        image_size, frame_size: as `prepare` is given them, pixels.
    """
    known = settings.known
    whole = settings.decode_size or frame_size
    side = max(image_size, whole or 0)
    each = bytes_each(settings, image_size, frame_size, known.channels if known else 3)
    kept = f"whole images at {side} px or less" if whole else f"centres at {image_size} px"
    total = "" if known is None else f", {short_bytes(each * known.images)} for {known.images:,}"
    return f"{kept}: {short_bytes(each)} each{total}"


def bytes_each(settings: DataSettings, image_size: int, frame_size: int | None, channels: int) -> int:
    """Give the bytes that a decoded image takes.

    Args:
        image_size, frame_size: as `prepare` is given them, pixels.
        channels: of the images, where the settings do not say.
    """
    return max(image_size, settings.decode_size or frame_size or 0) ** 2 * (settings.channels or channels)


def short_bytes(count: float) -> str:
    """A number of bytes as people read it."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
