"""Searches whose evaluator or algorithm has a bug: the error is said where people look, and nothing goes on in vain."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nas.runs.folder import TRIALS
from nas.runs.log import read_lines

EVALUATORS = Path(__file__).parent / "evaluators"
CONFIG = """
space: {name: small, image_size: 8}
image_size: 8
algorithm: {name: random, seed: 1}
search: {trials: 5, workers: 2, evaluator: "EVALUATOR"}
device: cpu
"""


def search(tmp_path, evaluator, program=("-m", "nas.cli"), config=CONFIG):
    path = tmp_path / "config.yaml"
    path.write_text(config.replace("EVALUATOR", evaluator))
    command = [sys.executable, *program, "search", str(path), "--out", str(tmp_path / "run")]
    loopback = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=EVALUATORS, env=os.environ | loopback, capture_output=True, text=True, timeout=170, check=False
    )


@pytest.mark.timeout(300)
def test_when_every_trial_fails_the_error_is_shown_and_the_status_is_not_0(tmp_path):
    """With a bug in one's evaluator a search ends without a result: its error is on the screen, not in a file alone."""
    done = search(tmp_path, "broken:fails")
    assert done.returncode == 1, done.stderr
    assert "failed: ValueError: no such column: acc" in done.stderr
    assert done.stderr.count("no such column") == 3
    assert "none of 5 trials was scored: failed 5; the last errors: trial " in done.stdout
    assert "ValueError: no such column: acc" in done.stdout


@pytest.mark.timeout(300)
def test_numbers_are_checked_where_they_come_from(tmp_path):
    """Text in place of a number is that trial's error; NumPy's numbers are numbers. Either log can be read."""
    done = search(tmp_path, "broken:tells_text")
    assert done.returncode == 1, done.stderr
    assert "accuracy must be a number, got '0.5'" in done.stderr
    (tmp_path / "other").mkdir()
    done = search(tmp_path / "other", "broken:tells_numpy")
    assert done.returncode == 0, done.stderr
    assert {(t["accuracy"], t["reward"]) for t in read_lines(tmp_path / "other" / "run" / TRIALS)} == {(0.5, 0.25)}


@pytest.mark.timeout(300)
def test_whatever_a_candidate_does_is_an_answer(tmp_path):
    """Errors that look like markup, cannot be said or encoded; exits; numbers that are none: the search goes on."""
    config = CONFIG.replace("trials: 5, workers: 2", "trials: 9, workers: 1")
    done = search(tmp_path, "broken:misbehaves", config=config)
    assert done.returncode == 0, done.stderr
    assert "ValueError: [/data/x] [bold]gone[/]" in done.stderr
    assert "Silent: (its message cannot be had: RuntimeError)" in done.stderr
    assert r"ValueError: caf\udce9" in done.stderr
    trials = read_lines(tmp_path / "run" / TRIALS)
    assert [trial["status"] for trial in trials] == ["failed"] * 5 + ["nan", "failed", "failed", "ok"]
    errors = [trial["error"] for trial in trials]
    assert errors[3].startswith("SystemExit: 0 (at ")
    assert len(errors[4]) < 600
    assert errors[5] == "its accuracy was nan"
    assert errors[6].startswith("ValueError: accuracy must be in [0, 1], got 82.6")
    assert errors[7].startswith("ValueError: params must be a number, got 'many'")
    assert {trial["attempt"] for trial in trials} == {1}


@pytest.mark.timeout(300)
def test_a_bug_in_the_algorithm_is_not_rays_failure(tmp_path):
    """What runs is finished and logged, the bug's own traceback is shown, and nothing is started over."""
    done = search(tmp_path, "broken:tells_numpy", program=("broken.py",))
    assert done.returncode == 1
    assert "KeyError: 'my bug'" in done.stderr
    assert "Ray failed" not in done.stderr
    assert [t["status"] for t in read_lines(tmp_path / "run" / TRIALS)] == ["ok"] * 3


@pytest.mark.timeout(300)
def test_the_time_limit_covers_a_workers_imports(tmp_path):
    """A module that hangs on import costs a trial its time limit, not a worker for good."""
    config = CONFIG.replace("trials: 5, workers: 2", "trials: 2, workers: 2, time_limit_s: 3, max_attempts: 1")
    done = search(tmp_path, "hanging:evaluate", config=config)
    assert done.returncode == 1, done.stderr
    assert [t["status"] for t in read_lines(tmp_path / "run" / TRIALS)] == ["timeout"] * 2


@pytest.mark.parametrize("evaluator", ["nothing:evaluate", "broken:evaluates"])
def test_an_evaluator_that_cannot_be_imported_is_refused(tmp_path, evaluator):
    """A misspelt name costs a second, not a hundred failed trials, and writes nothing."""
    done = search(tmp_path, evaluator)
    assert done.returncode == 2
    assert f"search.evaluator '{evaluator}' cannot be imported" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()
