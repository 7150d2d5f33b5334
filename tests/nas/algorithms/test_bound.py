"""Bounds: what a candidate would need, what it may hope for, and how often that is wrong."""

import math
from dataclasses import replace

import numpy as np
import pytest

from nas.algorithms import ALGORITHMS
from nas.algorithms.bound import accuracy_from_curves, bound, needed_accuracy
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


def test_curves_bound_the_final_accuracy(log):
    """At 90 % confidence about a tenth of fresh trials pass their bound; with few trials nothing is said."""
    known, fresh = log[:50], log[50:]
    passed = [t.accuracy > accuracy_from_curves(known, t.curve[:4], confidence=0.9) for t in fresh]
    assert np.mean(passed) <= 0.3
    loose = accuracy_from_curves(known, fresh[0].curve[:1])
    tight = accuracy_from_curves(known, fresh[0].curve[:8])
    assert abs(tight - fresh[0].accuracy) < abs(loose - fresh[0].accuracy) or loose > tight
    assert math.isnan(accuracy_from_curves(known[:5], fresh[0].curve[:4]))
    assert math.isnan(accuracy_from_curves(known, ()))
    with pytest.raises(ValueError, match="confidence"):
        accuracy_from_curves(known, fresh[0].curve, confidence=1.0)


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
