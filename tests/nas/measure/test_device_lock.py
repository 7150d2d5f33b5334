import contextlib
import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

import nas.measure.holders
from nas import faults
from nas.measure import device_lock
from nas.measure.device_lock import DeviceLock, lock_names
from nas.measure.holders import described, users_of_locks

CPU = torch.device("cpu")

# Becomes one process for each (name, role, CPUs). Times are of the monotonic clock, one for all processes of a host.
CHILDREN = """
import json, os, sys, time
from pathlib import Path
import torch
from nas.measure.device_lock import DeviceLock

folder = Path(sys.argv[1])

def live(name, role, cpus):
    def say(what, text=""):
        (folder / f"{name}.tmp").write_text(text)
        (folder / f"{name}.tmp").rename(folder / f"{name}.{what}")

    if cpus:
        os.sched_setaffinity(0, cpus)
    lock = DeviceLock(torch.device("cpu"), folder)
    say("ready", str(os.getpid()))
    if role == "train":
        steps = []
        while not (folder / "stop").exists():
            with lock.training():
                start = time.monotonic()
                time.sleep(0.01)
                steps.append((start, time.monotonic()))
            if len(steps) == 3:
                say("warm")
        say("steps", json.dumps(steps))
    else:
        while role.endswith("later") and not (folder / "go").exists():
            time.sleep(0.002)
        with lock.timing() if role == "hold_timing" else lock.training():
            say("holding")
            time.sleep(600)

for name, role, cpus in json.loads(sys.argv[2]):
    if os.fork() == 0:
        try:
            live(name, role, cpus)
        finally:
            os._exit(0)
while True:
    os.wait()
"""


class Others:
    """Other processes that use the same lock; they are ended when the test is."""

    def __init__(self, folder):
        self.folder = folder
        self.names = []
        self.parent = None

    def start(self, *roles):
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
        arguments = [sys.executable, "-c", CHILDREN, str(self.folder), json.dumps(roles)]
        self.parent = subprocess.Popen(arguments, env=environment, stderr=subprocess.DEVNULL)
        self.names = [name for name, _, _ in roles]
        for name in self.names:
            self.wait(name, "ready")

    def wait(self, name, what):
        while not self.said(name, what):
            assert self.parent.poll() is None, "the other processes have ended"
            time.sleep(0.002)
        return (self.folder / f"{name}.{what}").read_text()

    def said(self, name, what):
        return (self.folder / f"{name}.{what}").exists()

    def kill(self, name):
        os.kill(int(self.wait(name, "ready")), signal.SIGKILL)

    def stop(self):
        (self.folder / "stop").touch()
        return [json.loads(self.wait(name, "steps")) for name in self.names]


@pytest.fixture
def others(tmp_path):
    others = Others(tmp_path)
    yield others
    for name in others.names:
        with contextlib.suppress(ProcessLookupError):
            others.kill(name)
    if others.parent:
        others.parent.wait()


def test_no_step_of_three_trainers_lies_in_a_timed_window_and_no_one_starves(others, tmp_path):
    """Three processes train in a loop; in ten timed windows none of their steps runs, and between them all go on.

    Without the gate the shared holds of three trainers overlap for ever, and the timer would never get in.
    """
    others.start(("a", "train", []), ("b", "train", []), ("c", "train", []))
    for name in others.names:
        others.wait(name, "warm")
    lock, windows = DeviceLock(CPU, tmp_path), []
    for _ in range(10):
        asked = time.monotonic()
        with lock.timing():
            start = time.monotonic()
            time.sleep(0.03)
            windows.append((asked, start, time.monotonic()))
        time.sleep(0.05)
    for steps in others.stop():
        for asked, start, end in windows:
            assert not [step for step in steps if step[0] < end and step[1] > start]
            assert sum(asked < step[0] < start for step in steps) <= 20  # those that were through the gate
        for (_, _, end), (_, next_start, _) in itertools.pairwise(windows):
            assert [step for step in steps if end <= step[0] < next_start]


@pytest.mark.parametrize("role", ["hold_timing", "hold_training"])
def test_kill_9_of_a_holder_frees_the_others(others, tmp_path, role):
    """A worker that is killed in the middle of its turn does not stop the search: the lock is free at once."""
    others.start(("holder", role, []))
    others.wait("holder", "holding")
    others.kill("holder")
    lock = DeviceLock(CPU, tmp_path)
    with lock.timing():
        pass
    with lock.training():
        pass


def test_while_one_times_no_other_trains(others):
    """The lock is one between processes: while one times, another waits; when it is killed, the other goes on."""
    others.start(("timer", "hold_timing", []), ("trainer", "hold_training_later", []))
    others.wait("timer", "holding")
    (others.folder / "go").touch()
    time.sleep(0.1)
    assert not others.said("trainer", "holding")
    others.kill("timer")
    others.wait("trainer", "holding")


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs and affinity sets"
)
def test_only_overlapping_cpu_sets_wait_for_each_other(others):
    """A worker pinned to another core trains on while one core is timed; a worker that may use both waits."""
    first, second = sorted(os.sched_getaffinity(0))[:2]
    both, elsewhere = ("both", "hold_training_later", [first, second]), ("elsewhere", "hold_training_later", [second])
    others.start(("timer", "hold_timing", [first]), both, elsewhere)
    others.wait("timer", "holding")
    (others.folder / "go").touch()
    others.wait("elsewhere", "holding")
    time.sleep(0.1)
    assert not others.said("both", "holding")
    others.kill("timer")
    others.wait("both", "holding")


