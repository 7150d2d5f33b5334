"""Images of a mapped array asked of the disk before they are wanted, side by side: alone it gives a page at a time."""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ReadAhead:
    """Has the system read rows of a mapped array into its memory, and does not wait.

    Args:
        array: (N, ...), as `numpy.load` maps it.
    """

    def __init__(self, array: np.memmap[Any, Any]) -> None:
        self._first, self._each = array.offset, array.itemsize * int(np.prod(array.shape[1:]))  # bytes
        self._descriptor = os.open(str(array.filename), os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        weakref.finalize(self, os.close, self._descriptor)

    def ask(self, rows: NDArray[np.int64]) -> None:
        """Ask for rows; a system that cannot read ahead reads them when they are wanted."""
        if hasattr(os, "posix_fadvise"):  # not on macOS
            with suppress(OSError):  # a file system that does not know it
                for row in rows.tolist():
                    start = self._first + row * self._each
                    os.posix_fadvise(self._descriptor, start, self._each, os.POSIX_FADV_WILLNEED)
