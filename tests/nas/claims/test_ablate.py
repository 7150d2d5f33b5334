"""The way from reference to winner, really trained; once interrupted on the way, and gone on with."""

import json
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import nas
from nas.claims.ablation import About, SeedValue, Trained, Waypoint, summarise
from nas.claims.explain import explain
from nas.cli import main
from nas.config.search import parse
from nas.report import report
from nas.report.reading import read
from nas.report.studies import pictures
from nas.runs.folder import read_config, read_trials, write_config
from nas.runs.ranking import ranked
from nas.trials.scoring import score
from search_space.architecture import Architecture
from search_space.block_strings import from_block_strings
from tests.trainings import curve, kill_in_first_epochs, trained_alone


def add_winner(run, *changes):
    """Give the run a winner of its own, which is the reference network but for some decisions."""
    config = parse(read_config(run))
    winner = config.reference
    for number, field, value in changes:
        stages = [*winner.stages]
        stages[number - 1] = replace(stages[number - 1], **{field: value})
        winner = replace(winner, stages=tuple(stages))
    trials = read_trials(run)
    better = replace(ranked(trials)[0], trial_id=len(trials), architecture=winner, reward=9.0 + len(trials))
    with (run / "trials.jsonl").open("a") as log:
        log.write(better.to_json() + "\n")
    return better


@pytest.fixture
def near(small):
    """That search with a winner two decisions away from its reference network."""
    stage = parse(read_config(small)).reference.stages[0]
    add_winner(small, (1, "kernel_size", 8 - stage.kernel_size), (2, "op", "fused_mbconv"))
    return small


def differences(one, other):
    """The decisions in which two architectures differ."""
    return {
        f"stage{number}_{name}"
        for number, pair in enumerate(zip(one["stages"], other["stages"], strict=True), start=1)
        for name in pair[0] | pair[1]
        if pair[0].get(name) != pair[1].get(name)
    }