def test_a_trainer_that_keeps_the_device_sees_that_a_timer_waits(others, tmp_path):
    """A trainer may keep the device from step to step: it learns that a timer asks, and leaving lets the timer in."""
    lock = DeviceLock(CPU, tmp_path)
    with lock.training():
        others.start(("timer", "hold_timing", None))
        while not lock.timer_waits():
            time.sleep(0.002)
        assert not others.said("timer", "holding")
    others.wait("timer", "holding")


def test_no_timer_no_reason_to_leave(tmp_path):
    """Without a timer a trainer is never told to leave, whatever other trainers do."""
    lock = DeviceLock(CPU, tmp_path)
    with lock.training(), DeviceLock(CPU, tmp_path).training():
        assert not lock.timer_waits()


def test_trainers_share_and_a_failed_step_releases(tmp_path):
    """Two trainers of one device hold it at once; after a step that raised, a timer gets in."""
    one, two = DeviceLock(CPU, tmp_path), DeviceLock(CPU, tmp_path)
    with pytest.raises(ArithmeticError), one.training(), two.training():
        raise ArithmeticError
    with one.timing():
        pass


@pytest.mark.parametrize(
    ("role", "want"), [("hold_timing", "timing"), ("hold_timing", "training"), ("hold_training", "timing")]
)
def test_who_waits_long_says_for_whom(others, tmp_path, caplog, monkeypatch, role, want):
    """One line with number and command of the process that has the device; none where the wait is short."""
    monkeypatch.setattr(device_lock, "PATIENCE_S", 0.2)
    others.start(("holder", role, []))
    others.wait("holder", "holding")
    holder = int(others.wait("holder", "ready"))
    lock = DeviceLock(CPU, tmp_path)
    killer = threading.Timer(0.8, others.kill, ["holder"])
    killer.start()
    with getattr(lock, want)():
        pass
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"waiting for the CPU, to have it alone: process {holder} ({sys.executable} -c ")
    assert "\n" not in line
    with lock.timing():
        time.sleep(0.4)
    assert len(caplog.records) == 1


def test_workers_of_one_search_wait_for_each_other_without_a_word(others, tmp_path, caplog, monkeypatch):
    """They take turns by design."""
    monkeypatch.setattr(device_lock, "PATIENCE_S", 0.1)
    monkeypatch.setattr(device_lock, "is_sibling", lambda process: True)
    others.start(("holder", "hold_timing", []))
    others.wait("holder", "holding")
    threading.Timer(0.4, others.kill, ["holder"]).start()
    with DeviceLock(CPU, tmp_path).timing():
        pass
    assert not caplog.records


def test_where_the_system_does_not_tell_the_wait_is_still_said(others, tmp_path, caplog, monkeypatch):
    """Another process, then; and a search can see before it starts who times or trains."""
    others.start(("holder", "hold_timing", []))
    others.wait("holder", "holding")
    assert users_of_locks(tmp_path) == {int(others.wait("holder", "ready"))}
    monkeypatch.setattr(device_lock, "PATIENCE_S", 0.1)
    monkeypatch.setattr(device_lock, "holders", lambda files: frozenset())
    threading.Timer(0.4, others.kill, ["holder"]).start()
    with DeviceLock(CPU, tmp_path).timing():
        assert users_of_locks(tmp_path) == set(), "oneself is nobody else"
    assert "another process uses it" in caplog.text


def test_a_worker_of_ray_is_named_by_what_started_it(monkeypatch):
    """`ray::IDLE` tells nobody which search it is of."""
    commands = {7: "ray::ImplicitFunc.train()", 5: "/x/raylet/raylet --a", 3: "python -m nas.cli search x.yaml"}
    monkeypatch.setattr(nas.measure.holders, "command", lambda process: commands.get(process, ""))
    monkeypatch.setattr(nas.measure.holders, "_parent", {7: 5, 5: 3, 3: 2, 2: 1}.get)
    assert described(7) == "process 7 (python -m nas.cli search x.yaml)"
    assert described(4) == "process 4"


def test_many_cpus_share_a_bounded_number_of_files(monkeypatch):
    """On 192 CPUs there are 32 locks, and sets that overlap still have one in common."""
    monkeypatch.setattr(os, "cpu_count", lambda: 192)

    def names(cpus):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(cpus), raising=False)
        return set(lock_names(CPU))

    assert len(names(range(192))) == 32
    assert names([5]) <= names(range(96))
    assert not names(range(96)) & names(range(96, 192))


def test_locks_close_their_files(tmp_path):
    """A worker that makes a lock per trial does not run out of file descriptors."""

    def opened():
        return len(list(Path("/dev/fd").iterdir()))

    DeviceLock(CPU, tmp_path)
    before = opened()
    for _ in range(50):
        DeviceLock(CPU, tmp_path)
    assert opened() <= before


def test_a_file_system_without_locks_is_no_candidates_fault(tmp_path, monkeypatch):
    """Its file is named, and the error is the machine's: every candidate would fail for it, one by one."""

    def none(number, kind):
        raise OSError(errno.EOPNOTSUPP, "no such operation")

    monkeypatch.setattr(device_lock.fcntl, "flock", none)
    with pytest.raises(OSError, match="No locks available") as caught:
        DeviceLock(CPU, tmp_path)
    assert Path(caught.value.filename).parent == tmp_path
    assert faults.is_of_disk(caught.value)
