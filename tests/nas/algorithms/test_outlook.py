"""Stopped trials teach what they would have come to."""

import math
from dataclasses import replace

import numpy as np
import pytest

from nas.algorithms import ALGORITHMS
from nas.algorithms.outlook import Outlook, worth
from nas.runs.trial import Trial
from search_space.spaces import small

SPACE = small()
CODES = SPACE.sample_encodings(60, np.random.default_rng(0))


def trial(number, accuracies, status="ok"):
    """One whose rewards are half its accuracies."""
    curve = tuple({"accuracy": a, "reward": a / 2} for a in accuracies)
    ended = {"accuracy": accuracies[-1], "reward": accuracies[-1] / 2} if status == "ok" else {}
    numbers = {"s_normalised": 1.0, "p_normalised": 1.0, "w": 0.0, "v": 0.0}
    return Trial(SPACE.decode(CODES[number]), status, curve=curve, **ended, **numbers)


def test_a_stopped_trial_counts_by_what_the_others_gained_from_there():
    """The median gain of reward, the median ratio of accuracy; never above the median of what finished."""
    outlook = Outlook()
    for number, finished in enumerate([(0.2, 0.4, 0.6), (0.2, 0.4, 0.8), (0.2, 0.3, 0.4)]):
        assert outlook.completed(trial(9, (0.1,), "pruned")).reward is None  # too few yet
        outlook.tell(trial(number, finished))
    first = outlook.completed(trial(9, (0.1,), "pruned"))
    assert (first.status, first.reward) == ("pruned", pytest.approx(0.05 + 0.2))
    assert first.accuracy == pytest.approx(0.1 * 3)
    second = outlook.completed(trial(9, (0.1, 0.2), "pruned"))
    assert second.reward == pytest.approx(0.1 + 0.1)
    assert outlook.completed(trial(9, (0.9,), "pruned")).reward == pytest.approx(0.3)
    assert outlook.completed(trial(9, (0.9,), "pruned")).accuracy == pytest.approx(0.6)


def test_only_what_was_stopped_is_completed_and_only_that_or_a_result_counts():
    """A failure teaches no reward; a stopped trial of an earlier log, whose curve has none, neither."""
    outlook = Outlook()
    for number in range(3):
        outlook.tell(trial(number, (0.2, 0.4, 0.6)))
    failed = replace(trial(9, (0.1,), "failed"), reward=0.9)
    assert outlook.completed(failed) is failed
    assert worth(failed) is None
    old = replace(trial(9, (0.1,), "pruned"), curve=({"accuracy": 0.1},))
    assert worth(outlook.completed(old)) is None
    assert worth(trial(0, (0.2, 0.6))) == 0.3
    assert worth(replace(trial(0, (0.2, 0.6)), reward=math.nan)) is None


def told(name, teaches):
    """An algorithm told 4 finished trials and 16 stopped ones; candidates that begin with choice 0 train badly."""
    algorithm = ALGORITHMS[name](SPACE, 0, **({"warm_up": 4} if name in ("evolution", "predictor") else {}))
    for number in range(20):
        good = 0.5 + 0.2 * (CODES[number][0] != 0)
        if number < 4:
            algorithm.tell(trial(number, (good / 4, good / 2, good)))
        else:
            algorithm.tell(trial(number, (good / 4,) if teaches else (), "pruned"))
    return algorithm


@pytest.mark.parametrize("name", ["evolution", "reinforce", "ppo", "predictor", "tpe"])
def test_algorithms_learn_from_stopped_trials(name):
    """They are in the population, the memory, or the model's data; without curves they say nothing, as ever."""
    if name == "tpe":
        pytest.importorskip("optuna", reason="the extra `algorithms` is not installed")
    learned = {
        "evolution": lambda a: len(a.population),
        "predictor": lambda a: len(a._model().targets.quality),
        "tpe": lambda a: len(a.study.get_trials(deepcopy=False)),
    }
    count = learned.get(name, lambda a: len(a.recent))
    assert count(told(name, True)) == 20
    assert count(told(name, False)) == 4


def test_the_predictor_expects_little_of_what_is_like_the_stopped_ones():
    """Of two decisions, the one whose candidates were stopped is predicted the poorer, by what they would have had."""
    model = told("predictor", True)._model()
    likely = model.targets.likely[4:]
    assert np.isfinite(likely).all()
    poor = CODES[4:20, 0] == 0
    assert likely[poor].max() < likely[~poor].min()
    mean, _ = model.quality.predict(CODES[20:])
    assert mean[CODES[20:, 0] == 0].mean() < mean[CODES[20:, 0] != 0].mean()
