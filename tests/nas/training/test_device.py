"""Choosing devices, and telling an out-of-memory error from others."""

import platform
import subprocess
import sys

import pytest
import torch

from nas.training import device as devices


def test_known_names_resolve() -> None:
    """`auto` is a GPU where there is one, else the CPU; a resolved GPU has its index, so that it can be locked."""
    assert devices.resolve_device("cpu") == torch.device("cpu")
    auto = devices.resolve_device("auto")
    assert auto.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert auto.type == "cpu" or auto.index is not None


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_is_an_error(name: str) -> None:
    """Asking for a GPU on a machine without one never falls back silently to the CPU."""
    with pytest.raises(ValueError, match="sees no GPU"):
        devices.resolve_device(name)


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "mps", "", "cuda:-1"])
def test_an_unknown_name_is_refused(name: str) -> None:
    """A misspelt device is an error that lists the known ones."""
    with pytest.raises(ValueError, match="auto, cpu, cuda"):
        devices.resolve_device(name)


def test_the_processor_has_a_name() -> None:
    """A log on a CPU says which one."""
    assert devices.device_name(torch.device("cpu")).strip()


def test_threads_are_limited() -> None:
    """A worker computes on as many threads as it was given, and none is an error."""
    for threads in (2, 1):
        devices.limit_threads(threads)
        assert torch.get_num_threads() == threads
    with pytest.raises(ValueError, match="threads"):
        devices.limit_threads(0)


def test_the_cpu_allocators_own_error_is_out_of_memory() -> None:
    """The real error of an allocation no machine can serve is recognised, in this PyTorch's wording."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**58)
    assert devices.is_out_of_memory(caught.value)
    assert devices.is_out_of_memory(MemoryError())
    assert devices.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert devices.is_out_of_memory(RuntimeError("FIND was unable to find an engine to execute this computation"))


def test_other_errors_are_not_out_of_memory() -> None:
    """A wrong shape must not be retried with ever smaller batches and then reported as memory."""
    with pytest.raises(RuntimeError) as caught:
        torch.zeros(2, 3) @ torch.zeros(2, 3)
    assert not devices.is_out_of_memory(caught.value)
    assert not devices.is_out_of_memory(ValueError("out of memory"))


REUSE = """
import resource, torch
from nas.training.device import set_up
set_up(torch.device("cpu"))
for _ in range(20):
    torch.ones(2**24)  # 64 MiB: above the largest block that glibc keeps by default
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(2**24)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc's allocator")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    """Blocks taken again after being freed are not zeroed anew by the system, page by page, which is slow."""
    done = subprocess.run([sys.executable, "-c", REUSE], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 5 * 2**26  # of the ten blocks' memory, less than half was new
