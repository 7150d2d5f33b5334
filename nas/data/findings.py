"""What preparing a data set finds that whoever uses it should know: each a line, or a refusal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from nas.data.wide import Held, Range

FEW_LEVELS = 32  # or fewer, of 256, hint at a range that is not the images'


def about_levels(
    levels: NDArray[np.int64], wide: Mapping[str, Held | None], value_range: Range | None
) -> Iterator[str]:
    """Say where the range of black and white does not suit the images.

    Args:
        levels: (channels, 256): how many values of the training images are of each level.
        wide: what the images of more than 8 bits hold, a part each.
        value_range: that became 0..255; None = 0..255 itself.
    Raises: ValueError if the training images are of one level.
    """
    used = np.flatnonzero(levels.sum(axis=0))
    scaled = f" ({value_range[0]:g}..{value_range[1]:g} became 0..255)" if value_range else ""
    if len(used) == 1:
        raise ValueError(f"the training images are all of one level, {used[0]} of 0..255{scaled}")
    # A few levels from black to white are a drawing's; but a range that was found may be that of a single stray value.
    if len(used) <= FEW_LEVELS and (value_range or (used[0], used[-1]) != (0, 255)):
        few = f"the training images have {len(used)} levels, within {used[0]}..{used[-1]}{scaled}"
        yield f"{few}: if white is another value, set data.value_range to [black, white]"
    test = wide.get("test")
    if value_range and test and not wide["train"]:
        yield f"only test images have more than 8 bits: they were scaled by themselves{scaled}"
    elif value_range and test and (test.low < value_range[0] or test.high > value_range[1]):
        yield f"test images hold {test.low:g}..{test.high:g}, cut off at what the training images hold{scaled}"
