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


def trial(number, accuracies, status="ok", **more):
    """One whose rewards are half its accuracies."""
    curve = tuple({"accuracy": a, "reward": a / 2} for a in accuracies)
    ended = {"accuracy": accuracies[-1], "reward": accuracies[-1] / 2} if status == "ok" else {}
    numbers = {"s_normalised": 1.0, "p_normalised": 1.0, "w": 0.0, "v": 0.0}
    return Trial(SPACE.decode(CODES[number]), status, curve=curve, **ended, **numbers, **more)


def test_a_stopped_trial_counts_by_what_the_others_came_to_from_there():
    """On the line of those that went on from that epoch; nothing is said before there are five of them."""
    outlook = Outlook()
    for number in range(40):
        if number < 5:
            assert outlook.completed(trial(59, (0.1,), "pruned")).reward is None
        first = 0.2 + 0.002 * number
        outlook.tell(trial(number, (first, 0.3, 0.6 + 1.5 * (first - 0.2))))
    stopped = outlook.completed(trial(59, (0.15,), "pruned"))
    assert (stopped.status, stopped.accuracy) == ("pruned", pytest.approx(0.6 - 1.5 * 0.05, abs=0.01))
    assert stopped.reward == pytest.approx(stopped.accuracy / 2, abs=1e-9)
    assert stopped.reward_se == pytest.approx(stopped.accuracy_se / 2, rel=1e-6)
    later = outlook.completed(trial(59, (0.15, 0.3), "pruned"))
    assert later.accuracy == pytest.approx(0.6585), "the second epoch tells nothing: their mean"
    assert later.accuracy_se > stopped.accuracy_se


def test_until_five_have_finished_trials_are_alike_after_an_early_epoch():
    """As if each had ended when the first were stopped; then nobody asks for that any more."""
    outlook = Outlook()
    outlook.tell(trial(0, (0.3, 0.4, 0.6), trial_id=2))
    assert outlook.early() == [], "nothing was stopped: what is known is what trials came to"
    stopped = [trial(1, (0.1, 0.2), "pruned", trial_id=0), trial(2, (0.2,), "pruned", trial_id=1)]
    for each in (*stopped, trial(3, (), "pruned"), trial(4, (0.1,), "failed")):
        outlook.tell(each)
    assert [(each.status, each.accuracy, each.reward) for each in outlook.early()] == [
        ("ok", 0.1, 0.05), ("ok", 0.2, 0.1), ("ok", 0.3, 0.15),
    ]  # fmt: skip
    for number in range(4):
        outlook.tell(trial(5 + number, (0.2, 0.3, 0.5)))
    assert outlook.early() == []


@pytest.mark.parametrize(("finished", "bias", "most"), [(5, 0.4, 1.5), (20, 0.2, 1.2), (80, 0.1, 1.1)])
def test_the_standard_error_of_what_a_stopped_trial_would_have_come_to(finished, bias, most):
    """Made-up trainings: an error over its standard error is of mean 0 and mean square 1, nearly so where few finished.

    Those that are stopped are the half that began worse, of which nobody has seen one finish.
    """
    rng, off = np.random.default_rng(finished), []
    for _ in range(150):
        then = rng.normal(0.3, 0.03, size=finished * 2 + 40)
        ends = 0.5 + 0.8 * (then - 0.3) + rng.normal(0, 0.015, size=len(then))
        good, outlook = then > np.median(then), Outlook()
        for accuracies in [*zip(then[good].tolist(), ends[good].tolist(), strict=True)][:finished]:
            outlook.tell(trial(0, accuracies))
        for begun, end in [*zip(then[~good].tolist(), ends[~good].tolist(), strict=True)][:20]:
            found = outlook.completed(trial(0, (begun,), "pruned"))
            off.append((end - found.accuracy) / found.accuracy_se)
    assert abs(np.mean(off)) < bias
    assert 0.8 < np.mean(np.square(off)) < most


