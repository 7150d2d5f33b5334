"""Whether images are kept decoded or as JPEGs, where that is left to us."""

from __future__ import annotations

from typing import Literal

ARRAYS_AT_MOST = 50e9  # bytes; beyond it a machine's memory hardly holds them, and each image is a read from the disk
ROOM_SHARE = 0.5  # of what is free on the disk that arrays may take


def chosen(array_bytes: float, free: float) -> tuple[Literal["arrays", "jpeg"], str]:
    """Choose how images are kept, and say why.

    Args:
        array_bytes: that they take, decoded.
        free: bytes, on the disk.

    >>> chosen(2e9, 100e9)
    ('arrays', 'decoded they take 2 GB')
    >>> chosen(142e9, 1e12)
    ('jpeg', 'decoded they would take 142 GB, more than 50 GB')
    >>> chosen(30e9, 40e9)
    ('jpeg', 'decoded they would take 30 GB of the 40 GB free')
    """
    if array_bytes > ARRAYS_AT_MOST:
        return "jpeg", f"decoded they would take {array_bytes / 1e9:.3g} GB, more than {ARRAYS_AT_MOST / 1e9:g} GB"
    if array_bytes > ROOM_SHARE * free:
        return "jpeg", f"decoded they would take {array_bytes / 1e9:.3g} GB of the {free / 1e9:.3g} GB free"
    return "arrays", f"decoded they take {array_bytes / 1e9:.3g} GB"
