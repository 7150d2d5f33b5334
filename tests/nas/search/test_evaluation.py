"""One architecture as a trial of a search: with what, and what its caller is told; the evaluator is the test's own."""

import numpy as np
import pytest
import torch

from nas.config.search import search_config
from nas.data.prepare import prepare
from nas.search.evaluation import evaluate
from nas.search.task import task_of

GIVEN = []


def noted(architecture, seed, task, report):
    """Writes down what it is given, computes on two threads, and reports epochs until it is told to stop."""
    GIVEN.append((architecture, seed, task))
    torch.set_num_threads(2)
    curve = []
    for epoch in range(3):
        curve.append({"epoch": epoch, "accuracy": 0.1 * epoch})
        if not report({"accuracy": 0.1 * epoch, "reward": 0.1 * epoch, "curve": curve}):
            return {"status": "pruned", "curve": curve}
    return {"status": "ok", "accuracy": 0.2, "reward": 0.2, "curve": curve}


@pytest.fixture
def config(tmp_path):
    GIVEN.clear()
    return search_config(
        space={"name": "small", "image_size": 16},
        image_size=16,
        seed=9,
        data={"minival": 0.2, "subset": 128, "cache_dir": str(tmp_path)},
        training={"epochs": 3, "batch_size": 64},
        search={"evaluator": f"{__name__}:noted"},
        device="cpu",
    )


def test_it_is_given_what_a_trial_would_be(config):
    """The configuration's task and evaluator; its seed, or the one that was asked for, 0 among them."""
    architecture, threads = config.space.sample(np.random.default_rng(0)), torch.get_num_threads()
    trials = [evaluate(architecture, config, seed=seed) for seed in (None, 3, 0)]
    assert [seed for _, seed, _ in GIVEN] == [trial.seed for trial in trials] == [9, 3, 0]
    task = task_of(config, prepare(config.data, config.image_size))
    assert all(given == architecture and its == task for given, _, its in GIVEN)
    assert {(trial.status, trial.accuracy, trial.architecture) for trial in trials} == {("ok", 0.2, architecture)}
    assert torch.get_num_threads() == threads


def test_its_caller_sees_each_epoch_and_may_end_it(config):
    """By False alone: a callback that returns nothing lets it go on."""
    architecture, seen = config.space.sample(np.random.default_rng(0)), []
    evaluate(architecture, config, on_epoch=seen.append)
    assert [len(trial.curve) for trial in seen] == [1, 2, 3]
    assert {trial.architecture for trial in seen} == {architecture}
    assert evaluate(architecture, config, on_epoch=lambda trial: len(trial.curve) < 2).status == "pruned"


@pytest.mark.parametrize(
    ("section", "setting", "message"),
    [
        ("data", {"minival": 0}, "data.minival leaves no image"),
        ("training", {"batch_size": 129}, "batch_size 129 is more than the 128 training images"),
        ("training", {"batch_size": 1}, "batch norm"),
    ],
)
def test_what_fits_no_candidate_is_refused(config, section, setting, message):
    """As a search would refuse it; the evaluator is not called."""
    record = config.to_dict()
    record[section] |= setting
    with pytest.raises(ValueError, match=message):
        evaluate(config.reference, record)
    assert GIVEN == []
