"""One candidate, evaluated in this process."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import nas
from nas import faults
from nas.data.prepare import load_split, prepare
from nas.measure import MEASURERS
from nas.measure.device_lock import DeviceLock
from nas.measure.fields import TIMING_COLUMNS
from nas.runs.answered import trial_of
from nas.search.task import task_of
from nas.training.objective import Classification, metric_names
from nas.training.settings import OBJECTIVES
from nas.trials.answer import answer
from nas.trials.evaluate import evaluate


@pytest.fixture
def config(tmp_path):
    """A training of seconds."""
    return nas.search_config(
        space={"name": "small", "image_size": 16},
        image_size=16,
        data={"minival": 0.2, "subset": 128, "cache_dir": str(tmp_path)},
        training={"epochs": 2, "batch_size": 64},
        step_time={"min_pairs": 2, "max_pairs": 2},
        device="cpu",
    )


def test_the_device_is_free_while_an_epoch_is_reported(config, tmp_path, monkeypatch):
    """Ray keeps a trial that it stops at a report as it stands: what it held would keep timers waiting for ever."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    reports = []

    def on_epoch(trial):
        with DeviceLock(torch.device("cpu")).timing():  # would wait for ever
            reports.append(trial)

    architecture = config.space.sample(np.random.default_rng(0))
    trial = nas.evaluate(architecture, config, on_epoch=on_epoch)
    assert trial.status == "ok", trial.error
    assert [len(each.curve) for each in reports] == [1, 2]


def test_one_architecture_is_evaluated_as_a_trial_would_be(config):
    """Timed, trained and scored; the same seed gives the same accuracy, and the process's threads are as they were."""
    threads = torch.get_num_threads()
    architecture = config.space.sample(np.random.default_rng(1))
    first, again = (nas.evaluate(architecture, config, seed=3) for _ in range(2))
    assert (first.status, first.arch_id, first.accuracy) == ("ok", architecture.arch_id, again.accuracy)
    paper = first.accuracy * first.s_normalised**-0.07 * first.p_normalised**-0.05
    assert first.reward == pytest.approx(paper)
    assert torch.get_num_threads() == threads


def test_a_candidate_may_be_timed_alone_and_is_then_not_timed_again(config):
    """A timing trains nothing; with its fields the training gives the accuracy that it gives without, and S stands."""
    config = replace(config, step_time=replace(config.step_time, lock=False))
    task, architecture = task_of(config), config.space.sample(np.random.default_rng(1))

    def told(fields):
        return True

    timing = evaluate(architecture, 3, replace(task, timing_only=True), told)
    assert timing["status"] == "timed"
    assert timing.keys() >= {*TIMING_COLUMNS, "p_normalised", "params", "device_s"}
    assert not timing.keys() & {"accuracy", "reward", "loss", "curve"}
    known = {name: timing[name] for name in (*TIMING_COLUMNS, "device_name", "metrics")} | {"s_normalised": 0.123}
    plain, after, elsewhere = (
        evaluate(architecture, 3, replace(task, timed=timed), told)
        for timed in (None, known, known | {"device_name": "another"})
    )
    assert plain["accuracy"] == after["accuracy"] == elsewhere["accuracy"]
    assert after["s_normalised"] == 0.123
    assert elsewhere["s_normalised"] != 0.123  # of another device it says nothing
    assert after["reward"] == pytest.approx(after["accuracy"] * 0.123**-0.07 * after["p_normalised"] ** -0.05)


def test_an_accuracy_and_a_reward_say_how_sure_they_are(config):
    """By the images of minival; the reward is a multiple of the accuracy, and S has an interval, too."""
    config = replace(config, step_time=replace(config.step_time, min_pairs=6, max_pairs=6))
    reports = []
    trial = nas.evaluate(config.space.sample(np.random.default_rng(1)), config, seed=3, on_epoch=reports.append)
    assert trial.minival_images == nas.prepare(config.data, config.image_size).minival
    right = trial.accuracy * trial.minival_images
    assert right == pytest.approx(round(right))
    adjusted, images = (right + 2) / (trial.minival_images + 4), trial.minival_images + 4
    assert trial.accuracy_se == pytest.approx((adjusted * (1 - adjusted) / images) ** 0.5)
    assert trial.reward_se >= trial.accuracy_se / trial.accuracy * trial.reward * 0.99
    assert all(each.accuracy_se > 0 and each.reward_se is None for each in reports)


def test_what_is_no_share_of_the_images_has_no_error(config, monkeypatch):
    """An objective's F1 score, say, errs otherwise than a share of the images: nothing is claimed of it."""

    class F1(Classification):
        accuracy = "f1"

        def metrics(self, sums, images):
            return {"loss": sums["loss"] / images, "f1": 0.3}

    monkeypatch.setitem(OBJECTIVES, "f1", F1)
    config = replace(config, training=replace(config.training, objective="f1", epochs=1))
    trial = nas.evaluate(config.space.sample(np.random.default_rng(1)), config, seed=3)
    assert (trial.status, trial.accuracy, trial.accuracy_se, trial.reward_se) == ("ok", 0.3, None, None), trial.error


