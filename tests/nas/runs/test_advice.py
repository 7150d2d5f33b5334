"""The advice to stop: what more trials are expected to gain is what they gain, in searches whose truth is known."""

import numpy as np
import pytest

from experiments.benchmarks.landscapes import family
from nas.runs import advice as module
from nas.runs.advice import AHEAD, Advisor, advise
from nas.runs.trial import Trial
from search_space.spaces import small


def names(count):
    return [str(number) for number in range(count)]


@pytest.mark.parametrize("noise", [0.0, 0.004])
def test_the_expected_gain_is_what_comes(noise):
    """Over 240 random searches on landscapes what is predicted after 20 to 100 trials is right within a factor of 2.

    How it is with searches that learn, experiments/benchmarks/stopping.py says.
    """
    rng, said, came = np.random.default_rng(0), [], []
    for landscape in (family("held_out")[number] for number in (0, 1, 4)):
        codes = landscape.space.sample_encodings(80 * 110, rng)
        true = landscape.reward(codes).reshape(80, 110)
        seen = true + noise * rng.normal(size=true.shape)
        for n in (20, 40, 100):
            said += [advise(names(n), row[:n], [noise] * n).expected_gain for row in seen]
            before, after = seen[:, :n].argmax(axis=1), seen[:, : n + AHEAD].argmax(axis=1)
            came += [*(true[np.arange(80), after] - true[np.arange(80), before])]
    error = np.std(came) / len(came) ** 0.5
    assert np.mean(said) / 2 - error < np.mean(came) < 2 * np.mean(said) + error, f"{np.mean(said)}, {np.mean(came)}"
    most = np.array(said) > np.median(said)
    assert np.mean(np.array(came)[most]) > 1.5 * np.mean(np.array(came)[~most]), "where more is said, more comes"


def test_nothing_is_said_of_few_architectures():
    """Twenty must be scored: what failed does not count, nor another training of the same."""
    rewards = np.random.default_rng(0).normal(0.7, 0.01, 40)
    assert advise(names(19), rewards[:19], [0.01] * 19) is None
    assert advise([*names(19), "3", "4"], rewards[:21], [0.01] * 21) is None
    assert advise(names(21), [*rewards[:19], np.nan, np.nan], [0.01] * 21) is None
    found = advise(names(20), rewards[:20], [0.01] * 20)
    assert found.architectures == 20
    assert found.within_noise == (found.expected_gain < found.best_sd)
    assert str(found).endswith(f" by 10 more trials, the best is known to ±{found.best_sd:.2g}")
    assert len(str(found)) <= 62, "beside a name it fits a terminal"


def test_where_no_error_is_known_nothing_is_measured_by_it():
    """A reward of one's own, without standard errors and without repeats."""
    rewards = np.random.default_rng(0).normal(0.7, 0.01, 40)
    found = advise(names(40), rewards, [np.nan] * 40)
    assert found.best_sd is None
    assert found.within_noise is None
    assert str(found).endswith(" by 10 more trials")
    assert advise([*names(39), "3"], rewards, [np.nan] * 40).best_sd > 0, "a repeat shows it"


def test_trials_that_fail_gain_nothing():
    """Where every other trial fails, ten more are five."""
    rewards = np.random.default_rng(0).normal(0.7, 0.01, 100)
    half = rewards.copy()
    half[1::2] = np.nan
    all_ok, half_ok = (advise(names(len(row)), row, [0.0] * len(row)) for row in (rewards[::2], half))
    assert 0.4 * all_ok.expected_gain < half_ok.expected_gain < 0.7 * all_ok.expected_gain


@pytest.mark.parametrize("unit", [1e-300, 1e-6, 1e300])
def test_rewards_of_any_size(unit):
    """In another unit the same is said in that unit; where all are alike nothing is to be gained."""
    rewards = np.random.default_rng(0).normal(0.7, 0.01, 40)
    found, other = advise(names(40), rewards, [0.01] * 40), advise(names(40), unit * rewards, [0.01 * unit] * 40)
    assert other.expected_gain == pytest.approx(unit * found.expected_gain)
    assert other.best_sd == pytest.approx(unit * found.best_sd)
    assert advise(names(40), [unit] * 40, [np.nan] * 40).expected_gain == 0


def test_while_trials_finish_the_same_is_said_at_a_constant_cost(monkeypatch):
    """Up to 200 trials after each one; of 3,000 no more than 600 times, and the same after an interruption."""
    space, rng = small(), np.random.default_rng(0)
    architectures = [space.decode(code) for code in space.sample_encodings(250, rng)]
    trials = [Trial(each, "ok", reward=0.7 + 0.01 * rng.normal(), reward_se=0.01) for each in architectures]
    straight, resumed = Advisor(), Advisor()
    for trial in trials[:235]:
        straight.count(trial)
        resumed.count(trial)
        straight.look()
    assert resumed.look() == straight.look() == advise(straight.architectures[:234], *_numbers(straight, 234))
    calls = []
    monkeypatch.setattr(module, "advise", lambda *log: calls.append(len(log[0])))
    straight = Advisor()
    for trial in 12 * trials:
        straight.count(trial)
        straight.look()
    assert calls[:150] == [*range(1, 151)]
    assert len(calls) < 600


def _numbers(advisor, count):
    return advisor.rewards[:count], advisor.errors[:count]
