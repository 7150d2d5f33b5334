"""Searches over three machines that lose their driver, a cable, and their head."""

import os
import signal
import time

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


@minutes
def test_a_cable_that_is_out_costs_half_a_minute(cluster, search):
    """What ran there is run elsewhere after that, although nobody has closed the connection."""
    _, cut, other = cluster
    pace([other], 0.3)
    before = len(began(cut))
    run = search(4, folder="cable")
    wait_for(lambda: len(began(cut)) > before and len(run.trials) == 3)
    cut.cable(False)
    out = time.monotonic()
    assert run.finish() == 0, run.output
    assert time.monotonic() - out < 60
    assert len(run.trials) == 4
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
