"""Searches on real Ray nodes with faults of their own: a node's fault never becomes a candidate's result."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nas.runs.folder import TRIALS
from nas.runs.log import read_lines

HOSTS = Path(__file__).parent / "hosts"
CONFIG = """
space: {name: small, image_size: 8}
image_size: 8
data: {source: "lab:READER"}
training: {batch_size: 16}
algorithm: random
search: {trials: TRIALS, evaluator: "lab:EVALUATE", time_limit_s: LIMIT}
device: cpu
"""


def environment(**more):
    path = os.pathsep.join([str(HOSTS), os.environ.get("PYTHONPATH", "")])
    loopback = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "disabled"}
    return os.environ | loopback | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"} | more


def start(tmp_path, *arguments, trials, evaluate="evaluate", limit_s=4, under=(), **more):
    """Start the search's command, under another one; FLAGS is a folder in which tests tell evaluators what to do."""
    (tmp_path / "flags").mkdir(exist_ok=True)
    config = CONFIG.replace("TRIALS", str(trials)).replace("EVALUATE", evaluate).replace("LIMIT", str(limit_s))
    (tmp_path / "c.yaml").write_text(config)
    command = [sys.executable, "-m", "nas.cli", "search", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run")]
    variables = environment(FLAGS=str(tmp_path / "flags"), NAS_CACHE=str(tmp_path / "cache"), **more)
    with (tmp_path / "errors").open("w") as errors:
        return subprocess.Popen([*under, *command, *arguments], env=variables, stderr=errors, start_new_session=True)


def ended(process, tmp_path, seconds=200):
    """Wait for the search; give its exit status, its trials and what it said."""
    try:
        process.wait(seconds)
    finally:
        process.kill()
    return process.returncode, read_lines(tmp_path / "run" / TRIALS), (tmp_path / "errors").read_text()


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


@contextlib.contextmanager
def cluster(tmp_path):
    """Give the address of a new cluster, and a function that adds a node with an environment."""
    variables = environment(RAY_memory_monitor_refresh_ms="0", FLAGS=str(tmp_path / "flags"))
    command = [sys.executable, str(HOSTS / "nodes.py")]
    process = subprocess.Popen(
        command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )

    def add(number, **more):
        lacking = os.pathsep.join([str(HOSTS / "lacking"), variables["PYTHONPATH"]])
        own = {"NODE": str(number), "NAS_CACHE": str(tmp_path / f"cache-{number}"), "PYTHONPATH": lacking}
        process.stdin.write(json.dumps(own | more) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    try:
        yield json.loads(process.stdout.readline())["address"], add
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def flat(trial):
    return trial | trial.get("metrics", {})


@pytest.mark.timeout(300)
def test_a_node_at_fault_gets_no_trial_and_one_that_decodes_slowly_no_timeout(tmp_path):
    """Where all nodes lack the same it's the user's mistake, and ends the search after the second try with the reason.

    With a node that can, no toolkit, no evaluator, other images are each said once, and cost no candidate.
    """
    with cluster(tmp_path) as (address, add):
        add(1, LACKS="lab")
        status, trials, said = ended(start(tmp_path, "--address", address, trials=6), tmp_path)
        assert (status, trials) == (2, []), said
        assert "no node of the cluster can run a trial" in said.splitlines()[-1]
        assert "lab is not installed there" in said.splitlines()[-1]
        add(2, LACKS="nas")
        add(3, IMAGES="2")
        add(4, DECODE_S="8")
        status, trials, said = ended(start(tmp_path, "--address", address, trials=6), tmp_path)
    assert status == 0, said
    assert [(trial["status"], trial["node"]) for trial in map(flat, trials)] == [("ok", 4)] * 6
    aside = [line for line in said.splitlines() if "is set aside and tried again in 10 s" in line]
    assert len(aside) == 3, said
    for reason in ("nas is not installed there", "lab is not installed there", "its images or their split are not"):
        assert sum(reason in line for line in aside) == 1, said


@pytest.mark.timeout(300)
def test_nodes_come_and_go_and_come_back(tmp_path):
    """Short trials spread over a node that joins; one that breaks loses no trial, and is used again once it works."""

    def done_on(number):
        return sum(flat(trial)["node"] == number for trial in read_lines(tmp_path / "run" / TRIALS))

    with cluster(tmp_path) as (address, add):
        add(1)
        process = start(tmp_path, "--address", address, trials=5000)
        wait_for(lambda: done_on(1) >= 3)
        add(2)
        wait_for(lambda: done_on(2) >= 1)
        before = done_on(1), done_on(2)
        wait_for(lambda: done_on(1) + done_on(2) >= sum(before) + 40)
        after = done_on(1), done_on(2)
        (tmp_path / "flags" / "broken-2").touch()
        wait_for(lambda: "is set aside" in (tmp_path / "errors").read_text())
        alone = done_on(2)
        time.sleep(2)
        assert done_on(2) == alone
        (tmp_path / "flags" / "broken-2").unlink()
        wait_for(lambda: done_on(2) > alone)
        process.send_signal(signal.SIGINT)
        status, trials, said = ended(process, tmp_path, 60)
    assert min(now - then for now, then in zip(after, before, strict=True)) >= 10, "one node did nearly all"
    assert status == 130, said
    assert {trial["status"] for trial in trials} == {"ok"}
    assert "the disk of node 2 is gone" in said
    assert said.count("is set aside") == said.count("is used again") == 1


@pytest.mark.timeout(300)
def test_the_driver_keeps_the_time_limit_of_a_process_that_cannot(tmp_path):
    """A process that was stopped keeps no limit by itself; its place is free again."""
    begun = time.monotonic()
    process = start(tmp_path, "--workers", "1", trials=3, evaluate="evaluate_with_one_that_stops", limit_s=2)
    status, trials, said = ended(process, tmp_path, 120)
    assert status == 0, said
    assert sorted(trial["status"] for trial in trials) == ["ok", "ok", "timeout"]
    assert "did not end within 2 s" in next(trial["error"] for trial in trials if trial["status"] == "timeout")
    assert time.monotonic() - begun < 90


@contextlib.contextmanager
def container(limit_mb):
    """Give the folder of a new control group with a memory limit, or None where this process may make none."""
    paths = [line.rstrip("\n").split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    roots = {"memory": Path("/sys/fs/cgroup/memory"), "": Path("/sys/fs/cgroup")}
    names = {"memory": "memory.limit_in_bytes", "": "memory.max"}
    made = None
    for _, controllers, path in sorted(paths, key=lambda parts: parts[1], reverse=True):
        group = roots.get(controllers, Path("/nowhere")) / path.strip("/") / f"nas-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / names[controllers]).write_text(str(limit_mb * 2**20))
            made = group
            break
        except OSError:
            group.rmdir()
    try:
        yield made
    finally:
        if made is not None:
            for number in (made / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(number), signal.SIGKILL)
            wait_for(lambda: not (made / "cgroup.procs").read_text())
            made.rmdir()


@pytest.mark.timeout(300)
def test_a_process_that_the_memory_limit_of_its_container_ends_is_oom(tmp_path):
    """It runs as often as one that dies otherwise; then its status says what it died of."""
    with container(limit_mb=4000) as group:
        if group is None:
            pytest.skip("makes no control group with a memory limit here")
        under = ("sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh")
        arguments = {"trials": 3, "evaluate": "evaluate_with_one_that_is_too_large", "limit_s": "null"}
        process = start(tmp_path, "--workers", "1", under=under, **arguments)
        status, trials, said = ended(process, tmp_path, 150)
    assert status == 0, said
    assert sorted(trial["status"] for trial in trials) == ["ok", "ok", "oom"], trials
    assert "memory ran out" in next(trial["error"] for trial in trials if trial["status"] == "oom")
