"""A run's trials beside another run's."""

import json

import numpy as np
import pytest

import nas
from nas.claims.distribution import compare
from nas.cli import main
from nas.runs.folder import TRIALS


@pytest.fixture
def better(run, tmp_path):
    """The same run with 0.02 more reward for every trial that was answered ok."""
    other = tmp_path / "better"
    other.mkdir()
    for name in ("config.yaml", "run.json"):
        (other / name).write_text((run / name).read_text())
    lines = [json.loads(line) for line in (run / TRIALS).read_text().splitlines()]
    raised = [line | {"reward": line["reward"] and line["reward"] + 0.02} for line in lines]
    (other / TRIALS).write_text("".join(json.dumps(line) + "\n" for line in raised))
    return other


def test_the_chance_is_that_of_all_pairs():
    """Of each trial beside each of the other run: those that are better, and half of those that are equal."""
    own, other = np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 2.5, 9.0])
    pairs = [(a > b) + 0.5 * (a == b) for a in own for b in other]
    assert compare(own, other, "reward", True).chance_better == pytest.approx(np.mean(pairs))
    assert compare(own, other, "loss", False).chance_better == pytest.approx(1 - np.mean(pairs))
    assert compare(own, other, "reward", True).quantiles[2].other == 2.25


@pytest.mark.parametrize(("shift", "sizes"), [(0.0, (30, 30)), (0.8, (25, 60)), (2.5, (15, 20))])
def test_the_interval_holds_the_truth(shift, sizes):
    """In about 95 % of 400 pairs of samples whose chance is known, also where it is near 1."""
    rng, truth = np.random.default_rng(0), 0.5 * (1 + _erf(shift / 2))
    held = 0
    for _ in range(400):
        found = compare(rng.normal(shift, 1, sizes[0]), rng.normal(0, 1, sizes[1]), "reward", True)
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 400 <= 0.99


def _erf(x):
    from scipy.special import erf

    return float(erf(x))


def test_where_all_are_better_the_interval_has_a_width():
    """Of five trials that all are better than five others that is no proof."""
    found = compare(np.arange(5.0) + 10, np.arange(5.0), "reward", True)
    assert found.chance_better == found.high == 1
    assert 0.5 < found.low < 0.9


def test_two_runs_are_compared(run, better, capsys):
    """The call and the command say the same; JSON has it beside the path."""
    found = nas.compare_distributions(better, run)
    assert (found.trials, found.other_trials) == (10, 10)
    assert all(each.value == pytest.approx(each.other + 0.02) for each in found.quantiles)
    assert found.chance_better > 0.5
    assert main(["explain", str(better), "--against", str(run)]) == 0
    assert f"a trial here is better with probability {found.chance_better:.2f}" in " ".join(
        capsys.readouterr().out.split()
    )
    assert main(["explain", str(better), "--against", str(run), "--format", "json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["against"]["chance_better"] == pytest.approx(found.chance_better)
    assert "path" in record


def test_a_run_without_the_number_is_named(run, better, capsys):
    """One line, status 2."""
    (better / TRIALS).write_text("")
    assert main(["explain", str(run), "--against", str(better)]) == 2
    assert "better: no numeric column 'reward'" in capsys.readouterr().err


def test_the_report_draws_it(run, better):
    """The section names the other run, and has a figure."""
    from nas.report import report

    text = report(run, against=better)
    assert 'id="against"><h2>Beside better</h2>' in text
    assert "a trial here is better with probability" in text
