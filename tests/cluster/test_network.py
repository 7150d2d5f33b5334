"""Searches over three machines that lose their driver, a worker, a cable, and their head; a training by two of them."""

import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest

minutes = pytest.mark.skipif(not os.environ.get("NAS_TEST_FAULTS"), reason="takes minutes: set NAS_TEST_FAULTS=1")


def wait_for(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


def began(machine):
    """The processes, as the machine counts, in which candidates began there."""
    ran = machine.file("/tmp/ran")
    return [line.split()[2] for line in ran.read_text().splitlines() if "begin" in line] if ran.exists() else []


def lives(machine, pid):
    return machine.run("sh", "-c", f"kill -0 {pid} 2>/dev/null && echo yes || echo no").strip() == "yes"


def pace(machines, seconds):
    for machine in machines:
        machine.file("/tmp/pace").write_text(str(seconds))


@pytest.fixture(scope="module", autouse=True)
def hasty(three):
    """A driver that gives its head up after 10 s, not 60."""
    three[0].environment["RAY_gcs_rpc_server_reconnect_timeout_s"] = "10"


def test_candidates_of_a_killed_driver_end_within_seconds(cluster, search):
    """On every node, in the midst of their evaluation; and nothing is left in the head's temporary folder."""
    head, *nodes = cluster
    pace(nodes, 1000)
    run = search(4, folder="killed")
    wait_for(lambda: all(began(node) for node in nodes))
    assert list(head.file("/tmp").glob("nas-ray-*"))
    run.signal(signal.SIGKILL)
    wait_for(lambda: not any(lives(node, began(node)[-1]) for node in nodes), 15)
    wait_for(lambda: not list(head.file("/tmp").glob("nas-ray-*")), 15)


LIMITED = """
space: {name: small, image_size: 8}
image_size: 8
algorithm: {name: random, seed: 10}
search: {trials: TRIALS, evaluator: "cheap:evaluate", time_limit_s: 3}
device: cpu
"""


@pytest.mark.timeout(300)
def test_a_worker_that_is_stopped_does_not_hold_up_the_search(cluster, search):
    """It cannot keep its time limit, so the driver does."""
    nodes = cluster[1:]
    pace(nodes, 1)
    run = search(6, config=LIMITED, folder="stopped")
    run.until(lambda: any(node.processes("ray::ImplicitFunc") for node in nodes) and run.started() > 2)
    stopped = next(pid for node in nodes for pid in node.processes("ray::ImplicitFunc"))
    os.kill(stopped, signal.SIGSTOP)
    assert run.finish() == 0, run.output
    assert len(run.trials) == 6
    assert {trial["status"] for trial in run.trials} <= {"ok", "timeout"}


TRAINING = """
data: {source: digits, minival: 0.2}
training: {epochs: 2, batch_size: 64, optimizer: rmsprop, learning_rate: 0.01, ema_decay: 0.9}
image_size: 16
eval_image_size: 16
device: cpu
"""


@pytest.fixture
def shared():
    """A folder that all machines see."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="nas-test-"))
    yield folder
    shutil.rmtree(folder)


@minutes
@pytest.mark.parametrize("interface", [None, "lo", "nosuch"])
def test_two_machines_train_together(cluster, shared, interface):
    """They find the card by which their nodes reach each other, though their names are those of the loopback.

    Where they are told one by which they do not, or that is not there, the training ends at once, with a line that
    says what to set, and not after each of its nine starts.
    """
    head, *nodes = cluster
    for node in nodes:
        node.file("/etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {node.name}\n")  # as Debian does
        node.stop_ray()
        node.environment |= {} if interface is None else {"GLOO_SOCKET_IFNAME": interface}
        node.join(head)
        node.environment.pop("GLOO_SOCKET_IFNAME", None)
    (shared / "config.yaml").write_text(TRAINING)
    words = ("r1_k3_s1_e1_i8_o8_c1", str(shared / "config.yaml"), "--out", str(shared / "out"), "--workers", "2")
    process = head.start(sys.executable, "-m", "nas.cli", "train", *words, "--address", head.ray)
    output, _ = process.communicate(timeout=280)
    if interface is None:
        assert process.returncode == 0, output
        assert json.loads((shared / "out" / "result.json").read_text())["status"] == "ok"
        assert all(node.file("/tmp/home").is_dir() for node in nodes)
    else:
        assert process.returncode == 2, output
        assert re.search(rf"{interface}.*set GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME on every node", output), output


@minutes
def test_a_cable_that_is_out_costs_half_a_minute(cluster, search):
    """What ran there is run elsewhere after that, although nobody has closed the connection."""
    _, cut, other = cluster
    pace([other], 0.3)
    pace([cut], 1000)  # what begins there does not end there
    before = len(began(cut))
    run = search(4, folder="cable")
    wait_for(lambda: len(began(cut)) > before and len(run.trials) == 3)
    cut.cable(False)
    out = time.monotonic()
    wait_for(lambda: len(run.trials) == 4, 60)
    print(f"the trial came {time.monotonic() - out:.0f} s later")
    assert run.finish() == 0, run.output
    cut.cable(True)


@minutes
def test_a_head_that_is_started_again_is_waited_for(cluster, search):
    """The search says so in a line, without what Ray's C++ code prints, and goes on where it was."""
    head, *nodes = cluster
    pace(nodes, 5)
    run = search(6, folder="head")
    wait_for(lambda: len(run.trials) >= 1)
    for machine in cluster:
        machine.stop_ray()
    time.sleep(20)
    assert run.process.poll() is None
    head.start_head()
    for node in nodes:
        node.join(head)
    assert run.finish(200) == 0, run.output
    assert sorted(trial["trial_id"] for trial in run.trials) == list(range(6))
    assert run.output.count("Ray failed and is started again") == 1, run.output
    noise = [line for line in run.output.splitlines() if "rpc_client" in line or "***" in line or "GCS" in line]
    assert not noise, run.output
