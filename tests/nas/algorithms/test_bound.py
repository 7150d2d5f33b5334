"""Bounds: what a candidate would need, what it may hope for, and how often that is wrong."""

import math
from dataclasses import replace

import numpy as np
import pytest

from nas.algorithms import ALGORITHMS
from nas.algorithms.bound import CurveBound, bound, needed_accuracy
from nas.runs.trial import Trial
from search_space.spaces import small

SPACE = small()


@pytest.fixture
def log():
    """Eighty trials whose curves approach their final accuracy with a random spread."""
    rng = np.random.default_rng(1)
    trials = []
    for code in SPACE.sample_encodings(80, rng):
        a = SPACE.decode(code)
        size = sum(s.layers * s.expansion for s in a.stages)
        final = 0.6 + 0.05 * math.log(size) + 0.003 * rng.normal()
        curve = tuple({"accuracy": final - 0.2 * 0.5**e + 0.01 * rng.normal() * 0.7**e} for e in range(9))
        curve += ({"accuracy": final},)
        trial = Trial(a, "ok", accuracy=final, s_normalised=size / 20, p_normalised=1.0, curve=curve, w=-0.07, v=-0.05)
        trials.append(replace(trial, reward=final * (size / 20) ** -0.07))
    return trials


def test_needed_accuracy_gives_the_kth_reward(log):
    """With the needed accuracy the reward is exactly the k-th best; with fewer than k trials nothing is needed."""
    needed = needed_accuracy(log, 2.0, 0.5, k=3)
    kth = sorted((t.reward for t in log), reverse=True)[2]
    assert needed * 2.0**-0.07 * 0.5**-0.05 == pytest.approx(kth)
    assert needed_accuracy(log[:2], 2.0, 0.5, k=3) == 0.0
    with pytest.raises(ValueError, match="k must"):
        needed_accuracy(log, 1.0, 1.0, k=0)
    with pytest.raises(ValueError, match="positive"):
        needed_accuracy(log, 0.0, 1.0)


def test_only_the_provably_poor_is_hopeless():
    """Below what is needed is hopeless; equal, above or unknown is not."""
    assert bound(0.5, 0.6).hopeless
    assert not bound(0.6, 0.6).hopeless
    assert not bound(math.nan, 0.6).hopeless


ARCHITECTURE = SPACE.sample(np.random.default_rng(0))
EPOCHS = 10


def draw(rng, *, heavy=False, drift=0.0):
    """A finished trial that approaches its accuracy at a rate of its own, with noise that is independent each epoch."""
    at = np.arange(1, EPOCHS + 1)
    final, rate, gap = 0.6 + drift + 0.1 * rng.normal(), rng.uniform(0.4, 0.8), 0.3 * rng.lognormal(0, 0.4)
    noise = 0.01 * (rng.standard_t(2, EPOCHS) if heavy else rng.normal(size=EPOCHS))
    accuracies = np.clip(final - gap * (rate**at - rate**EPOCHS) + noise, 0, 1)
    curve = tuple({"accuracy": float(a)} for a in accuracies)
    return Trial(ARCHITECTURE, "ok", accuracy=curve[-1]["accuracy"], reward=curve[-1]["accuracy"], curve=curve)


def searches(count, trials, confidence, *, k=None, drift=0.0, heavy=False):
    """Follow searches whose end is known for stopped trials, too.

    Returns: an array of whether a training had a bound, passed one, was stopped, and was stopped in error: it would
        have been among the best `k`. Without a `k` nothing is stopped.
    """
    found = []
    for seed in range(count):
        rng, curves, done = np.random.default_rng(seed), CurveBound(confidence), []
        for i in range(trials):
            trial = draw(rng, heavy=heavy, drift=drift * i / trials)
            bounds = [curves.optimistic(trial.curve[:epoch]) for epoch in range(1, EPOCHS)]
            known = [b for b in bounds if not math.isnan(b)]
            needed = needed_accuracy(done, 1.0, 1.0, k=k) if k else 0.0
            stopped = any(b < needed for b in known)
            found.append([bool(known), any(trial.accuracy > b for b in known), stopped, trial.accuracy >= needed])
            found[-1][3] &= stopped
            if not stopped:
                curves.tell(trial)
                done.append(trial)
    return np.array(found)


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_a_training_stays_below_all_of_its_bounds_as_often_as_promised(confidence, heavy):
    """Whatever the noise, all bounds of a training together hold with the confidence asked for: not each of them."""
    bounded, passed, _, _ = searches(10, 120, confidence, heavy=heavy).T
    errors = math.sqrt(confidence * (1 - confidence) / bounded.sum())
    assert passed[bounded].mean() <= 1 - confidence + 3 * errors
    assert passed[bounded].mean() >= (1 - confidence) / 2  # nor is it simply so high that nothing passes it


