"""The batches that a training is given, and memory that runs out in making one, which is not the network's fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

from torch import Tensor

from nas.training.device import is_out_of_memory

Batch = tuple[Tensor, Tensor]


class Batches(Protocol):
    """Batches of one split that are on the device."""

    def __len__(self) -> int:
        """Batches an epoch."""

    def epoch(self, number: int) -> Iterator[Batch]:
        """Give the batches of an epoch, counted from 0: images (N, C, H, W); labels (N,) or soft (N, classes)."""


class BatchOutOfMemory(ValueError):
    """Memory ran out while a batch was made: loaded or augmented. The network's step had nothing to do with it."""


def batches_of(source: Batches, epoch: int, make_room: Callable[[], bool]) -> Iterator[Batch]:
    """Give the batches of an epoch; if memory runs out in making one, it is made again where room can be made.

    Args:
        make_room: gives back memory that can be done without; False: there is none.
    Raises: BatchOutOfMemory if there is no room for a batch.
    """
    made, done = source.epoch(epoch), 0
    while True:
        try:
            batch = next(made, None)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            failure = type(error).__name__  # the error itself would keep the tensors of the batch
        else:
            if batch is None:
                return
            done += 1
            yield batch
            continue
        if not make_room():
            raise BatchOutOfMemory(
                f"memory ran out while a batch was loaded and augmented, not in the network's step ({failure}): "
                "lower training.batch_size or augment less, or have fewer trainings share the device"
            )
        made = islice(source.epoch(epoch), done, None)  # the same batches again, for the same epoch
