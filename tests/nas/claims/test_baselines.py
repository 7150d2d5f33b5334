"""Baselines of a run: made equal, kept, and random ones trained by the run's own protocol."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import nas
from nas.claims.baselines import FOLDER, MADE
from nas.families import Measuring
from nas.runs.folder import TRIALS, create
from nas.runs.log import JsonLines
from nas.runs.trial import Trial
from search_space.cost import count
from search_space.families import published

CONFIG = {
    "space": {"name": "small", "image_size": 16},
    "image_size": 16,
    "data": {"source": "digits", "minival": 0.2, "subset": 256},
    "training": {"epochs": 1, "batch_size": 64, "learning_rate": 0.4},
    "step_time": {"min_pairs": 2, "max_pairs": 2, "block_pairs": 1, "turn": 1, "warmup": 1},
    "search": {"trials": 2, "workers": 2, "prune": "asha", "max_hours": 1e-9},
    "device": "cpu",
}


@pytest.fixture
def run(tmp_path):
    """A run of one trial, whose winner is not the reference."""
    import numpy as np

    config = nas.search_config(**CONFIG)
    create(tmp_path / "run", config.to_dict())
    log = JsonLines(tmp_path / "run" / TRIALS)
    winner = config.space.sample(np.random.default_rng(7))
    log.append(Trial(winner, "ok", trial_id=0, run_id="r1", reward=1.0, accuracy=0.9, device_name="a GPU").to_dict())
    log.close()
    return tmp_path / "run"


def macs(architecture):
    return count(architecture, 16, 10, 1).macs


def made_in(run):
    return [json.loads(line) for path in (run / FOLDER).glob(f"*/{MADE}") for line in path.read_text().splitlines()]


def test_reference_published_and_file_are_made_equal(run, tmp_path):
    """Each costs what the winner does, keeps its ops, has a name fit for a file, and is said with its ratio."""
    b0 = published("efficientnetv2_b0")
    (tmp_path / "mine.json").write_text(b0.to_json())
    said = []
    names = ["reference", "efficientnet_b0", str(tmp_path / "mine.json")]
    found = nas.baselines(run, names, equal="macs", say=said.append)
    assert [each.name for each in found] == ["reference", "efficientnet_b0", "mine"]
    winner = nas.open_run(run).winner
    for each in found:
        assert each.equal.is_reached
        assert each.equal.ratio == pytest.approx(macs(each.architecture) / macs(winner), rel=0.001)
        assert each.said in said
        assert each.said == f"{each.name}: {each.equal.ratio:.3f} times the MACs"
    assert [stage.op for stage in found[2].architecture.stages] == [stage.op for stage in b0.stages]


def test_what_was_made_is_kept(run):
    """Asked again, a baseline is the same without anything being made; another winner's are kept apart."""
    first = nas.baselines(run, ["reference"], equal="params")
    again = nas.baselines(run, ["reference", "efficientnet_b0"], equal="params")
    assert again[0] == first[0]
    assert [record["name"] for record in made_in(run)] == ["reference", "efficientnet_b0"]
    nas.baselines(run, ["reference"], to="efficientnetv2_b0", equal="params")
    assert len(made_in(run)) == 3
    assert len([*(run / FOLDER).iterdir()]) == 2


def test_a_torn_line_is_made_again(run):
    """A kill while a line was written costs that line."""
    first = nas.baselines(run, ["reference", "efficientnet_b0"], equal="params")
    (log,) = (run / FOLDER).glob(f"*/{MADE}")
    log.write_bytes(log.read_bytes()[:-40])
    assert nas.baselines(run, ["reference", "efficientnet_b0"], equal="params") == first


def test_step_times_are_measured_beside_the_winners(run):
    """A real measurement on this machine, which is another than the run's: that is said."""
    said = []
    how = {"tolerance": 0.5, "measure": Measuring("cpu", batch=4)}
    (found,) = nas.baselines(run, ["reference"], say=said.append, **how)
    assert found.equal.measurements >= 1
    assert found.equal.low <= found.equal.ratio <= found.equal.high
    assert said[0].startswith("step times are made equal on ")
    assert said[0].endswith("; those of the run are of a GPU")
    assert nas.baselines(run, ["reference"], **how) == [found], "not measured again: it would be another"


def test_the_median_and_the_best_of_random_ones_by_their_proxy(run, monkeypatch):
    """Of three real trainings on digits, of the run's space and recipe, all of them whatever it prunes."""
    found = nas.baselines(run, ["random:3"], equal="macs", progress=False)
    assert [each.name for each in found] == ["random-3-median", "random-3-best"]
    (folder,) = (run / FOLDER).glob("*/random-3")
    proxies = nas.open_run(folder)
    rewards = sorted(trial.reward for trial in proxies.trials)
    assert len(rewards) == 3
    assert [each.proxy.reward for each in found] == [rewards[1], rewards[2]]
    winner, space = nas.open_run(run).winner, nas.search_config(**CONFIG).space
    for trial in proxies.trials:
        assert macs(trial.architecture) == pytest.approx(macs(winner), rel=0.03)
        assert (trial.epochs, trial.image_size, trial.batch_size) == (1, 16, 64)
        assert trial.architecture.head_channels == space.head_channels
        assert trial.architecture.stem_channels == space.stem_channels
    assert all(each.architecture.arch_id == each.proxy.arch_id for each in found)
    assert len(proxies.dataframe()) == 3, "a run like any other"
    monkeypatch.setattr("nas.claims.baselines.run_listed", lambda *_, **__: pytest.fail("a search began for nothing"))
    assert nas.baselines(run, ["random:3"], equal="macs", progress=False) == found


def test_random_ones_that_cannot_be_made_equal_are_left_out(run):
    """Beside a winner of few MACs: most of the space cannot shrink to it, and dearer ones are no fair opponents."""
    smallest = nas.search_config(**CONFIG).space.decode([0] * 20)
    smallest = replace(smallest, stages=tuple(replace(stage, channels=16) for stage in smallest.stages))
    said = []
    found = nas.baselines(run, ["random:2"], to=smallest, equal="macs", progress=False, say=said.append)
    made = made_in(run)
    assert 2 <= sum(abs(each["equal"]["ratio"] - 1) <= 0.03 for each in made) < len(made)
    assert [line.partition(":")[0] for line in said[:-1]] == ["random-2, 1 of 2", "random-2, 2 of 2"]
    assert said[-1].startswith(f"random-2: {len(made) - 2} of {len(made)} could not be made equal within 3%")
    assert all(each.equal.is_reached for each in found)
    with pytest.raises(ValueError, match=r"of 11 random architectures only 0 different ones .* within 0%"):
        nas.baselines(run, ["random:1"], to=smallest, equal="macs", tolerance=1e-9, folder=run / "exact")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no baseline is given"),
        (["reference", "reference"], "baseline 'reference' is given twice"),
        (["efficientnet_b0", "x/efficientnet_b0.json"], "neither reference nor random:20, and no such file"),
        (["random:0"], "baseline random:N takes 1 to 9999 architectures, got 'random:0'"),
        (["random:"], "baseline random:N takes"),
        (["randm:20"], "baseline 'randm:20' is neither reference nor random:20, and no architecture 'randm:20'"),
    ],
)
def test_bad_names_are_one_line_and_nothing_is_written(run, names, message):
    """What is no baseline is said before anything is measured or made."""
    with pytest.raises(ValueError, match=message) as caught:
        nas.baselines(run, names)
    assert "\n" not in str(caught.value)
    assert not (run / FOLDER).exists()
    assert Path(run).exists()
