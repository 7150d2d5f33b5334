"""A training step captured once as a CUDA graph and replayed: one launch instead of thousands."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

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

    Args:
        images, labels: a batch of the shape, dtype and memory format that all will have.
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self._images, self._labels = torch.empty_like(images), torch.empty_like(labels)
        self._stream = torch.cuda.Stream(images.device)  # type: ignore[no-untyped-call]
        self._graph: torch.cuda.CUDAGraph | None = None
        self._warm_ups = 0

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
        current = torch.cuda.current_stream(self._images.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            loss = step(self._images, self._labels)
        current.wait_stream(self._stream)
        return loss

    def _capture(self, step: Step) -> None:
        device = self._images.device
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream(device)
        # thread_local: other threads of the process (a logger, a metrics reader) may go on calling CUDA meanwhile.
        try:
            with (
                torch.cuda.device(device),
                torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"),
            ):
                self._loss = step(self._images, self._labels)
        except RuntimeError as error:
            torch.cuda.set_stream(current)  # a capture that fails leaves its own stream current
            _clean_up(graph, device)
            raise CaptureError(str(error)) from error
        self._graph = graph


_failed: list[torch.cuda.CUDAGraph] = []


def _clean_up(failed: torch.cuda.CUDAGraph, device: torch.device) -> None:
    """Let eager steps work again after a capture that failed.

    Up to PyTorch 2.11 such a capture leaves the random generator believing that it is being captured, so that the next
    dropout would raise; a capture that ends well tells it otherwise. And the allocator still asks the failed graph
    whether memory is its own, so that it must live on.
    """
    _failed.append(failed)
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
