"""Do something to those images of a batch that drew it, on the images' device, a portion at a time.

Who drew what is drawn on the host: it knows without asking a GPU how many images an operation has, so that each runs on
its own images alone and nothing waits. Portions bound what is made on the way, whatever the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

CPU_VALUES = 1 << 19  # worked on at once: what is made of them must stay in a CPU's cache,
GPU_VALUES = 1 << 25  # or be few enough launches for a GPU and little of its memory


def on_drawn(target: Tensor, drawn: Tensor, change: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """Replace the rows of `target` that were drawn by `change(*rows of inputs)`; rows next to each other cost least.

    Args:
        target: (N, ...), contiguous; changed in place.
        drawn: (N,) bool, on the host.
        change: rows of `inputs` -> rows like `target`'s, or that broadcast to them; each depends on its own inputs
            alone.
        inputs: each (N, ...), on the target's device.
    Returns: `target`.
    """
    for rows in _portions(drawn, _portion(target, inputs)):
        if isinstance(rows, slice):
            target[rows] = change(*(t[rows] for t in inputs))
        else:
            rows = sent(rows, target.device)
            changed = change(*(t.index_select(0, rows) for t in inputs))
            _words(target).index_copy_(0, rows, _words(changed.expand(len(rows), *target.shape[1:]).contiguous()))
    return target


def on_all(target: Tensor, change: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """Fill `target` with `change(*inputs)`, in portions: see `on_drawn`."""
    return on_drawn(target, torch.ones(len(target), dtype=torch.bool), change, *inputs)


def sent(values: Tensor, device: torch.device) -> Tensor:
    """Copy from the host to a device; a GPU reads it from pinned memory when it gets there, and nobody waits."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def _portion(target: Tensor, inputs: tuple[Tensor, ...]) -> int:
    values = CPU_VALUES if target.device.type == "cpu" else GPU_VALUES
    return max(1, values // max(1, *(t[:1].numel() for t in (target, *inputs))))


def _portions(drawn: Tensor, portion: int) -> Iterator[slice | Tensor]:
    """The drawn rows, at most `portion` at a time: as slices where they are next to each other."""
    rows = drawn.nonzero()[:, 0]
    if not len(rows):
        return
    first, stop = int(rows[0]), int(rows[-1]) + 1
    if stop - first == len(rows):
        yield from (slice(start, min(start + portion, stop)) for start in range(first, stop, portion))
    else:
        yield from torch.split(rows, portion)


def _words(images: Tensor) -> Tensor:
    """(N, bytes) or, where they divide evenly, (N, bytes / 8) words: PyTorch copies rows element by element."""
    flat = images.reshape(len(images), -1)
    return flat.view(torch.int64) if flat.dtype == torch.uint8 and flat.shape[1] % 8 == 0 else flat
