"""Searches over three machines that share no disk: trials run on every node."""


def test_a_search_runs_on_both_nodes(cluster, search):
    """The configuration, the run folder and the log are on the head alone; both nodes get trials."""
    for node in cluster[1:]:
        node.file("/tmp/pace").write_text("2")
    run = search(6, folder="both")
    assert run.finish() == 0, run.output
    assert sorted(trial["trial_id"] for trial in run.trials) == list(range(6))
    assert {trial["host"] for trial in run.trials} == {"node1", "node2"}, run.output
    for node in cluster[1:]:
        assert not node.file("/tmp/both").exists()
