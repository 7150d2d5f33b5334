"""A file's lock is held by one process, and by none that is dead."""

import errno
import fcntl
import signal
import subprocess
import sys

import pytest

from nas.file_lock import exclusive
from nas.runs.folder import LOCK, held, locked

HOLD = """
import pathlib, sys, time
from nas.file_lock import exclusive
with exclusive(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_holder_holds_nothing(tmp_path):
    """While it lives nobody else gets the lock; whoever waits has it as soon as it is killed."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(BlockingIOError), exclusive(tmp_path / "lock"):
        pass
    holder.send_signal(signal.SIGKILL)
    with exclusive(tmp_path / "lock", wait=True):
        holder.wait()
    holder.stdout.close()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch, number):
    """As network drives may be mounted: a run there would not be alone, so it does not begin."""

    def none(file, kind):
        raise OSError(number, "as the system says it")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(OSError, match="as the system says it") as caught, locked(tmp_path):
        pass
    assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path / LOCK))
    with pytest.raises(OSError, match="as the system says it"), held(tmp_path / "new" / "run"):
        pass
    assert not (tmp_path / "new").exists()


def test_a_folder_that_was_made_for_nothing_is_taken_away(tmp_path):
    """With those that it is in; but not one that was there, nor one in which something was written."""

    def begin(folder, names):
        with held(folder):
            for name in names:
                (folder / name).touch()
            raise ZeroDivisionError

    def fail(folder, *names):
        with pytest.raises(ZeroDivisionError):
            begin(folder, names)

    fail(tmp_path / "a" / "b" / "c")
    with pytest.raises(OSError, match="too long"), held(tmp_path / "a" / ("x" * 300)):
        pass
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "there").mkdir()
    fail(tmp_path / "there" / "new")
    fail(tmp_path / "there")
    assert [path.name for path in (tmp_path / "there").iterdir()] == [LOCK]
    fail(tmp_path / "written", "train.json")
    assert (tmp_path / "written" / "train.json").exists()
