"""Ray's own process: who may talk to it, clusters that it cannot join, what is left when it dies."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # Ray's process imports `ray_side` by name

import rewards
from nas.cluster import process as ray_process
from nas.cluster.process import RayProcess
from nas.cluster.protocol import NoRay, RayFailed
from nas.cluster.scratch import scratch, sweep
from nas.trials.installed import shadowed
from tests.processes import descendants


def alive(pids):
    def lives(pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    return [pid for pid in pids if lives(pid)]


def listening(pids):
    """The IPv4 and IPv6 addresses, in the kernel's hexadecimals, on which processes listen."""
    sockets = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                sockets.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
            except OSError:
                continue
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()]
    return {row[1].rpartition(":")[0] for row in rows if row[3] == "0A" and row[9] in sockets}


def wait_for(condition, seconds=30, pause=0.2):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(pause)


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
def test_ray_that_gives_up_its_start_on_a_busy_machine_is_started_again():
    """Its daemon is stopped before it gives a sign of life, for which Ray waits 30 s; the second one is let run."""
    stopped = []

    def stop_the_first_daemon():
        def begun():
            for pid in descendants(os.getpid()):
                with contextlib.suppress(OSError):
                    if Path(f"/proc/{pid}/comm").read_text() == "raylet\n":
                        os.kill(pid, signal.SIGSTOP)
                        stopped.append(pid)
            return stopped

        wait_for(begun, pause=0.005)

    process, watcher = RayProcess(None), threading.Thread(target=stop_the_first_daemon)
    watcher.start()
    try:
        process.start()
        watcher.join()
        assert process.resources["CPU"] >= 1
        assert len(stopped) == 1
        assert not alive(stopped)
    finally:
        process.close()


def test_workers_that_would_import_another_toolkit_are_no_cluster(tmp_path, monkeypatch):
    """Ray's workers look in the current folder first: another package of one of our names there is named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scaling").mkdir()  # the user's data, no package
    assert shadowed(tmp_path) is None
    shutil.copytree(Path(rewards.__file__).parent, tmp_path / "rewards")  # the same toolkit, from where it was cloned
    assert shadowed(tmp_path) is None
    (tmp_path / "rewards/mine.py").write_text("")
    with pytest.raises(NoRay, match=r"holds another 'rewards' than the toolkit's, .*__init__.py: start the command"):
        RayProcess(None).start()


@linux
def test_on_one_machine_nobody_else_can_reach_ray(ray):
    """All its daemons listen on the loopback alone, its folder is closed to others, and it has a token of its own."""
    pids = descendants(ray.call("ray_side:own_pid"))
    found = listening(pids)
    assert found
    assert found <= {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}, found
    folder = Path(ray.call("ray_side:place"))
    assert folder.stat().st_mode & 0o077 == 0
    secrets = {
        line
        for pid in pids
        for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        if line.startswith(b"RAY_AUTH")
    }
    assert {line.partition(b"=")[0] for line in secrets} == {b"RAY_AUTH_MODE", b"RAY_AUTH_TOKEN"}
    assert b"RAY_AUTH_MODE=token" in secrets
    assert "RAY_AUTH_TOKEN" not in os.environ


@linux
def test_nothing_of_ray_is_started_that_nobody_uses(ray):
    """No dashboard, no autoscaler and no reader of workers' logs, which take as long to start as all the rest."""
    started = [Path(f"/proc/{pid}/cmdline").read_text() for pid in descendants(ray.call("ray_side:own_pid"))]
    assert any("raylet" in words for words in started)
    assert not [words for words in started if any(each in words for each in ("dashboard.py", "monitor.py"))]


@pytest.mark.parametrize("mode", ["missing", "wrong"])
def test_a_token_that_is_missing_or_wrong_is_said_in_one_line(ray, mode, tmp_path, monkeypatch):
    """Without waiting for Ray to give up, and without what its C++ code prints."""
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # else 127.0.0.1 is taken for the machine's other one
    monkeypatch.setenv("HOME", str(tmp_path))
    if mode == "wrong":
        monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    other, begun = RayProcess(ray.call("ray_side:address")), time.monotonic()
    with pytest.raises(NoRay) as caught:
        other.start()
    other.close()
    assert {"missing": "no token for", "wrong": "has another token"}[mode] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - begun < 30


