"""A training step captured once as a CUDA graph and replayed: one launch instead of thousands."""

from __future__ import annotations

import logging
import traceback
import weakref
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

# Real steps that are done eagerly on the capturing stream first: they choose kernels and allocate optimiser state.
WARM_UP_STEPS = 3


Step = Callable[[Tensor, Tensor], Tensor]


class CaptureError(RuntimeError):
    """The step cannot be captured. It has not been done, but gradients may hold what was never computed."""


class CapturedStep:
    """Runs a step on batches of one shape: eagerly at first, then by replaying its graph.

    The step must read nothing from the host while it runs (learning rate and EMA decay are tensors on the device) and
    must find the gradients it accumulates into unset. Random numbers go on as they would without the graph.

    The step comes with each call: what keeps a captured step is often part of the step itself, and a circle of the two
    would hold the graph's memory until Python looks for circles.

    All steps of a device are captured on one stream, into one pool of memory: see `_Place`. A capture that cannot fit
    is not tried; how much a step takes is measured in the last eager one, with which the device's peak memory
    statistics begin anew.

    Args:
        images, labels: a batch of the shape, dtype and memory format that all will have.
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self._images, self._labels = torch.empty_like(images), torch.empty_like(labels)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._warm_ups = 0
        self._needed = 0  # bytes that a step takes at its peak, beyond what there is before it

    @property
    def ready(self) -> bool:
        """Whether the next call replays."""
        return self._graph is not None

    def __call__(self, step: Step, images: Tensor, labels: Tensor) -> Tensor:
        """Do one step; the result is a new tensor without dimensions.

        Args:
            step: (images, labels) -> loss, a tensor without dimensions; the same one in every call.
        Raises: CaptureError, before anything is done.
        """
        self._images.copy_(images)
        self._labels.copy_(labels)
        if self._graph is None and self._warm_ups < WARM_UP_STEPS:
            return self._warm_up(step)
        if self._graph is None:
            self._capture(step)
        assert self._graph is not None
        self._graph.replay()
        return self._loss.clone()

    def _warm_up(self, step: Step) -> Tensor:
        self._warm_ups += 1
        device = self._images.device
        current, stream = torch.cuda.current_stream(device), _place(device).stream
        if self._warm_ups == WARM_UP_STEPS:
            torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            loss = step(self._images, self._labels)
        current.wait_stream(stream)
        self._needed = torch.cuda.max_memory_allocated(device) - before
        return loss

    def _capture(self, step: Step) -> None:
        device = self._images.device
        check_room(self._needed, _free_bytes(device))
        place, graph, current = _place(device), torch.cuda.CUDAGraph(), torch.cuda.current_stream(device)
        failure = None  # what the step raised: its words, for the error itself would keep the step's tensors
        # thread_local: other threads of the process (a logger, a metrics reader) may go on calling CUDA meanwhile.
        try:
            with (
                torch.cuda.device(device),
                torch.cuda.graph(graph, place.pool(), place.stream, capture_error_mode="thread_local"),
            ):
                try:
                    self._loss = step(self._images, self._labels)
                except RuntimeError as error:
                    failure = str(error)
                    logger.debug("the capture failed: %s", traceback.format_exc())
        except RuntimeError as error:  # of ending the capture
            torch.cuda.set_stream(current)  # its own stream was left current
            _clean_up(graph, device)
            raise CaptureError(failure or str(error)) from error
        if failure is not None:
            raise CaptureError(failure)
        place.graphs.add(graph)
        self._graph = graph


class _Place:
    """Where the steps of a device are captured: on one stream, and into one pool of memory while graphs in it live.

    Graphs replay one after the other, and nothing that one leaves in the pool is read after another has begun but the
    loss, which is copied at once. So each may use again what another's step had freed: candidate and reference network
    together take the memory of the larger one. With a stream each, cuBLAS would keep a workspace for each, for ever.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.graphs: weakref.WeakSet[torch.cuda.CUDAGraph] = weakref.WeakSet()

    def pool(self) -> Any:
        """Give the pool of the graphs that live; None where none does: PyTorch gives up a pool with its last graph."""
        return next((graph.pool() for graph in self.graphs), None)


_place = lru_cache(maxsize=None)(_Place)


def check_room(needed: int, free: int) -> None:
    """Raise CaptureError, one that says out of memory, if what a step takes is more than there is; bytes."""
    if needed > free:
        raise CaptureError(
            f"out of memory: a captured step takes {needed / 2**20:.0f} MiB, {free / 2**20:.0f} are free"
        )


def _free_bytes(device: torch.device) -> int:
    """What a capture may take: what nobody has, and what this process has and does not use, also another graph's."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + unused


_failed: list[torch.cuda.CUDAGraph] = []


def _clean_up(failed: torch.cuda.CUDAGraph, device: torch.device) -> None:
    """Let eager steps work again after a capture whose end failed.

    Up to PyTorch 2.11 such a capture leaves the random generator believing that it is being captured, so that the next
    dropout would raise; a capture that ends well tells it otherwise. And the allocator still asks the failed graph
    whether memory is its own, so that it must live on, and its pool and stream are left alone.
    """
    _failed.append(failed)
    _place.cache_clear()
    current = torch.cuda.current_stream(device)
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    try:
        with (
            torch.cuda.device(device),
            torch.cuda.graph(torch.cuda.CUDAGraph(), stream=stream, capture_error_mode="thread_local"),
        ):
            torch.zeros((), device=device)
    except RuntimeError:
        torch.cuda.set_stream(current)
