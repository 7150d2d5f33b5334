"""What mattered in a run, read from its folder."""

import json
from dataclasses import asdict

import numpy as np
import pytest

import nas
from nas.cli import main
from nas.runs.folder import TRIALS, create
from nas.runs.log import JsonLines
from nas.runs.trial import Trial
from search_space.spaces import SPACES, backbone_of

TRIALS_MADE = 60


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run in which fused stages are good, and larger kernels cost step time: by formula, with a little noise."""
    folder = tmp_path_factory.mktemp("run")
    config = nas.search_config(space={"name": "small", "image_size": 16}, image_size=16)
    space = config.space
    create(folder, config.to_dict())
    log, rng = JsonLines(folder / TRIALS), np.random.default_rng(0)
    for number in range(TRIALS_MADE):
        architecture = space.sample(rng)
        fused = sum(stage.op == "fused_mbconv" for stage in architecture.stages[:2])
        s = 1 + 0.2 * sum(stage.kernel_size == 5 for stage in architecture.stages)
        accuracy = 0.5 + 0.1 * fused + rng.normal(0, 0.01)
        numbers = {"accuracy": accuracy, "s_normalised": s, "p_normalised": 1.0, "reward": accuracy, "reward_se": 0.01}
        log.append(Trial(architecture, "ok", trial_id=number, run_id="r1", **numbers).to_dict())
    log.close()
    return folder


def test_the_decisions_that_matter_come_first(run):
    """Two decisions make the reward: they are named, with their best choices, and nothing else is sure."""
    found = nas.explain(run)
    assert {each.decision for each in found.decisions[:2]} == {"stage1_op", "stage2_op"}
    assert all(each.best.choice == "fused_mbconv" and each.best.chance_best > 0.99 for each in found.decisions[:2])
    assert all(each.low > 0.2 for each in found.decisions[:2])
    assert all(each.low == 0 for each in found.decisions[2:])
    assert found.noise == pytest.approx(0.02, abs=0.02)


def test_less_is_better_where_it_is(run):
    """Of the step time the best choice is the one that takes less."""
    found = nas.explain(run, "s_normalised")
    kernels = [each for each in found.decisions if each.decision.endswith("kernel_size")]
    assert all(each.best.choice == 3 and each.best.effect < 0 for each in kernels)
    assert all(each.best_at_equal_cost is None for each in kernels), "at equal step time there is nothing to choose"


def test_the_way_from_reference_to_winner(run):
    """Each decision in which they differ, once, the greatest gain first, up to what is predicted of the winner."""
    found = nas.explain(run)
    config, winner = nas.open_run(run).config, nas.open_run(run).winner
    reference = backbone_of(SPACES["small"](image_size=16))
    assert config["reference"] == reference.to_dict()
    different = {
        f"stage{number}_{name}"
        for number, (a, b) in enumerate(zip(reference.stages, winner.stages, strict=True), start=1)
        for name in asdict(a)
        if getattr(a, name) != getattr(b, name)
    }
    assert {step.decision for step in found.path} == different
    assert [step.gain for step in found.path] == sorted((step.gain for step in found.path), reverse=True)
    assert found.path[-1].value == pytest.approx(found.start + sum(step.gain for step in found.path))
    assert found.start == pytest.approx(0.5, abs=0.02), "its stages are not fused"
    assert found.path[-1].value == pytest.approx(0.7, abs=0.02)


def test_the_command_shows_it(run, capsys):
    """A table that fits 120 columns, and all of it as JSON."""
    assert main(["explain", str(run), "--limit", "3"]) == 0
    shown = capsys.readouterr().out
    assert "stage1_op" in shown
    assert "fused_mbconv" in shown
    assert "From the reference network" in shown
    assert main(["explain", str(run), "--format", "json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["decisions"][0]["choices"][0]["choice"] == "fused_mbconv"
    assert [step["decision"] for step in record["path"]] == [step.decision for step in nas.explain(run).path]
    assert record["path"][-1]["value"] == pytest.approx(record["start"] + sum(step["gain"] for step in record["path"]))


@pytest.mark.parametrize(
    ("column", "message"), [("acuracy", "did you mean 'accuracy'?"), ("attempt", "has no direction")]
)
def test_a_column_that_is_none_is_named(run, column, message, capsys):
    """One line, status 2."""
    assert main(["explain", str(run), "--column", column]) == 2
    assert message in capsys.readouterr().err


def test_too_few_trials_say_so(run, tmp_path, capsys):
    """Nine trials explain nothing."""
    (tmp_path / "run").mkdir()
    for name in ("config.yaml", "run.json"):
        (tmp_path / "run" / name).write_text((run / name).read_text())
    lines = (run / TRIALS).read_text().splitlines(keepends=True)
    (tmp_path / "run" / TRIALS).write_text("".join(lines[:9]))
    assert main(["explain", str(tmp_path / "run")]) == 2
    assert "reward can be explained from 10 trials on, and 9 have it" in capsys.readouterr().err
