"""Devices: choosing one, naming it, setting it up, its memory, and telling an out-of-memory error from others."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from search_space.lookup import message_of


def resolve_device(name: str = "auto") -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:N` into a device with its index; auto is the first GPU, else the CPU.

    Raises: ValueError for another name, or a GPU that is not there.
    """
    if name == "auto":
        return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    if name == "cpu":
        return torch.device("cpu")
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    if match is None:
        raise ValueError(f"unknown device {name!r}; known: auto, cpu, cuda, cuda:N")
    if not torch.cuda.is_available():
        raise ValueError(
            f"device {name!r} asked for, but this PyTorch ({torch.__version__}) sees no GPU; use cpu or auto"
        )
    index = torch.cuda.current_device() if match[1] is None else int(match[1])
    if index >= torch.cuda.device_count():
        raise ValueError(f"device {name!r} asked for, but there are {torch.cuda.device_count()} GPUs (numbered from 0)")
    return torch.device("cuda", index)


def device_name(device: torch.device) -> str:
    """Give the product name of a GPU or of the processor, as a log should carry it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def limit_threads(n: int) -> None:
    """Let this process compute on `n` CPU threads, so that several workers on one host do not fight for cores.

    Raises: ValueError if n < 1.
    """
    if n < 1:
        raise ValueError(f"threads must be >= 1, got {n!r}")
    os.environ["OMP_NUM_THREADS"] = str(n)  # for libraries that are loaded, and processes that are started, later
    torch.set_num_threads(n)


@contextmanager
def threads_limited(n: int) -> Iterator[None]:
    """Compute on `n` CPU threads within the block, and on as many as before after it. Raises ValueError if n < 1."""
    before, said = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    limit_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        os.environ.pop("OMP_NUM_THREADS")
        if said is not None:
            os.environ["OMP_NUM_THREADS"] = said


def set_up(device: torch.device) -> None:
    """Make this process fast on a device; it changes settings of the whole process, and doing it again changes nothing.

    GPU: cuDNN picks its kernels by trying them, and fp32 products may use TF32, as convolutions do. CPU: freed memory
    stays with the process, see `_keep_freed_memory`.
    """
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cuda.matmul.allow_tf32 = True
    else:
        _keep_freed_memory()


# mallopt's names in glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def _keep_freed_memory() -> None:
    """Have glibc keep freed memory, in one pool for all threads, instead of giving it back to the operating system.

    A step frees and takes the same activations again. By default blocks above 32 MiB go back at once, and the next step
    waits while the system zeroes each of their pages: more than half of a step's time with large batches on a CPU. The
    process then stays as large as its largest candidate made it.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, -1)
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_ARENA_MAX, 1)


def give_back_memory(device: torch.device) -> None:
    """Give memory that is kept but not in use back to the device, so that what is allocated next lies elsewhere."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: the GPU's, cuDNN's or cuBLAS's workspace, or the CPU allocator's."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = message_of(error)
    return isinstance(error, RuntimeError) and any(sign in text for sign in _OUT_OF_MEMORY)


_OUT_OF_MEMORY = (
    "can't allocate memory",  # the CPU allocator
    "not enough memory",  # the same on Windows
    "out of memory",  # CUDA driver calls outside of the caching allocator
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "unable to find an engine to execute this computation",  # cuDNN, when no algorithm's workspace can be had
    "could not create a primitive",  # what oneDNN says when its scratch space cannot be had
)
