"""What must not hold a search up for ever."""

import os
import signal

import pytest

LIMITED = """
space: {name: small, image_size: 8}
image_size: 8
algorithm: {name: random, seed: 10}
search: {trials: TRIALS, evaluator: "cheap:evaluate", time_limit_s: 3}
device: cpu
"""


def workers(machine):
    return machine.processes("ray::ImplicitFunc")


@pytest.mark.timeout(300)
def test_a_worker_that_is_stopped_does_not_hold_up_the_search(cluster, search):
    """It cannot keep its time limit, so the driver does."""
    nodes = cluster[1:]
    for node in nodes:
        node.file("/tmp/pace").write_text("1")
    run = search(6, config=LIMITED, folder="stopped")
    run.until(lambda: any(workers(node) for node in nodes) and run.started() > 2)
    stopped = next(pid for node in nodes for pid in workers(node))
    os.kill(stopped, signal.SIGSTOP)
    assert run.finish() == 0, run.output
    assert len(run.trials) == 6
    assert {trial["status"] for trial in run.trials} <= {"ok", "timeout"}
