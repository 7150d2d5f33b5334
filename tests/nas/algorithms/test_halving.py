"""Successive halving: where trainings are compared, who goes on, and what it saves."""

import numpy as np
import pytest

from nas.algorithms.halving import Halving, rungs


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(2, (1,)), (3, (1,)), (5, (1,)), (9, (1, 3)), (10, (1, 3)), (20, (2, 6)), (27, (3, 9)), (100, (11, 33))],
)
def test_rungs_are_a_ninth_and_a_third_of_the_training(epochs, expected):
    """None of them is where most of a training's cost is spent."""
    assert rungs(epochs) == expected


@pytest.mark.parametrize(("every", "expected"), [(2, (2, 4)), (3, (3,)), (4, (4,)), (5, (5,))])
def test_rungs_are_epochs_that_are_evaluated(every, expected):
    """The next one that is, if it is not too late; where none is early enough, nothing could be saved."""
    assert rungs(10, every) == expected
    with pytest.raises(ValueError, match="no epoch of the first half"):
        rungs(2 * every - 1, every)


def test_rungs_can_be_chosen():
    """Where they are told is where trainings are compared; what is too late or not evaluated is refused by name."""
    assert rungs(30, at=(2, 5, 10)) == (2, 5, 10)
    halving = Halving(30, at=(2, 5))
    curves = [[{"reward": reward}] * 5 for reward in (0.5, 0.6, 0.7, 0.4)]
    assert [halving.verdict(i, curve[:1]) for i, curve in enumerate(curves)] == [None] * 4
    assert [bool(halving.verdict(i, curve[:2])) for i, curve in enumerate(curves)] == [False, False, False, True]
    assert halving.verdict(0, curves[0][:4]) is None
    assert [bool(halving.verdict(i, curves[i])) for i in (2, 0)] == [False, True]
    with pytest.raises(ValueError, match=r"prune_epochs must be of the first half of 30 epochs, .* got 16"):
        rungs(30, at=(2, 16))
    with pytest.raises(ValueError, match=r"evaluated \(training.eval_every 2\), got 5"):
        rungs(30, 2, at=(2, 5))


def follow(epochs, trials=300, workers=4, seed=0):
    """Train candidates side by side, of which each epoch's reward tells the last one's with some noise.

    Returns: epochs trained of each, and their final rewards.
    """
    rng = np.random.default_rng(seed)
    halving, final = Halving(epochs), rng.normal(size=trials)
    trained = np.zeros(trials, dtype=int)
    curves = {}
    waiting, running = list(range(trials)), []
    while waiting or running:
        while waiting and len(running) < workers:
            running.append(waiting.pop(0))
        one = running[rng.integers(len(running))]
        curves.setdefault(one, []).append({"reward": final[one] + 0.1 * rng.normal()})
        trained[one] += 1
        if trained[one] == epochs or halving.verdict(one, curves[one]):
            running.remove(one)
    return trained, final


@pytest.mark.parametrize(
    ("epochs", "spent", "finished"), [(5, 0.47, 1 / 3), (10, 0.23, 1 / 9), (20, 0.24, 1 / 9), (100, 0.26, 1 / 9)]
)
def test_it_saves_most_of_the_cost_and_stops_nobody_after_most_of_it(epochs, spent, finished):
    """Two thirds end at each rung, so what is spent is arithmetic; what is stopped had most of its cost before it."""
    trained, final = follow(epochs)
    assert trained[trained < epochs].max() <= epochs / 3
    assert trained.mean() / epochs == pytest.approx(spent, abs=0.06)
    assert (trained == epochs).mean() == pytest.approx(finished, abs=0.06)
    wasted = trained[trained < epochs].sum() / trained.sum()
    assert wasted < 0.6  # with rungs at 1, 3 and 9 of 10 it is 0.7 to 0.8
    assert trained[np.argmax(final)] == epochs


def test_the_best_third_goes_on():
    """Of those that came so far, the one that asks among them; equals are one place."""
    halving = Halving(9)
    said = [halving.verdict(i, [{"reward": r}]) for i, r in enumerate([0.5, 0.4, 0.6, 0.5, 0.5, 0.55, 0.1])]
    assert [reason is None for reason in said] == [True, False, True, True, True, True, False]
    assert said[1] == "stopped after epoch 1: reward 0.4000 is number 2 of the 2 that came so far"


def test_a_trial_is_judged_once_a_rung_and_only_by_what_is_known():
    """Between rungs nobody is stopped; a trial begun anew is not judged twice; without a reward it goes on."""
    halving = Halving(10)
    assert halving.verdict(0, [{"reward": 0.9}]) is None
    assert halving.verdict(1, [{"reward": 0.1}]) is not None
    assert halving.verdict(1, [{"reward": 0.1}]) is None
    assert halving.verdict(2, [{"accuracy": 0.1}]) is None
    assert halving.verdict(0, [{"reward": 0.9}, {"reward": 0.0}]) is None
    assert halving.verdict(2, [{}] * 5 + [{"reward": -1.0}]) is None  # later than anything could be saved


def test_told_the_log_it_goes_on_as_it_would_have():
    """A search that was killed compares with the trials of before."""
    rng = np.random.default_rng(0)
    curves = [[{"reward": float(r)} for r in rng.normal(size=10)] for _ in range(40)]
    whole, replayed = Halving(10), Halving(10)
    kept = []
    for i, curve in enumerate(curves[:20]):
        stopped = next((e for e in range(1, 10) if whole.verdict(i, curve[:e])), 10)
        kept.append(curve[:stopped])
    for i, curve in enumerate(kept):
        replayed.tell(i, curve)
    for i, curve in enumerate(curves[20:], 20):
        assert [whole.verdict(i, curve[:e]) for e in (1, 3)] == [replayed.verdict(i, curve[:e]) for e in (1, 3)]
