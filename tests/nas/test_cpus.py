"""The CPUs that this process may use: affinity and container limits, not what the machine has."""

import math
import os
import subprocess
import sys

import pytest

from nas.cpus import available_cpus, container_limit

ONE = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
needs_affinity = pytest.mark.skipif(ONE is None, reason="needs Linux's affinity")


def on_one_cpu(code, **environment):
    """What a process prints that was started under `taskset`."""
    command = ["taskset", "-c", str(ONE), sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@needs_affinity
def test_affinity_counts():
    """Under `taskset -c 0` there is one CPU."""
    assert on_one_cpu("from nas.cpus import available_cpus; print(available_cpus())") == "1"


@needs_affinity
@pytest.mark.timeout(300)
def test_a_search_on_one_core_runs_one_trial_at_a_time():
    """Ray, started by the search, hands out what the process may use, not what the machine has."""
    code = """
from nas.cluster.connection import connect, disconnect
from nas.cluster.share import Share, slots
there = connect(None)
print(there["CPU"], slots(Share(1.0, 0.0), None, there, elastic=False))
disconnect()
"""
    assert on_one_cpu(code, RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0") == "1.0 1"


@needs_affinity
def test_more_trials_than_the_core_holds_are_refused():
    """Also where they were asked for by number."""
    code = """
from nas.cluster.share import Share, slots
from nas.cpus import available_cpus
try:
    slots(Share(1.0, 0.0), 2, {"CPU": available_cpus()}, elastic=False)
except ValueError as error:
    print(error)
"""
    assert on_one_cpu(code) == "search.workers is 2, but only 1 trials fit on this machine at once"


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


@pytest.mark.parametrize(("text", "limit"), [("max 100000", math.inf), ("250000 100000", 2.5), ("50000 100000", 0.5)])
def test_the_limit_of_a_container(tmp_path, text, limit):
    """Version 2, as Docker and Kubernetes have it: the container's own group is what it sees as the root."""
    write(tmp_path / "fs", cpu__max=text)
    (tmp_path / "own").write_text("0::/\n")
    assert container_limit(tmp_path / "own", tmp_path / "fs") == limit


def test_the_tightest_limit_of_groups_within_groups(tmp_path):
    """As systemd and SLURM have it: a group has the limits of those above it, too."""
    write(tmp_path / "fs")
    write(tmp_path / "fs/user.slice", cpu__max="150000 50000")
    write(tmp_path / "fs/user.slice/job", cpu__max="400000 100000")
    write(tmp_path / "fs/user.slice/job/step", cpu__max="max 100000")
    (tmp_path / "own").write_text("0::/user.slice/job/step\n")
    assert container_limit(tmp_path / "own", tmp_path / "fs") == 3


@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize("inside", ["", "docker/1f2e"])
def test_the_limit_of_version_1(tmp_path, controllers, inside):
    """Also where the group's path is the host's, which the container does not see."""
    files = {"cpu__cfs_quota_us": "150000", "cpu__cfs_period_us": "100000"}
    write(tmp_path / "fs" / controllers / inside, **files)
    (tmp_path / "own").write_text(f"4:memory:/\n3:{controllers}:/docker/1f2e\n")
    assert container_limit(tmp_path / "own", tmp_path / "fs") == 1.5
    write(tmp_path / "fs" / controllers / inside, **files | {"cpu__cfs_quota_us": "-1"})
    assert container_limit(tmp_path / "own", tmp_path / "fs") == math.inf


@pytest.mark.parametrize("text", ["", "nonsense", "0::/gone", "::", "0:cpu:/x"])
def test_no_groups_are_no_limit(tmp_path, text):
    """On a machine without them, or with some that cannot be read."""
    (tmp_path / "own").write_text(text)
    write(tmp_path / "fs/x", cpu__max="three 5")
    assert container_limit(tmp_path / "own", tmp_path / "fs") == math.inf
    assert container_limit(tmp_path / "nothing") == math.inf


@pytest.mark.parametrize(("limit", "cpus"), [(0.5, 1), (1.9, 1), (math.inf, 3), (2.0, 2), (8.0, 3)])
def test_parts_of_a_cpu_are_none_but_one_there_always_is(monkeypatch, limit, cpus):
    """Of three CPUs that a process may run on, as many as its limit is worth."""
    monkeypatch.setattr("nas.cpus.container_limit", lambda: limit)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 4, 5}, raising=False)
    assert available_cpus() == cpus
