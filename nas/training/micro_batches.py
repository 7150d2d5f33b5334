"""How a batch is cut into the parts that one forward and backward take."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def smallest_part(network: nn.Module) -> int:
    """Give the fewest images that a part may have: two where batch norm takes its statistics from the part.

    From one image batch norm takes those of its pixels, which are no batch's; where a channel is a single pixel, none.
    """
    return 2 if any(isinstance(module, _BatchNorm) and module.training for module in network.modules()) else 1


def even_parts(images: int, size: int | None, smallest: int) -> list[int]:
    """Cut a batch evenly: as few parts as keep to `size` images each, unless one of them would be below `smallest`.

    Args:
        images: of the batch.
        size: at most so many images a part; None = all of them.
        smallest: at least so many a part, which goes before `size`: an odd batch in pairs has one part of three.
    Returns: images of each part; they differ by one at most.

    >>> even_parts(9, 8, smallest=2)
    [5, 4]
    >>> even_parts(9, 2, smallest=2)
    [3, 2, 2, 2]
    """
    parts = max(1, min(-(-images // (size or images)), images // smallest))
    return [images // parts + (number < images % parts) for number in range(parts)]
