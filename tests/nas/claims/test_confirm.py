"""`nas confirm`: the best of a search and baselines, trained again; once really killed on the way, and gone on with."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import nas
from nas.claims.confirmation import About, SeedResult, Trained, read_confirmation, summarise
from nas.claims.contenders import Contender, best_of
from nas.claims.recipe import recipe_of
from nas.claims.step_timing import Step
from nas.claims.time_to_target import epoch_seconds, first_epoch
from nas.cli import main
from nas.config.search import parse
from nas.config.train import parse_training
from nas.report import report
from nas.runs.folder import read_config, read_trials
from nas.runs.ranking import ranked
from nas.runs.trial import Trial
from search_space import yaml_text
from search_space.block_strings import from_block_strings
from tests.trainings import curve, kill_in_first_epochs, trained_alone

BASELINE = "r1_k3_s1_e1_i8_o8_c1,r1_k3_s2_e2_i8_o16"


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")  # of Ray's own modules
def test_a_killed_confirmation_goes_on_on_ray(small, tmp_path):
    """`kill -9` after the first epoch; the same call does the rest, to what each training alone would be."""
    choice = ["--top", 1, "--seeds", 2, "--epochs", 2, "--baseline", BASELINE, "--equal", "none"]
    kill_in_first_epochs(["confirm", small, *choice], small / "confirm" / "trainings", 4)
    found = nas.confirm(small, top=1, seeds=2, epochs=2, baselines=[BASELINE], equal=None, progress=False)
    assert [seed.status for each in found.architectures for seed in each.seeds] == ["ok"] * 4
    assert all(each.s > 0 and each.training_s > 0 for each in found.architectures)
    baseline = next(each for each in found.architectures if each.role == "baseline")
    alone = trained_alone(small, BASELINE, seed=found.seeds[1], epochs=2, folder=tmp_path / "alone")
    assert curve(small / "confirm" / baseline.seeds[1].folder) == alone


def test_the_best_and_baselines_are_trained_alike_and_written_down(small, without_ray, capsys):
    """The best and the reference at its size: the same fresh seeds, longer than in the search; then nothing anew."""
    found = nas.confirm(
        small, top=1, seeds=2, baselines=["reference"], equal="params", target_accuracy=0.01, progress=False
    )
    best = ranked(read_trials(small))[0].trial_id
    assert {(each.role, each.trial_id) for each in found.architectures} == {
        ("found", best),
        ("baseline", None),
    }
    assert found.epochs == 3
    assert not {*found.seeds} & {trial.seed for trial in read_trials(small)}
    for each in found.architectures:
        assert [seed.seed for seed in each.seeds] == [*found.seeds]
        assert [seed.epochs_to_target for seed in each.seeds] == [1, 1]
        assert each.seconds_to_target == pytest.approx(each.training_s / 3)
        for seed in each.seeds:
            assert len(curve(small / "confirm" / seed.folder)) == 3
            kept = yaml_text.load((small / "confirm" / seed.folder / "train.yaml").read_text())
            assert (kept["seed"], kept["image_size"], kept["eval_image_size"]) == (seed.seed, 16, 16)
    counts = {each.role: each.params for each in found.architectures}
    assert counts["baseline"] == pytest.approx(counts["found"], rel=0.03)
    means = [each.mean for each in found.architectures]
    assert means == sorted(means, reverse=True)
    assert read_confirmation(small / "confirm") == found
    without_ray.clear()
    arguments = ["confirm", str(small), "--top", "1", "--seeds", "2", "--baseline", "reference", "--equal", "params"]
    assert main([*arguments, "--target-accuracy", "1"]) == 0
    assert without_ray == []
    table = capsys.readouterr().out
    assert "0/2" in table
    assert f"trial {best}" in table
    assert "The best found, " in " ".join(table.split())
    section = re.search(r'<section id="confirm">.*?</section>', report(small), re.DOTALL)[0]
    shown = re.sub(r"<[^>]*>|\s+", " ", section).replace("&nbsp;", " ")
    assert "2 architectures, 2 seeds each, 3 epochs" in shown
    for each in found.architectures:
        assert f"{each.mean:.4f} ± {each.se:.4f} {each.low:.4f} to {each.high:.4f}" in re.sub(r"\s+", " ", shown)


def test_who_is_confirmed_stays_while_the_search_goes_on(small, without_ray):
    """What was chosen when it was asked first is what the same call goes on with; more of the best are chosen anew."""
    first = nas.confirm(small, top=1, seeds=1, epochs=1, progress=False)
    better = replace(ranked(read_trials(small))[-1], trial_id=99, reward=9.0)
    with (small / "trials.jsonl").open("a") as log:
        log.write(better.to_json() + "\n")
    assert best_of(small, 1)[0].trial_id == 99
    again = nas.confirm(small, top=1, seeds=2, epochs=1, progress=False)
    assert [each.trial_id for each in again.architectures] == [each.trial_id for each in first.architectures]
    assert again.seeds[:1] == first.seeds
    more = nas.confirm(small, top=2, seeds=1, epochs=1, progress=False)
    assert 99 in [each.trial_id for each in more.architectures]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--baseline", "efficientnet_b99"],
            "baseline 'efficientnet_b99' is neither reference nor random:20, and no architecture",
        ),
        (["--target-accuracy", "2"], "target_accuracy must be in (0, 1], got 2.0"),
        (["--config", "nowhere.yaml"], "cannot read nowhere.yaml"),
        (["--seeds", "0"], "must be a whole number >= 1, got '0'"),
    ],
)
def test_what_cannot_be_is_one_line_and_writes_nothing(small, capsys, arguments, message):
    """Exit status 2, no traceback, no folder."""
    try:
        status = main(["confirm", str(small), *arguments])
    except SystemExit as stop:
        status = stop.code
    error = capsys.readouterr().err
    assert status == 2
    assert message in error
    assert error.count("\n") == 1
    assert not (small / "confirm").exists()


def test_a_recipe_leaves_architecture_and_seed_open(small, tmp_path, capsys, without_ray):
    """Its own sections count, data and image size are the search's; one that names an architecture is refused."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("training: {epochs: 2, batch_size: 32, learning_rate: 0.05}\narchitecture: {}\n")
    assert main(["confirm", str(small), "--config", str(recipe)]) == 2
    assert f"{recipe}: a recipe leaves 'architecture' open" in capsys.readouterr().err
    recipe.write_text("training: {epochs: 2, batch_size: 32, learning_rate: 0.05}\nseed: 7\n")
    found = nas.confirm(small, top=1, seeds=1, recipe=recipe, progress=False)
    kept = yaml_text.load((small / "confirm" / found.architectures[0].seeds[0].folder / "train.yaml").read_text())
    assert (kept["training"]["batch_size"], kept["image_size"], kept["data"]["subset"]) == (32, 16, 256)
    assert kept["seed"] == found.seeds[0], "of its own, whatever the recipe says"


