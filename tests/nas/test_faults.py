"""Errors of the operating system, as libraries raise them, in one line."""

import errno
import os
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nas import faults
from nas.signals import Signalled, interrupting


def raised(act):
    with pytest.raises(Exception) as caught:
        act()
    return caught.value


@pytest.fixture
def small_files():
    """No file may grow beyond 1000 bytes: writing more fails as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_an_error_of_writing_names_the_file_that_was_open(tmp_path, small_files):
    """Python's own error of a full disk names no file; the line does, for text, arrays and torch's files alike."""
    path = tmp_path / "file"
    assert faults.line(raised(lambda: path.write_text("x" * 5000))).startswith(f"{path}: File too large; raise")

    def append():
        with path.open("ab") as file:
            file.write(bytes(5000))

    assert faults.line(raised(append)).startswith(f"{path}: File too large")
    said = faults.line(raised(lambda: np.save(tmp_path / "array.npy", np.zeros(5000))))
    assert said.startswith(f"{tmp_path / 'array.npy'}: ")
    assert "written; make room" in said


def test_torch_cannot_abort_the_process_where_the_disk_is_full(tmp_path, small_files):
    """A checkpoint that does not fit is an OSError and leaves nothing, what was there before stays whole."""
    torch = pytest.importorskip("torch")
    from nas.training.checkpoint import write_torch

    path = tmp_path / "last.pt"
    path.write_text("before")
    error = raised(lambda: write_torch(path, {"weights": torch.zeros(5000)}))
    assert (error.errno, path.read_text(), os.listdir(tmp_path)) == (errno.EFBIG, "before", ["last.pt"])  # noqa: PTH208


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(errno.ENOENT, "", "/a"), "/a: No such file or directory; check the path"),
        (OSError(errno.EROFS, "", "/a", None, "/b"), "/a -> /b: Read-only file system; choose a place that can be"),
        (PermissionError(errno.EACCES, "", Path("/a")), "/a: Permission denied; choose a place that this user may"),
        (sqlite3.OperationalError("database or disk is full"), "database or disk is full; make room"),
        (RuntimeError("worker 0: OSError: [Errno 28] No space left on device: '/a'"), "worker 0: OSError: [Errno 28]"),
        (OSError("We could not connect to the hub"), "We could not connect to the hub"),
        (MemoryError(), "MemoryError; run less at once, or give it more memory"),
        (OSError(errno.ENOLCK, "", "/a"), "/a: No locks available; its file system cannot do that: choose a place on"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "No usable temporary"),
    ],
)
def test_a_line_says_file_fault_and_remedy(error, said):
    """Files of the error, the system's words or the library's, and what to do where that is known."""
    assert faults.line(error).startswith(said)


def test_memory_that_runs_out_in_a_library_is_the_machines():
    """Arrays of more than there is: numpy's and torch's own errors, each with its remedy."""
    torch = pytest.importorskip("torch")
    for act in (lambda: np.empty(1 << 60, np.uint8), lambda: torch.empty(1 << 60, dtype=torch.uint8)):
        assert faults.line(raised(act)).endswith("; run less at once, or give it more memory")


def test_what_a_program_printed_is_read_from_its_end():
    """The last line that speaks of a fault of the machine; none where nothing does."""
    printed = "a: No space left on device\n  x.cc:7: Too many open files [system:24] /a/b(+0x1)\n*** SIGABRT ***\n"
    assert faults.in_text(printed) == "x.cc:7: Too many open files; raise the limit on open files (ulimit -n)"
    assert faults.in_text("all is well") is None


def test_what_is_behind_an_error_is_told_only_where_it_explains_it():
    """A library's error over a full disk is one of the disk; a bug met while a file was missing stays a bug."""

    def over(number):
        try:
            raise OSError(number, "", "/a")
        except OSError:
            raise RuntimeError("unexpected pos 128 vs 0")  # noqa: B904 - as libraries do

    assert faults.line(raised(lambda: over(errno.ENOSPC))) == "/a: No space left on device; " + faults._ROOM
    assert faults.line(raised(lambda: over(errno.ENOENT))) is None
    assert faults.line(ZeroDivisionError("x")) is None


@pytest.mark.parametrize(("started", "status"), [("", 143), ("trap '' TERM;", 0)])
def test_a_signal_ends_as_ctrl_c_does_unless_it_is_ignored(started, status):
    """SIGTERM ends what runs with its clean-up done; a process that was started to ignore it, as by nohup, goes on."""
    code = (
        "import os, signal\nfrom nas.signals import Signalled, interrupting\n"
        "try:\n with interrupting():\n  os.kill(os.getpid(), signal.SIGTERM)\n"
        "except KeyboardInterrupt as error:\n raise SystemExit(128 + error.signum)"
    )
    command = f'{started} exec "$0" "$@"'
    assert subprocess.run(["sh", "-c", command, sys.executable, "-c", code], check=False).returncode == status


def test_handlers_are_put_back():
    """After a command that ran in this process, as in a notebook, signals are handled as before."""
    import signal

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(Signalled), interrupting():
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
