"""Real searches on real Ray processes, really killed: no candidate is lost, doubled or left without its status."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nas.runs.folder import PROPOSALS, TRIALS, locked
from nas.runs.log import read_lines
from search_space.architecture import Architecture
from tests.processes import descendants

EVALUATORS = Path(__file__).parent / "evaluators"
sys.path.insert(0, str(EVALUATORS))
from misbehaving import EXPECTED, kind  # noqa: E402

KILLS = int(os.environ.get("NAS_TEST_KILLS", "3"))
CONFIG = """
space: {name: small, image_size: 8}
image_size: 8
algorithm: {name: random, seed: 10}  # its first 20 candidates are of every kind
search: {trials: TRIALS, workers: 2, time_limit_s: 3, max_attempts: 3, evaluator: "misbehaving:evaluate"}
device: cpu
"""


def environment():
    path = os.pathsep.join([str(EVALUATORS), os.environ.get("PYTHONPATH", "")])
    loopback = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "disabled"}
    return os.environ | loopback | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def start(tmp_path, trials, *arguments):
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.replace("TRIALS", str(trials)))
    command = [sys.executable, "-m", "nas.cli", "search", str(config), "--out", str(tmp_path / "run"), *arguments]
    return subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def finish(process, seconds=170):
    output, _ = process.communicate(timeout=seconds)
    return output


def wait_for(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def started(tmp_path):
    events = read_lines(tmp_path / "run" / PROPOSALS)
    return sum(event["event"] == "started" for event in events)


def check_answers(tmp_path, trials):
    """Every candidate has one answer, the one its behaviour asks for, and it is the candidate that was proposed."""
    records = read_lines(tmp_path / "run" / TRIALS)
    assert sorted(record["trial_id"] for record in records) == list(range(trials))
    assert len({record["arch_id"] for record in records}) == trials
    proposed = [e for e in read_lines(tmp_path / "run" / PROPOSALS) if e["event"] == "proposed"]
    assert {e["trial_id"]: e["architecture"] for e in proposed} == {r["trial_id"]: r["architecture"] for r in records}
    for record in records:
        assert record["status"] == EXPECTED[kind(record["arch_id"])], record
        assert (record["reward"] is None) == (record["status"] != "ok")
        assert (record["error"] is None) == (record["status"] == "ok")
    return records


@pytest.mark.timeout(600)
def test_a_driver_killed_again_and_again_answers_every_candidate_once(tmp_path):
    """kill -9 at random moments, with candidates that raise, crash and hang, loses and doubles nothing."""
    rng, trials = random.Random(time.time_ns()), 20
    before = b""
    for _ in range(KILLS):
        process = start(tmp_path, trials)
        count = started(tmp_path)
        wait_for(lambda: started(tmp_path) > count or process.poll() is not None)  # noqa: B023
        time.sleep(rng.uniform(0, 4))
        process.kill()
        process.communicate()
        log = tmp_path / "run" / TRIALS
        whole = log.read_bytes() if log.exists() else b""
        assert whole.startswith(before), "a finished trial changed"
        before = whole[: whole.rfind(b"\n") + 1]
        if process.returncode == 0:
            break
    process = start(tmp_path, trials)
    output = finish(process)
    assert process.returncode == 0, output
    assert (tmp_path / "run" / TRIALS).read_bytes().startswith(before)
    check_answers(tmp_path, trials)
    assert {kind(r["arch_id"]) for r in read_lines(tmp_path / "run" / TRIALS)} == set(EXPECTED), "every kind took part"


def command_line(pid):
    """What a process was started as; empty once it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def to_group(search):
    return [-search]  # as a terminal and `timeout` do


@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("number", "whom"), [(signal.SIGINT, to_group), (signal.SIGTERM, descendants)])
def test_signals_stop_in_good_order_and_the_same_command_goes_on(tmp_path, number, whom):
    """Ctrl-C and SIGTERM end the search with a line that says so; running it again finishes it, quietly in a pipe.

    So they do where the whole process group is told, and where each process is, Ray's too, as systemd and Slurm do:
    what dies of that is no death of a candidate. Nothing of Ray is left then.
    """
    process = start(tmp_path, 8)
    wait_for(lambda: len(read_lines(tmp_path / "run" / TRIALS)) >= 1)
    of_ray = {pid: command_line(pid) for pid in descendants(process.pid)[1:]}
    (place,) = {part for line in of_ray.values() for part in re.findall(r"/[^ ]*/nas-ray-[^/ ]*", line)}
    assert Path(place).exists()
    for pid in whom(process.pid):
        with contextlib.suppress(ProcessLookupError):  # a candidate's may have ended meanwhile
            os.kill(pid, number)
    output = finish(process, 60)
    assert process.returncode == 128 + number, output
    assert "The same command goes on from there" in output
    events = read_lines(tmp_path / "run" / PROPOSALS)
    assert events[-1]["event"] == "stopped"
    assert any(event.get("trial_ids") for event in events), "nothing ran"
    what = {
        e["trial_id"]: kind(Architecture.from_dict(e["architecture"]).arch_id) for e in events if "architecture" in e
    }
    assert {what[e["trial_id"]] for e in events if e["event"] in ("died", "lost")} <= {"segfault"}, events
    wait_for(lambda: not any(line and command_line(pid) == line for pid, line in of_ray.items()), 10)
    assert not Path(place).exists()
    process = start(tmp_path, 8)
    output = finish(process)
    assert process.returncode == 0, output
    check_answers(tmp_path, 8)
    noise = [line for line in output.splitlines() if "raylet" in line or "ray." in line.lower() or "WARNING" in line]
    assert not noise, output
    assert output.count("\n") < 40, output


def test_two_searches_cannot_write_one_run(tmp_path):
    """A second search on the same folder is turned away in one line at once, whatever state the first is in."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"run_id": "first"}')
    with locked(tmp_path / "run"):
        process = start(tmp_path, 6)
        output = finish(process)
    assert process.returncode == 2, output
    assert "another search is running" in output.splitlines()[-1]
    assert not (tmp_path / "run" / TRIALS).exists()


@pytest.mark.timeout(600)
def test_a_worker_node_killed_in_the_search_costs_nothing(tmp_path, monkeypatch):
    """Worker nodes die by kill -9 while their candidates run; the search goes on with those that are left or new."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "0")
    monkeypatch.setenv("MISBEHAVING_S", "1.5")  # long enough for a node to die under them
    script = Path(__file__).parent / "evaluators" / "cluster.py"
    cluster = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )

    def tell(word):
        cluster.stdin.write(word + "\n")
        cluster.stdin.flush()
        return json.loads(cluster.stdout.readline())

    try:
        address = json.loads(cluster.stdout.readline())["address"]
        process = start(tmp_path, 12, "--address", address)
        for _ in range(3):
            count = len(read_lines(tmp_path / "run" / TRIALS))
            wait_for(lambda: len(read_lines(tmp_path / "run" / TRIALS)) > count)  # noqa: B023
            tell("kill")
        output = finish(process)
        assert process.returncode == 0, output
    finally:
        os.killpg(cluster.pid, signal.SIGKILL)
        cluster.communicate()
    check_answers(tmp_path, 12)
