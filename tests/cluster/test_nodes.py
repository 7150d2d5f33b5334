"""Searches over machines that share no disk: trials run wherever they can, and on every node that is there."""

import signal

import pytest


@pytest.mark.timeout(300)
def test_nodes_join_go_and_come_back(three, join, search):
    """The log is on the head alone. A node that joins gets its share of short trials, also after it was away."""
    head, first, second = three
    head.start_head()
    join(head, [first])
    run = search(5000)
    run.until(lambda: run.done_on(first) >= 2)
    join(head, [second])
    run.until(lambda: run.done_on(second) >= 2)
    before = run.done_on(first), run.done_on(second)
    run.until(lambda: run.done_on(first) + run.done_on(second) >= sum(before) + 20)
    shares = run.done_on(first) - before[0], run.done_on(second) - before[1]
    assert min(shares) >= 5, f"one node did nearly all: {shares}"
    second.stop_ray()
    alone = run.done_on(second)
    run.until(lambda: run.done_on(first) >= before[0] + shares[0] + 10)
    assert run.done_on(second) <= alone + 1
    join(head, [second])
    run.until(lambda: run.done_on(second) > alone + 2)
    run.signal(signal.SIGINT)
    assert run.finish() == 130, run.output
    assert {trial["status"] for trial in run.trials} == {"ok"}
    assert len({trial["trial_id"] for trial in run.trials}) == len(run.trials)
    assert not any(node.file("/tmp/run").exists() for node in (first, second))
