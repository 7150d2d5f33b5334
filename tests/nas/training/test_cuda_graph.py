"""How steps are captured, on a make-believe GPU: what is shared, what is kept, what is not tried."""

import contextlib
import gc
import weakref

import pytest
import torch

from nas.training import cuda_graph
from nas.training.cuda_graph import WARM_UP_STEPS, CapturedStep, CaptureError, check_room
from nas.training.device import is_out_of_memory

BATCH = torch.zeros(2, 1, 4, 4), torch.zeros(2, dtype=torch.long)


class Stream:
    def __init__(self, device):
        pass

    def wait_stream(self, other):
        pass


class Graph:
    def pool(self):
        return self.name

    def replay(self):
        pass


class Gpu:
    """What is used of `torch.cuda`: memory in bytes, and the captures that were begun, with pool and stream."""

    CUDAGraph, Stream = Graph, Stream

    def __init__(self):
        self.free, self.takes, self.captures, self.end_fails = 100, 60, [], False
        self.device = self.stream = lambda _: contextlib.nullcontext()
        self.current_stream = self.set_stream = self.reset_peak_memory_stats = lambda _: Stream(None)
        self.memory_reserved = self.memory_allocated = lambda _: 0
        self.max_memory_allocated = lambda _: self.takes
        self.mem_get_info = lambda _: (self.free, 1000)

    @contextlib.contextmanager
    def graph(self, graph, pool=None, stream=None, capture_error_mode=None):
        self.captures.append((pool, stream))
        graph.name = pool or f"pool {len(self.captures)}"
        yield
        if self.end_fails:
            raise RuntimeError("the capture is invalid")


@pytest.fixture
def gpu(monkeypatch):
    gpu = Gpu()
    monkeypatch.setattr(torch, "cuda", gpu)
    monkeypatch.setattr(cuda_graph, "_failed", [])
    cuda_graph._place.cache_clear()
    yield gpu
    cuda_graph._place.cache_clear()


def step(images, labels):
    return images.sum()


def captured(step=step):
    made = CapturedStep(*BATCH)
    for _ in range(WARM_UP_STEPS + 1):
        made(step, *BATCH)
    return made


def test_steps_of_a_device_share_pool_and_stream(gpu):
    """Candidate and reference network take one pool; once no graph lives, the next capture has a pool of its own."""
    first, second = captured(), captured()
    assert first.ready
    assert second.ready
    (no_pool, stream), (pool, same_stream) = gpu.captures
    assert (no_pool, pool) == (None, "pool 1")
    assert stream is same_stream
    del first, second
    captured()
    assert gpu.captures[2] == (None, stream)


def test_a_capture_that_cannot_fit_is_not_tried(gpu):
    """The step took 60 bytes and 50 are free: out of memory is said before anything is captured."""
    gpu.free = 50
    with pytest.raises(CaptureError) as caught:
        captured()
    assert is_out_of_memory(caught.value)
    assert gpu.captures == []


def test_what_takes_all_that_is_free_fits():
    """To the byte."""
    check_room(100, 100)
    with pytest.raises(CaptureError, match="takes 3 MiB, 2 are free"):
        check_room(3 << 20, 2 << 20)


@pytest.mark.parametrize(("end_fails", "kept"), [(False, 0), (True, 1)])
def test_a_failed_graph_is_kept_only_if_ending_the_capture_failed(gpu, end_fails, kept):
    """One whose step raised was ended well: it goes, with its memory and with what the step had made."""

    class Made:
        pass

    alive = []

    def failing(images, labels):
        if gpu.captures and not alive:
            made = Made()
            alive.append(weakref.ref(made))
            gpu.end_fails = end_fails
            raise RuntimeError("CUDA out of memory")
        return images.sum()

    with pytest.raises(CaptureError, match="CUDA out of memory"):
        captured(failing)
    gc.disable()
    try:
        assert len(cuda_graph._failed) == kept
        if not end_fails:
            assert alive[0]() is None
    finally:
        gc.enable()


def test_after_a_capture_whose_end_failed_nothing_of_it_is_used(gpu):
    """PyTorch still counts its pool as being captured into: the next capture has another pool and another stream."""
    first = captured()
    gpu.end_fails = True
    with pytest.raises(CaptureError, match="the capture is invalid"):
        captured()
    gpu.end_fails = False
    third = captured()
    (_, stream), *_, (pool, other) = gpu.captures
    assert pool is None
    assert other is not stream
    assert first.ready
    assert third.ready
