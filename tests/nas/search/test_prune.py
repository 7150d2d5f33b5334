"""Trials that can no longer win are stopped, and the log says which and why."""

import pytest

from nas.cli import main
from nas.runs.folder import TRIALS
from nas.runs.log import read_lines

CONFIG = """
space: {name: small, image_size: 8}
image_size: 8
training: {epochs: 9}
algorithm: random
search: {trials: 40, workers: 2, prune: PRUNE, prune_top: 5, evaluator: "learning:evaluate"}
device: cpu
"""


@pytest.fixture
def search(tmp_path, one_ray, capsys):
    """Runs the command on CONFIG, with texts in place of others; gives its status, what it said, and its trials."""

    def run(prune, *changes):
        config = CONFIG.replace("PRUNE", prune)
        for before, after in changes:
            assert before in config
            config = config.replace(before, after)
        (tmp_path / "c.yaml").write_text(config)
        status = main(["search", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run")])
        log = tmp_path / "run" / TRIALS
        return status, capsys.readouterr().err, read_lines(log) if log.exists() else []

    return run


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("prune", "least_saved"), [("asha", 0.4), ("bound", 0.15)])
def test_pruned_trials_are_the_worse_ones(search, prune, least_saved):
    """Both ways spare epochs, none after half of them, never stop the best trial, and leave every trial an answer."""
    status, said, trials = search(prune)
    assert status == 0, said
    assert sorted(t["trial_id"] for t in trials) == list(range(40))
    pruned = [t for t in trials if t["status"] == "pruned"]
    finished = [t for t in trials if t["status"] == "ok"]
    assert all(len(t["curve"]) == 9 for t in finished)
    assert all(len(t["curve"]) <= 9 / 2 and t["reward"] is None for t in pruned)
    assert all(t["error"].startswith(f"stopped after epoch {len(t['curve'])}") for t in pruned)
    assert 1 - sum(len(t["curve"]) for t in trials) / (9 * 40) >= least_saved

    def slope(trial):  # the final accuracy, by which these candidates differ
        return trial["curve"][-1]["accuracy"] / len(trial["curve"])

    assert max(map(slope, finished)) >= max(map(slope, pruned))
    assert all(epoch["reward"] == epoch["accuracy"] for t in trials for epoch in t["curve"])


@pytest.mark.timeout(300)
def test_a_trial_pruned_after_the_deadline_is_answered(search):
    """Out of time is no signal: a trial that is stopped when none is started any more ends the search, too."""
    status, said, trials = search(
        "asha",
        ("trials: 40, workers: 2", "trials: 40, workers: 4, cpus_per_trial: 0.5, max_hours: 0.0035"),
        ("learning:evaluate", "learning:evaluate_past_the_deadline"),
    )
    assert status == 0, said
    assert {t["status"] for t in trials} == {"ok", "pruned"}
    assert len(trials) == 4


def test_a_bound_without_step_time_is_refused_at_the_start(search, tmp_path):
    """An evaluator of one's own says what it gives: one that does not is refused before anything runs."""
    status, said, _ = search("bound", ("learning:evaluate", "learning:evaluate_without_step_time"))
    assert status == 2
    assert "search.prune bound needs s_normalised, p_normalised, w, v of every trial" in said
    assert "evaluate_without_step_time.gives = ('s_normalised', 'p_normalised', 'w', 'v')" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.timeout(300)
def test_what_the_judge_raises_ends_the_search_with_its_own_line(search):
    """A fault in what we do for Ray is not Ray's failure, which would be started again twenty times."""
    status, said, trials = search("bound", ("learning:evaluate", "learning:claim_step_time"))
    assert status == 2
    lines = said.strip().splitlines()
    assert "search.prune bound needs s_normalised, p_normalised, w, v of every trial" in lines[-1]
    assert "no s_normalised is reported" in lines[-1]
    assert "Ray failed" not in said
    assert {t["status"] for t in trials} <= {"ok"}
    assert len(trials) <= 2


@pytest.mark.timeout(300)
def test_where_trainings_are_compared_can_be_said(search):
    """Trials end there and nowhere else; an epoch too late, or epochs for nothing, are refused before anything runs."""
    status, said, trials = search("asha, prune_epochs: [2, 4]")
    assert status == 0, said
    assert {len(t["curve"]) for t in trials if t["status"] == "pruned"} == {2, 4}
    status, said, _ = search("asha, prune_epochs: [2, 5]")
    assert status == 2
    assert "search.prune asha: prune_epochs must be of the first half of 9 epochs" in said
    assert "got 5" in said
    status, said, _ = search("bound, prune_epochs: [2]")
    assert status == 2
    assert "prune_epochs must be ascending epochs from 1 on, with prune asha, got [2]" in said


def test_trainings_too_short_to_save_anything_are_refused(search):
    """Nobody is stopped after most of a training's cost, so with one epoch there is nothing to stop."""
    status, said, _ = search("asha", ("epochs: 9", "epochs: 1"))
    assert status == 2
    assert "search.prune asha: no epoch of the first half of 1 is evaluated" in said