@pytest.mark.parametrize("drift", [0.0, 0.15])
def test_bounds_hold_where_they_decide_who_is_known(drift):
    """Those known are those not stopped. It keeps the promise; a search that gets better bends it by a few tenths."""
    bounded, passed, stopped, good = searches(12, 150, 0.95, k=5, drift=drift).T
    errors = math.sqrt(0.95 * 0.05 / bounded.sum())
    assert passed[bounded].mean() <= 0.05 * (1.3 if drift else 1) + 3 * errors
    assert stopped.mean() > 0.4
    assert good.sum() <= 0.01 * stopped.sum()


@pytest.mark.parametrize(("confidence", "least"), [(0.9, 9), (0.95, 19), (0.99, 99)])
def test_there_is_no_bound_before_it_can_be_had(confidence, least):
    """The largest of n errors is passed by one in n + 1: with fewer finished trials nothing is said."""
    rng, curves = np.random.default_rng(0), CurveBound(confidence)
    for _ in range(least - 1):
        curves.tell(draw(rng))
    candidate = draw(rng).curve
    assert math.isnan(curves.optimistic(candidate[:4]))
    curves.tell(draw(rng))
    assert curves.optimistic(candidate[:4]) > candidate[3]["accuracy"]


def test_bounds_are_for_the_first_half_and_for_what_was_measured():
    """No epoch without an accuracy, none in the second half, no curve of other epochs than the latest trial's."""
    rng, curves = np.random.default_rng(0), CurveBound()
    for _ in range(30):
        curves.tell(draw(rng))
    candidate = draw(rng).curve
    said = [not math.isnan(curves.optimistic(candidate[:epoch])) for epoch in range(EPOCHS + 1)]
    assert said == [False, *[True] * 5, *[False] * 5]
    assert math.isnan(curves.optimistic([*candidate[:2], {"accuracy": None}]))
    curves.tell(replace(draw(rng), status="nan"))
    assert not math.isnan(curves.optimistic(candidate[:1]))
    every_second = tuple(e if i % 2 else {"accuracy": None} for i, e in enumerate(draw(rng).curve))
    curves.tell(replace(draw(rng), curve=every_second))
    assert math.isnan(curves.optimistic(candidate[:2]))
    with pytest.raises(ValueError, match="confidence"):
        CurveBound(1.0)


def test_less_is_known_of_what_is_unlike_the_finished_ones():
    """Where a candidate lies far outside, its bound is further above the line."""
    rng, curves = np.random.default_rng(0), CurveBound()
    for _ in range(40):
        curves.tell(draw(rng))
    at = [curves.optimistic([{"accuracy": a}]) for a in (-2.0, 0.3, 0.4, 0.5, 3.0)]
    slope = (at[3] - at[2]) / 0.1
    assert at[4] - at[3] > 1.05 * slope * 2.5
    assert at[1] - at[0] < 0.95 * slope * 2.3


def test_the_predictor_bounds_before_training(log):
    """Few observed accuracies lie above the predictor's 99 % bound; without trials it says nothing."""
    predictor = ALGORITHMS["predictor"](SPACE)
    assert math.isnan(predictor.optimistic_accuracy(log[0].architecture))
    for trial in log[:50]:
        predictor.tell(trial)
    above = [t.accuracy > predictor.optimistic_accuracy(t.architecture) for t in log[50:]]
    assert np.mean(above) <= 0.1
    with pytest.raises(ValueError, match="confidence"):
        predictor.optimistic_accuracy(log[0].architecture, 1.5)