def test_an_address_without_ray_is_said_in_half_a_minute(monkeypatch):
    """Whether nothing listens there, or something that is no Ray; here the wait is a shorter one."""
    assert ray_process._CONNECT_S <= 25
    monkeypatch.setattr(ray_process, "_CONNECT_S", 4.0)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port, begun = deaf.getsockname()[1], time.monotonic()
        with pytest.raises(NoRay, match=f"no Ray cluster answers at '127.0.0.1:{port}'"):
            RayProcess(f"127.0.0.1:{port}").start()
        assert time.monotonic() - begun < 20
    with pytest.raises(NoRay, match=rf"no Ray cluster at 127\.0\.0\.1:{port}: connection refused"):
        RayProcess(f"127.0.0.1:{port}").start()


def test_what_is_asked_for_is_answered_and_its_error_is_raised_here(ray):
    """An error of an answer is kept until the function that asked has ended in good order."""

    def trouble():
        raise KeyError("of ours")

    assert ray.call("ray_side:ask_twice", answers={"number": lambda n: n + 1, "trouble": lambda: 5}) == 5
    with pytest.raises(KeyError, match="of ours"):
        ray.call("ray_side:ask_twice", answers={"number": lambda n: n + 1, "trouble": trouble})


def test_what_is_told_comes_in_order_before_what_is_asked_then_and_its_error_is_raised_here(ray):
    """Nobody waits for it there, and a later question is answered all the same."""
    told = []

    def trouble():
        raise KeyError("of ours")

    def noted():
        told.append("asked")
        return True

    with pytest.raises(KeyError, match="of ours"):
        ray.call("ray_side:tell_thrice_and_ask", answers={"note": told.append, "trouble": trouble, "noted": noted})
    assert told == [1, 2, "asked"]


@linux
def test_a_process_that_aborts_is_a_failure_and_leaves_nothing():
    """Ray's C++ code ends its process where it loses the head node; this process goes on, and can start another."""
    process = RayProcess(None)
    process.start()
    pids, folder = descendants(process.call("ray_side:own_pid")), Path(process.call("ray_side:place"))
    with pytest.raises(RayFailed, match="SIGABRT"):
        process.call("ray_side:die")
    process.close()
    assert not folder.exists()
    wait_for(lambda: not alive(pids))


@linux
def test_nothing_is_left_of_one_whose_owner_was_killed(tmp_path):
    """Ray, its workers and its files are gone within seconds, though Ray's process was at work and workers starting."""
    code = """
import sys
sys.path.insert(0, {here!r})
import rewards
from nas.cluster.process import RayProcess
process = RayProcess(None)
process.start()
print(process.call("ray_side:own_pid"), process.call("ray_side:place"), flush=True)
process.call("ray_side:start_workers", 2, answers={{"still": lambda: None}})
"""

    def starting(pid):
        lines = [Path(f"/proc/{each}/cmdline") for each in descendants(pid)]
        return [line for line in lines if line.exists() and b"default_worker" in line.read_bytes()]

    command = [sys.executable, "-c", code.format(here=str(Path(__file__).parent))]
    variables = os.environ | {"RAY_TMPDIR": str(tmp_path)}  # for the files of a Ray that is started by mistake
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables) as owner:
        pid, folder = owner.stdout.readline().split()
        wait_for(lambda: starting(int(pid)))
        pids = descendants(int(pid))
        assert len(pids) > 3
        owner.kill()
    wait_for(lambda: not alive(pids) and not Path(folder).exists())
    assert not list(tmp_path.iterdir())


def test_the_next_one_removes_what_processes_left_that_were_all_killed(tmp_path, monkeypatch):
    """Also what one of them wrote after that; but not what is in use, or just being made."""
    monkeypatch.setattr("nas.cluster.scratch._root", lambda *, sockets: tmp_path)
    with scratch() as used:
        left, late, new = (tmp_path / f"nas-ray-{name}" for name in ("left", "late", "new"))
        for folder in (left, late, new):
            folder.mkdir()
        (left / "lock").touch()
        os.utime(late, (0, 0))
        sweep(tmp_path)
        assert sorted(tmp_path.iterdir()) == sorted([used.folder, new])
        new.rmdir()
    assert not list(tmp_path.iterdir())
