"""The peak memory of a training step."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from nas.training.step import TrainingStep


def peak_memory_mb(step: TrainingStep, images: Tensor, labels: Tensor) -> float:
    """Do one training step, eagerly, and give the most memory that its tensors took at any time, in MiB.

    Counted are weights, buffers, optimiser state, moving average, gradients, activations and the batch; other tensors
    of the process are not. On a GPU it is what the caching allocator handed out, workspaces of kernels included. On a
    CPU it is what tensors hold, which is exact and the same in every run; scratch space inside kernels is not seen, nor
    what the allocator keeps.

    Args:
        step: of a network that has done a step before, so that the optimiser has its state.
        images, labels: a batch on the step's device.
    """
    own = _bytes([*_state(step), images, labels])
    if step.device.type == "cuda":
        torch.cuda.synchronize(step.device)
        before = int(torch.cuda.memory_allocated(step.device))
        torch.cuda.reset_peak_memory_stats(step.device)
        step.eager(images, labels)
        more = int(torch.cuda.max_memory_allocated(step.device)) - before
        return (own + more) / 2**20
    live = _LiveTensors([*_state(step), images, labels])
    with live:
        step.eager(images, labels)
    return (own + live.peak) / 2**20


def _state(step: TrainingStep) -> Iterator[Tensor]:
    for network in (step.network, step.ema.network if step.ema else None):
        if network is not None:
            yield from network.parameters()
            yield from network.buffers()
    for state in step.optimizer.state.values():
        yield from (value for value in state.values() if isinstance(value, Tensor))


def _bytes(tensors: Iterable[Tensor]) -> int:
    storages = {storage.data_ptr(): storage.nbytes() for storage in (tensor.untyped_storage() for tensor in tensors)}
    return sum(storages.values())


class _LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the storages of all tensors that operators put out; `peak` is the most bytes that lived at once."""

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._seen: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self._known = {tensor.untyped_storage().data_ptr() for tensor in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, Tensor):
                self._follow(tensor.untyped_storage())
        return result

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._seen or storage.data_ptr() in self._known:
            return

        def freed(_: weakref.ref[torch.UntypedStorage]) -> None:
            del self._seen[key]
            self.live -= size

        self._seen[key] = weakref.ref(storage, freed)
        self.live += size
        self.peak = max(self.peak, self.live)