def test_every_network_on_the_way_is_trained_and_reported(near, without_ray, capsys):
    """One decision after the other with the same fresh seeds; then nothing anew: command, JSON and report tell it."""
    found = nas.ablate(near, seeds=2, progress=False)
    first, *changed = found.networks
    trials = read_trials(near)
    assert first.arch_id == parse(read_config(near)).reference.arch_id
    assert changed[-1].arch_id == ranked(trials)[0].architecture.arch_id
    assert found.winner == ranked(trials)[0].trial_id
    for before, after in pairwise(found.networks):
        assert differences(before.architecture, after.architecture) == {after.decision}
        assert after.step.gain == pytest.approx(after.mean - before.mean)
        assert after.step.low < after.step.gain < after.step.high
    predicted = explain(near).path
    assert [(each.decision, each.predicted_gain) for each in changed] == [
        (step.decision, step.gain) for step in predicted
    ]
    assert found.whole.gain == pytest.approx(sum(each.step.gain for each in changed))
    assert found.epochs == 1, "predictions are of the search's own training"
    assert not {*found.seeds} & {trial.seed for trial in trials}
    of_first = first.seeds[0]
    fields = {"accuracy": of_first.accuracy, "s_normalised": first.s, "p_normalised": 1.0}
    assert of_first.value == pytest.approx(score(fields, "weighted_product", {}))
    assert (near / "ablation" / of_first.folder / "result.json").exists()
    assert json.loads((near / "ablation" / "ablation.json").read_text()) == found.to_dict()
    without_ray.clear()
    assert main(["explain", str(near), "--train", "--seeds", "2"]) == 0
    table = capsys.readouterr().out.partition("From the reference")[2].partition("All the way")[0]
    assert f"{changed[0].step.gain:+.4f}" in table
    assert max(len(line) for line in table.splitlines()[1:]) <= 120
    assert main(["explain", str(near), "--train", "--seeds", "2", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["trained"] == found.to_dict()
    assert without_ray == []
    shown = re.sub(r"<[^>]*>|\s+", " ", re.search(r'<section id="ablation">.*?</section>', report(near), re.DOTALL)[0])
    assert f"trial {found.winner}; the network after each was trained for 1 epochs with 2 seeds" in shown
    assert f"{changed[0].step.gain:+.4f} (".replace("-", "−") in shown
    assert [each.name for each in pictures(read(near))] == ["way"]


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")  # of Ray's own modules
def test_a_killed_ablation_goes_on_on_ray(near, tmp_path):
    """`kill -9` after the first epoch; the same command does the rest, to what each training alone would be."""
    arguments = ["explain", near, "--train", "--seeds", "2", "--epochs", "2"]
    kill_in_first_epochs(arguments, near / "ablation" / "trainings", 6)
    found = nas.ablate(near, seeds=2, epochs=2, progress=False)
    assert [seed.status for each in found.networks for seed in each.seeds] == ["ok"] * 6
    last = found.networks[-1]
    architecture = Architecture.from_dict(last.architecture)
    alone = trained_alone(near, architecture, seed=found.seeds[1], epochs=2, folder=tmp_path / "alone")
    assert curve(near / "ablation" / last.seeds[1].folder) == alone


def test_it_goes_on_where_it_was_stopped(near, without_ray):
    """What had ended is not trained again; another winner since then is told of, and leaves the way as it was."""
    seen = []

    class Stop(nas.Callback):
        def on_train_end(self, training, end):
            seen.append(end.folder)
            if len(seen) == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nas.ablate(near, "accuracy", seeds=1, callbacks=[Stop()], progress=False)
    add_winner(near, (1, "op", "fused_mbconv"))
    without_ray.clear()
    found = nas.ablate(near, "accuracy", seeds=1, progress=False)
    assert len(found.networks) == 3
    assert without_ray[:1] == [2]
    assert found.winner != ranked(read_trials(near))[0].trial_id
    assert "another folder (--out)" in found.note
    assert all(each.mean == each.accuracy and each.step in (None, each.step) for each in found.networks)
    assert found.whole.low is None, "of one seed there is no interval"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--train", "--column", "s_normalised"], "column must be accuracy or reward, which trainings measure"),
        (["--seeds", "2"], "--seeds is of the trainings that --train asks for"),
        (["--train", "--config", "nowhere.yaml"], "cannot read nowhere.yaml"),
    ],
)
def test_what_cannot_be_is_one_line_and_writes_nothing(small, capsys, arguments, message):
    """Exit status 2, no traceback, no folder."""
    assert main(["explain", str(small), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (small / "ablation").exists()


def test_without_a_way_it_says_why(small, capsys):
    """The reference won, or is no network of the space."""
    add_winner(small)
    assert main(["explain", str(small), "--train"]) == 2
    assert "the winner is the reference network: no decision lies between them" in capsys.readouterr().err
    config = read_config(small)
    config["reference"] |= {"stem_channels": 5}
    write_config(small, config)
    assert main(["explain", str(small), "--train"]) == 2
    assert "the reference network is no architecture of the space" in capsys.readouterr().err


def ablation(values, errors=(0.0, 0.0, 0.0), networks=(0, 1, 2)):
    """What is said of made-up values, a row for each network of the way."""
    made = [from_block_strings([f"r{number + 1}_k3_s1_e1_i8_o8_c1"]) for number in networks]
    trained = [
        Trained(
            Waypoint(architecture, 0.5, None if place == 0 else f"stage{place}_op"),
            tuple(SeedValue(seed, "ok", None, value, value, "") for seed, value in enumerate(own)),
            {},
            error,
        )
        for place, (architecture, own, error) in enumerate(zip(made, values, errors, strict=True))
    ]
    about = About("run", "r1", "reward", "minival", 10_000, 0.95, 10, "a recipe", (0, 1, 2), 7, None)
    return summarise(trained, about)


def test_a_gain_is_sure_or_may_be_chance():
    """A small change is within its interval, a large one is not; what S leaves open makes intervals wider."""
    values = [[0.80, 0.81, 0.80], [0.805, 0.81, 0.802], [0.90, 0.91, 0.905]]
    small, large = (each.step for each in ablation(values).networks[1:])
    assert small.low < 0 < small.high
    assert not small.apart
    assert large.apart
    assert large.low > 0
    wide = ablation(values, errors=(0.0, 0.0, 0.1)).networks
    assert wide[1].step == small
    assert not wide[2].step.apart
    assert wide[2].step.high - wide[2].step.low > 0.2
    assert wide[2].se == pytest.approx(np.hypot(0.1, ablation(values).networks[2].se))


def test_a_change_that_changes_nothing_gains_nothing():
    """An option of an op that is chosen later: the same network, no evidence of how seeds scatter."""
    values = [[0.80, 0.81, 0.80], [0.80, 0.81, 0.80], [0.9, 0.91, 0.92]]
    same, changed = (each.step for each in ablation(values, networks=(0, 0, 1)).networks[1:])
    assert (same.gain, same.low, same.high, same.apart) == (0.0, 0.0, 0.0, False)
    assert changed == ablation([values[0], values[2], values[2]], networks=(0, 1, 1)).networks[1].step
