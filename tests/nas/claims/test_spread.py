"""The architectures that a study of proxies is made with."""

import numpy as np
import pytest

from nas.claims.spread import spread_of_run, spread_of_space
from nas.runs.trial import Trial
from search_space.cost import count
from search_space.spaces import SPACES

SPACE = SPACES["small"](image_size=16)


@pytest.fixture(scope="module")
def trials():
    """Sixty trials whose accuracy and step time are independent; forty are crowded in one corner."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(60):
        accuracy, s = rng.random(2) if number < 20 else 0.5 + rng.random(2) / 1000
        numbers = {"accuracy": accuracy, "s_normalised": s, "reward": accuracy, "macs": 1, "params": 1}
        made.append(Trial(SPACE.sample(rng), "ok", trial_id=number, **numbers))
    return made


def test_the_winner_is_among_them_and_both_ranges_are_covered(trials):
    """What is chosen spans accuracy and step time: the extremes of both are near, and none stands beside another."""
    chosen = spread_of_run(trials, 12, seed=0)
    assert chosen[0].architecture == max(trials, key=lambda trial: trial.accuracy).architecture
    assert len({each.architecture.arch_id for each in chosen}) == 12
    for name in ("accuracy", "s_normalised"):
        all_of_them = sorted(getattr(trial, name) for trial in trials)
        ranks = sorted(all_of_them.index(getattr(each, name)) / 59 for each in chosen)
        assert ranks[0] < 0.1
        assert ranks[-1] > 0.9
        assert max(np.diff(ranks)) < 0.35


def test_the_same_seed_chooses_the_same(trials):
    """A study that is begun again is the same study."""
    assert spread_of_run(trials, 12, seed=3) == spread_of_run(trials, 12, seed=3)
    assert spread_of_space(SPACE, 10, seed=3) == spread_of_space(SPACE, 10, seed=3)
    assert spread_of_space(SPACE, 10, seed=3) != spread_of_space(SPACE, 10, seed=4)


def test_trials_of_one_architecture_are_one(trials):
    """An architecture that was tried twice is chosen once, with the mean of its accuracies."""
    first = trials[0]
    again = Trial(first.architecture, "ok", accuracy=first.accuracy + 0.2, s_normalised=first.s_normalised, macs=1)
    chosen = spread_of_run([first, again, *trials[1:6]], 6, seed=0)
    assert len({each.architecture.arch_id for each in chosen}) == 6
    (mean,) = [each.accuracy for each in chosen if each.architecture == first.architecture]
    assert mean == pytest.approx(first.accuracy + 0.1)


def test_too_few_are_said_so(trials):
    """Trials that failed cannot be chosen, and the message says how many there are."""
    failed = [Trial(trial.architecture, "failed") for trial in trials[5:]]
    with pytest.raises(ValueError, match="5 architectures of the run were trained to the end; 12 are asked for"):
        spread_of_run([*trials[:5], *failed], 12, seed=0)


def test_without_a_log_costs_are_spread():
    """From a space alone: small and large, with counts that are the architectures'."""
    chosen = spread_of_space(SPACE, 10, seed=0)
    for each in chosen:
        assert SPACE.contains(each.architecture)
        at = SPACE.constraints
        assert (each.params, each.macs) == count(each.architecture, at.image_size, at.num_classes)[:2]
    rng = np.random.default_rng(1)
    others = [count(SPACE.sample(rng), SPACE.constraints.image_size).macs for _ in range(200)]
    ranks = sorted(np.searchsorted(np.sort(others), each.macs) / 200 for each in chosen)
    assert ranks[0] < 0.1
    assert ranks[-1] > 0.9
