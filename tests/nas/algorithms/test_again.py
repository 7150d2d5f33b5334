"""Algorithms are told means: an architecture that was lucky once loses its place when it is trained again."""

import dataclasses

import numpy as np
import pytest

from nas.algorithms import ALGORITHMS
from nas.runs.trial import Trial
from search_space.spaces import small

SPACE = small()


def trials(number):
    """The first looks best by far; rewards of the others rise."""
    found = []
    for n, code in enumerate(SPACE.sample_encodings(number, np.random.default_rng(0))):
        accuracy = 0.9 if n == 0 else 0.5 + 0.005 * n
        measured = {"accuracy": accuracy, "s_normalised": 1.0, "p_normalised": 1.0, "w": -0.07, "v": -0.05}
        found.append(Trial(SPACE.decode(code), "ok", trial_id=n, reward=accuracy, **measured))
    return found


def again(trial, accuracy):
    return dataclasses.replace(trial, accuracy=accuracy, reward=accuracy, proposed_by="repeat")


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_told_again_it_goes_on_and_a_replay_asks_the_same(name):
    """Repeats, scored or failed, are no new architectures: none is asked again, and the log alone is the state."""
    if name == "tpe":
        pytest.importorskip("optuna", reason="the extra `algorithms` is not installed")
    log = trials(30)
    log += [again(log[0], 0.4), dataclasses.replace(again(log[1], 0.4), status="nan", reward=None), again(log[29], 0.7)]
    one, other = ALGORITHMS[name](SPACE, 1), ALGORITHMS[name](SPACE, 1)
    for trial in log:
        one.tell(trial)
    asked = [one.ask() for _ in range(3)]
    for trial in log:
        other.tell(trial)
    assert [other.ask() for _ in range(3)] == asked
    assert not {proposal.architecture.arch_id for proposal in asked} & {trial.arch_id for trial in log}
    assert one.told == 33


@pytest.mark.parametrize("name", ["evolution", "local", "predictor"])
def test_the_lucky_one_is_the_parent_no_more(name):
    """After it came to 0.1 in two further trainings, its mean is below the last one's, which takes its place."""
    settings = {"population": 30, "sample_size": 30} if name == "evolution" else {}
    algorithm, log = ALGORITHMS[name](SPACE, 1, **settings), trials(20)
    for trial in log:
        algorithm.tell(trial)

    def best():
        if name == "predictor":
            return algorithm._model().targets.looked.max()
        if name == "local":
            return algorithm.best.reward
        return next(t.reward for t in algorithm.population if t.arch_id == algorithm.ask().parents[0])

    assert best() == pytest.approx(0.9)
    for accuracy in (0.1, 0.1):
        algorithm.tell(again(log[0], accuracy))
    assert best() == pytest.approx(0.5 + 0.005 * 19)


def test_a_process_takes_repeats_for_what_they_are():
    """Several noisy observations of one point: the model is surer there, and their noise is known from them."""
    algorithm = ALGORITHMS["predictor"](SPACE, 1)
    log = trials(20)[1:]
    for trial in log:
        algorithm.tell(trial)
    code = SPACE.encode(log[-1].architecture)[None]
    before = algorithm._model().predict(code)[1][0]
    for accuracy in (0.59, 0.6, 0.61):
        algorithm.tell(again(log[-1], accuracy))
    assert algorithm._model().predict(code)[1][0] < before