def test_only_what_was_stopped_is_completed_and_only_that_or_a_result_counts():
    """A failure teaches no reward; a stopped trial of an earlier log, whose curve has none, neither."""
    outlook = Outlook()
    for number in range(5):
        outlook.tell(trial(number, (0.2, 0.4, 0.6)))
    failed = replace(trial(9, (0.1,), "failed"), reward=0.9)
    assert outlook.completed(failed) is failed
    assert worth(failed) is None
    old = replace(trial(9, (0.1,), "pruned"), curve=({"accuracy": 0.1},))
    assert worth(outlook.completed(old)) is None
    assert worth(trial(0, (0.2, 0.6))) == 0.3
    assert worth(replace(trial(0, (0.2, 0.6)), reward=math.nan)) is None


def told(name, teaches, finished=range(6)):
    """An algorithm told 6 finished trials and 14 stopped ones; candidates that begin with choice 0 train badly."""
    algorithm = ALGORITHMS[name](SPACE, 0, **({"warm_up": 4} if name in ("evolution", "predictor") else {}))
    for number in range(20):
        good = 0.5 + 0.2 * (CODES[number][0] != 0)
        if number in finished:
            algorithm.tell(trial(number, (good / 4, good / 2, good)))
        else:
            algorithm.tell(trial(number, (good / 4,) if teaches else (), "pruned"))
    return algorithm


@pytest.mark.parametrize("name", ["evolution", "local", "nsga2", "reinforce", "ppo", "predictor", "tpe"])
def test_algorithms_learn_from_stopped_trials(name):
    """They are in the population, the memory, or the model's data; without curves they say nothing, as ever."""
    if name == "tpe":
        pytest.importorskip("optuna", reason="the extra `algorithms` is not installed")
    learned = {
        "evolution": lambda a: len(a.population),
        "local": lambda a: a.scored,
        "nsga2": lambda a: len(a.trials),
        "predictor": lambda a: len(a._model().targets.quality),
        "tpe": lambda a: len(a.study.get_trials(deepcopy=False)),
    }
    count = learned.get(name, lambda a: len(a.recent))
    assert count(told(name, True)) == 20
    assert count(told(name, False)) == 6


def test_the_predictor_begins_with_early_epochs():
    """While none has finished it proposes what is like the best after the epoch at which all were stopped."""
    predictor = told("predictor", True, finished=())
    proposals = [predictor.ask() for _ in range(6)]
    assert {(each.proposed_by, len(each.notes)) for each in proposals} == {("predictor.early", 0)}
    assert all(SPACE.encode(each.architecture)[0] != 0 for each in proposals)
    assert told("predictor", False, finished=()).ask().proposed_by == "predictor.random"
    assert told("predictor", True).ask().proposed_by == "predictor.model"


def test_the_predictor_expects_little_of_what_is_like_the_stopped_ones():
    """Of two decisions, the one whose candidates were stopped is predicted the poorer, by what they would have had."""
    model = told("predictor", True)._model()
    likely = model.targets.likely[6:]
    assert np.isfinite(likely).all()
    poor = CODES[6:20, 0] == 0
    assert likely[poor].max() < likely[~poor].min()
    mean, _ = model.quality.predict(CODES[20:])
    assert mean[CODES[20:, 0] == 0].mean() < mean[CODES[20:, 0] != 0].mean()


def test_the_predictor_trusts_a_stopped_trial_less_the_less_its_curve_says():
    """A stopped one counts as a finished one with a larger error: much larger where its beginning says little."""
    doubts = []
    for noise in (0.0, 0.05):
        algorithm, rng = ALGORITHMS["predictor"](SPACE, 0, warm_up=4), np.random.default_rng(0)
        for number in range(40):
            good = 0.5 + 0.02 * float(CODES[number].sum() % 5)
            begun = good / 2 + noise * rng.normal()
            algorithm.tell(trial(number, (begun, good)) if number < 20 else trial(number, (begun,), "pruned"))
        quality = algorithm._model().quality
        stopped = [code.tolist() in CODES[20:40].tolist() for code in quality.codes]
        assert (quality.doubt[~np.array(stopped)] == 1).all()
        doubts.append(quality.doubt[stopped])
        assert len(doubts[-1]) == 20
        assert doubts[-1].min() > 1
    assert doubts[1].min() > 3 * doubts[0].max()
