"""Searches whose evaluator or algorithm has a bug: the error is said where people look, and nothing goes on in vain."""

import pytest

from nas.cli import main
from nas.runs.folder import TRIALS
from nas.runs.log import read_lines

CONFIG = """
space: {name: small, image_size: 8}
image_size: 8
algorithm: {name: random, seed: 1}
search: {trials: 5, workers: 1, evaluator: "EVALUATOR"}
device: cpu
"""


@pytest.fixture
def search(tmp_path, one_ray, capsys):
    """Runs the command; gives its exit status, what it printed on both streams, and the trials."""

    def run(evaluator, *changes):
        config = CONFIG.replace("EVALUATOR", evaluator)
        for before, after in changes:
            assert before in config
            config = config.replace(before, after)
        (tmp_path / "config.yaml").write_text(config)
        status = main(["search", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "run")])
        log = tmp_path / "run" / TRIALS
        return status, *capsys.readouterr(), read_lines(log) if log.exists() else None

    return run


@pytest.mark.timeout(300)
def test_when_every_trial_fails_the_error_is_shown_and_the_status_is_not_0(search):
    """With a bug in one's evaluator a search ends without a result: its error is on the screen, not in a file alone."""
    status, out, err, _ = search("broken:fails")
    assert status == 1, err
    assert "failed: ValueError: no such column: acc" in err
    assert err.count("no such column") == 3
    out = " ".join(out.split())  # whose lines are broken between words
    assert "none of 5 trials was scored: failed 5; the last errors: trial " in out
    assert "ValueError: no such column: acc" in out


@pytest.mark.timeout(300)
def test_whatever_a_candidate_does_is_an_answer(search):
    """Errors that look like markup, cannot be said or encoded; exits; numbers that are none: the search goes on.

    Text in place of a number is that trial's error, said where it comes from; NumPy's numbers are numbers.
    """
    status, _, err, trials = search("broken:misbehaves", ("trials: 5", "trials: 10"))
    assert status == 0, err
    assert "ValueError: [/data/x] [bold]gone[/]" in err
    assert "Silent: (its message cannot be had: RuntimeError)" in err
    assert r"ValueError: caf\udce9" in err
    assert [trial["status"] for trial in trials] == ["failed"] * 5 + ["nan"] + ["failed"] * 3 + ["ok"]
    errors = [trial["error"] for trial in trials]
    assert errors[3].startswith("SystemExit: 0 (at ")
    assert len(errors[4]) < 600
    assert errors[5] == "its accuracy was nan"
    assert errors[6].startswith("ValueError: accuracy must be in [0, 1], got 82.6")
    assert errors[7].startswith("ValueError: params must be a number, got 'many'")
    assert errors[8].startswith("ValueError: accuracy must be a number, got '0.5'")
    assert (trials[9]["accuracy"], trials[9]["reward"]) == (0.5, 0.25)
    assert {trial["attempt"] for trial in trials} == {1}


@pytest.mark.timeout(300)
def test_a_bug_in_the_algorithm_is_not_rays_failure(search, tmp_path, capsys):
    """What runs is finished and logged, the bug's own traceback is shown, and nothing is started over."""
    with pytest.raises(KeyError, match="my bug"):
        search("broken:tells_numpy", ("name: random", 'name: "broken:Gives3"'), ("workers: 1", "workers: 2"))
    assert "Ray failed" not in capsys.readouterr().err
    assert [t["status"] for t in read_lines(tmp_path / "run" / TRIALS)] == ["ok"] * 3


@pytest.mark.timeout(300)
def test_the_time_limit_covers_a_workers_imports(search):
    """A module that hangs on import costs a trial its time limit, not a worker for good."""
    limits = ("trials: 5, workers: 1", "trials: 2, workers: 2, time_limit_s: 3, max_attempts: 1")
    status, _, err, trials = search("hanging:evaluate", limits)
    assert status == 1, err
    assert [trial["status"] for trial in trials] == ["timeout"] * 2


@pytest.mark.parametrize("evaluator", ["nothing:evaluate", "broken:evaluates"])
def test_an_evaluator_that_cannot_be_imported_is_refused(search, tmp_path, evaluator):
    """A misspelt name costs a second, not a hundred failed trials, and writes nothing."""
    status, _, err, _ = search(evaluator)
    assert status == 2
    assert f"search.evaluator '{evaluator}' cannot be imported" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()