def test_a_configuration_may_be_given_as_a_run_has_it(config):
    """`run.config` is plain data; the trial says which seed it had."""
    trial = nas.evaluate(config.space.sample(np.random.default_rng(1)), config.to_dict(), seed=7)
    assert (trial.status, trial.seed) == ("ok", 7), trial.error


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"curve": [0.1, 0.2]}, "curve must be a list of mappings, one an epoch, got 0.1 in it"),
        ({"metrics": {"top5 accuracy": 1}}, "metric 'top5 accuracy' must be a name such as top5_accuracy"),
    ],
)
def test_what_an_evaluator_answers_is_checked(config, answer, message):
    """What no table has a place for is said where it comes from."""
    with pytest.raises(ValueError, match=message):
        trial_of(config.space.sample(np.random.default_rng(1)), answer)


def test_a_measurer_gives_numbers_by_name(config, monkeypatch):
    """A bare number is what one writes first: the trial's error says what was expected."""
    monkeypatch.setitem(MEASURERS, "bare", lambda subject: 3.0)
    trial = nas.evaluate(config.space.sample(np.random.default_rng(1)), replace(config, measure=("bare",)))
    assert "a measurer must give numbers by name, got 3.0" in trial.error


def test_inference_latency_is_a_measured_column(config):
    """`measure: [inference]`: milliseconds and the ratio to the reference's, and a reward may weigh them."""
    config = replace(config, measure=("inference",), reference=config.space.sample(np.random.default_rng(0)))
    trial = nas.evaluate(config.reference, config, seed=1)
    assert trial.status == "ok", trial.error
    assert trial.metrics.keys() >= {"inference_ms", "inference_batch_ms", "inference_ratio"}
    assert 0 < trial.metrics["inference_ms"] < trial.metrics["inference_batch_ms"]
    assert trial.metrics["inference_ratio"] == pytest.approx(1, rel=0.5), "the reference beside itself"
    assert trial.metrics["inference_ms"] < trial.step_time_ms


def test_a_metric_that_two_give_is_refused(config, monkeypatch):
    """One of two measurers' numbers would be lost without a word."""
    monkeypatch.setitem(MEASURERS, "one", lambda subject: {"joules": 1.0})
    monkeypatch.setitem(MEASURERS, "other", lambda subject: {"joules": 2.0})
    trial = nas.evaluate(
        config.space.sample(np.random.default_rng(1)), replace(config, measure=("one", "other")), seed=1
    )
    assert trial.status == "failed"
    assert "metric 'joules' is given twice" in trial.error


@pytest.mark.parametrize(("name", "message"), [("reward", "a column"), ("step_time", "of the toolkit's own")])
def test_a_metrics_name_is_its_own(config, name, message):
    """A metric called like a column, or like what rewards read, would hide it."""
    with pytest.raises(ValueError, match=f"metric '{name}' is .*{message}"):
        trial_of(config.space.sample(np.random.default_rng(1)), {"metrics": {name: 1.0}})


def test_an_epoch_may_end_it(config):
    """`on_epoch` that returns False prunes."""
    trial = nas.evaluate(config.space.sample(np.random.default_rng(1)), config, on_epoch=lambda trial: False)
    assert (trial.status, len(trial.curve), trial.reward) == ("pruned", 1, None)


def test_a_metric_that_cannot_be_logged_is_refused_before_a_training(config, monkeypatch):
    """A measurer's is known at once, not only when all epochs are over."""
    trained = []
    monkeypatch.setitem(MEASURERS, "lost", lambda subject: {"wall_s": 1.0})
    trial = nas.evaluate(
        config.space.sample(np.random.default_rng(0)), replace(config, measure=("lost",)), on_epoch=trained.append
    )
    assert trial.status == "failed"
    assert "metric 'wall_s' is a column of the trial table already" in trial.error
    assert not trained


def test_a_search_is_told_of_an_objectives_metrics_before_it_starts(config, tmp_path, monkeypatch):
    """The names of an objective are known without training; nothing is written and no worker is started."""

    class Confused(Classification):
        def metrics(self, sums, images):
            return {**super().metrics(sums, images), "epochs": 1.0}

    class Silent(Classification):
        def metrics(self, sums, images):
            raise ZeroDivisionError

    assert metric_names(Confused()) == {"epochs"}
    assert metric_names(Classification()) == metric_names(Silent()) == frozenset()
    monkeypatch.setitem(OBJECTIVES, "confused", Confused)
    confused = replace(config, training=replace(config.training, objective="confused"))
    with pytest.raises(ValueError, match="metric 'epochs' is a column of the trial table already"):
        nas.run_search(confused, folder=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("section", "name"), [("training", "batch_size"), ("execution", "micro_batch")])
def test_one_image_at_a_time_is_refused(config, section, name):
    """As a search refuses it: two images would be taken instead, or batch norm learn from one."""
    one = config.to_dict()
    one[section] |= {name: 1}
    with pytest.raises(ValueError, match=f"{section}.{name} must be at least 2, for batch norm"):
        nas.evaluate(config.space.sample(np.random.default_rng(1)), one)


def test_data_that_are_lost_meanwhile_are_no_fault_of_the_candidate(config):
    """Gone between being found and being read, they end the search; another file that is missing is the evaluator's."""
    prepared = prepare(config.data, config.image_size)
    task, architecture = task_of(config, prepared), config.space.sample(np.random.default_rng(1))

    def lose(architecture, seed, task, report):
        found = prepare(task.data, task.image_size, known=task.prepared)
        shutil.rmtree(found.folder)
        load_split(found, "train")

    with pytest.raises(faults.Gone, match="the data prepared for this are gone from"):
        answer(architecture, 0, task, lose, bool)

    def miss(architecture, seed, task, report):
        Path("nowhere/else").read_text()

    assert answer(architecture, 0, task, miss, bool).status == "failed"