def test_a_recipe_that_comes_along_goes_by_its_name(small):
    """As for `nas train`; its data go before the search's."""
    recipe = recipe_of(parse(read_config(small)), Path("train_fashion_mnist"), epochs=3)
    settings = recipe.config(from_block_strings(BASELINE.split(",")), 5)
    assert (settings.data.source, settings.training.epochs, settings.seed) == ("idx", 3, 5)


def confirmation(accuracies, **about):
    """What is said of made-up accuracies, a list for each of `trial 0` and so on; the last one is a baseline."""
    trained = [
        Trained(
            Contender(
                f"trial {number}",
                "found" if number + 1 < len(accuracies) else "baseline",
                from_block_strings([f"r{number + 1}_k3_s1_e1_i8_o8_c1"]),
                search_rank=number + 1,
            ),
            tuple(
                SeedResult(seed, "failed" if accuracy is None else "ok", None, accuracy, None, None, "")
                for seed, accuracy in enumerate(own)
            ),
            {},
            None,
        )
        for number, own in enumerate(accuracies)
    ]
    known = About("run", "r1", "test", 10_000, 0.95, 10, "a recipe", (0, 1, 2), None)
    return summarise(trained, replace(known, **about))


def test_ranks_have_ties_and_pairs_say_by_how_much():
    """Two near each other are a tie, the third is worse for sure; intervals of differences exclude 0 just then."""
    found = confirmation([[0.90, 0.91, 0.90], [0.905, 0.91, 0.902], [0.80, 0.81, 0.81], [None] * 3])
    assert [each.name for each in found.architectures] == ["trial 1", "trial 0", "trial 2", "trial 3"]
    assert [(each.rank_low, each.rank_high) for each in found.architectures] == [(1, 2), (1, 2), (3, 3), (None, None)]
    assert found.ties == ((0, 1), (2,))
    for pair in found.pairs:
        assert pair.apart == (pair.low > 0) == (pair.p < 0.05)
    assert found.architectures[3].mean is None


def test_the_time_to_an_accuracy_counts_measured_steps():
    """The first epoch that reaches it; steps by S and the reference's usual time; stages by their own; else unknown."""
    line = [{"epoch": number, "accuracy": accuracy} for number, accuracy in enumerate((0.5, None, 0.7, 0.6, 0.9))]
    assert [first_epoch(line, target) for target in (0.4, 0.6, 0.9, 0.95)] == [1, 3, 5, None]
    architecture = from_block_strings(BASELINE.split(","))
    record = {
        "training": {"epochs": 2, "batch_size": 10},
        "image_size": 8,
        "data": {"source": "digits", "minival": 0.2},
    }
    config = parse_training(record, architecture)
    times = {
        (each, Step(8, 10)): Trial(each, "ok", s_normalised=s, reference_step_time_ms=ms)
        for each, s, ms in zip(
            (architecture, *(from_block_strings([f"r{n}_k3_s1_e1_i8_o8_c1"]) for n in (1, 2))),
            (2.0, 1.0, 1.0),
            (90.0, 10.0, 8.0),
            strict=True,
        )
    }
    assert epoch_seconds(config, 105, times) == pytest.approx([10 * 2.0 * 0.010] * 2)
    assert epoch_seconds(config, 105, {}) is None
