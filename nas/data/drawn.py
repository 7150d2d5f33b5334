"""Do something to those images of a batch that drew it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

CACHE_VALUES = 1 << 19  # uint8 values worked on at once on a CPU: what is made of them must stay in its cache


def on_drawn(target: Tensor, drawn: Tensor, change: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """Replace the rows of `target` that were drawn by `change(*rows of inputs)`.

    A CPU computes the drawn rows only and writes into `target`; rows next to each other cost it least. Elsewhere how
    many were drawn would have to be read back by the host, which stalls the device and cannot be captured in a CUDA
    graph: there all rows are computed.

    Args:
        target: (N, ...); changed in place on a CPU.
        drawn: (N,) bool.
        change: rows of `inputs` -> rows like `target`'s, or that broadcast to them; each depends on its own inputs
            alone.
        inputs: each (N, ...).
    Returns: like `target`.
    """
    return _rows(target, drawn, change, inputs) if target.device.type == "cpu" else _all(target, drawn, change, inputs)


def _rows(target: Tensor, drawn: Tensor, change: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> Tensor:
    portion = max(1, CACHE_VALUES // max(1, *(t[:1].numel() for t in (target, *inputs))))
    for rows in _portions(drawn, portion):
        if isinstance(rows, slice):
            target[rows] = change(*(t[rows] for t in inputs))
        else:
            changed = change(*(t.index_select(0, rows) for t in inputs))
            _words(target).index_copy_(0, rows, _words(changed.expand(len(rows), *target.shape[1:]).contiguous()))
    return target


def _portions(drawn: Tensor, portion: int) -> Iterator[slice | Tensor]:
    """The drawn rows, at most `portion` at a time: as slices where they are next to each other."""
    rows = drawn.nonzero()[:, 0]
    if not len(rows):
        return
    first, stop = int(rows[0]), int(rows[-1]) + 1
    if stop - first == len(rows):
        yield from (slice(start, min(start + portion, stop)) for start in range(first, stop, portion))
    else:
        yield from (rows[start : start + portion] for start in range(0, len(rows), portion))


def _all(target: Tensor, drawn: Tensor, change: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> Tensor:
    return torch.where(drawn.view(-1, *(1,) * (target.dim() - 1)), change(*inputs), target)


def _words(images: Tensor) -> Tensor:
    """(N, bytes) or, where they divide evenly, (N, bytes / 8) words: PyTorch copies rows element by element."""
    flat = images.reshape(len(images), -1)
    return flat.view(torch.int64) if flat.shape[1] % 8 == 0 else flat
