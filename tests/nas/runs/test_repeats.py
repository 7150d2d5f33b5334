"""Several trainings of one architecture: their mean, the posterior of each architecture, and which is best."""

import numpy as np
import pytest

from nas.runs.ranking import best, best_seen
from nas.runs.repeats import mean_of, posterior
from nas.runs.trial import Trial
from search_space.spaces import small

SPACE = small()
ARCHITECTURES = [SPACE.decode(code) for code in SPACE.sample_encodings(12, np.random.default_rng(0))]


def trial(number, reward, **fields):
    return Trial(ARCHITECTURES[number], "ok", reward=reward, **fields)


def test_the_mean_of_trainings_has_the_error_that_they_show():
    """Rewards 0.5 and 0.7 of which each errs by 0.1: the mean's variance is 0.1^2, shared, and 0.02 over two."""
    pair = [trial(0, 0.5, reward_se=0.1, accuracy=0.5, metrics={"x": 1.0}), trial(0, 0.7, reward_se=0.1, accuracy=0.7)]
    mean = mean_of(pair)
    assert mean.reward == pytest.approx(0.6)
    assert mean.accuracy == pytest.approx(0.6)
    assert mean.reward_se == pytest.approx((0.1**2 + 0.02 / 2) ** 0.5)
    assert mean.metrics == {"x": 1.0}


def test_a_posterior_lies_between_its_trainings_and_the_others():
    """Where half of the variance is noise, one training's deviation is kept by 1/2, the mean of two by 2/3."""
    rng = np.random.default_rng(0)
    true = rng.normal(0.7, 0.01, 4000)
    first = true + 0.01 * rng.normal(size=4000)
    again = np.flatnonzero(first > 0.72)
    rewards = np.concatenate([first, true[again] + 0.01 * rng.normal(size=len(again))])
    ids = [*map(str, range(4000)), *map(str, again)]
    found = posterior(ids, rewards, [np.nan] * len(ids))
    assert found.noise == pytest.approx(0.01, rel=0.06)
    assert found.own == pytest.approx(0.5, abs=0.06)
    middle = np.median(found.observed)
    share = (found.mean - middle) / (found.observed - middle)
    assert np.median(share[found.trainings == 1]) == pytest.approx(1 / 2, abs=0.06)
    assert np.median(share[found.trainings == 2]) == pytest.approx(2 / 3, abs=0.06)
    assert np.median(found.std[found.trainings == 1]) == pytest.approx(0.01 / 2**0.5, rel=0.1)


def test_what_was_lucky_once_is_not_the_best():
    """One looks best at 0.9; trained again it comes to 0.6, and another holds its 0.85: that is the best."""
    others = [trial(number, 0.5 + 0.02 * number, reward_se=0.1) for number in range(2, 12)]
    seen = [trial(0, 0.9, trial_id=0, reward_se=0.1), trial(1, 0.85, trial_id=1, reward_se=0.1)]
    assert best([*seen, *others]).trial_id == 0, "without repeats the highest reward is the best"
    again = [trial(0, 0.6, trial_id=2, reward_se=0.1), trial(1, 0.86, trial_id=3, reward_se=0.1)]
    trials = [*seen, *others, *again]
    assert best(trials).trial_id == 3
    assert best_seen(trials).trial_id == 0


@pytest.mark.parametrize("architectures", [30, 200])
def test_the_posterior_of_the_winner_holds_the_truth(architectures):
    """In 95 % of simulated logs, though the winner is the luckiest of many; its observed mean is far above."""
    rng, held, above, naive = np.random.default_rng(1), 0, [], []
    for _ in range(300):
        true = rng.normal(0.7, 0.01, architectures)
        ids = [*map(str, range(architectures)), *map(str, np.argsort(-true)[:8])]
        numbers = np.array([int(each) for each in ids])
        found = posterior(ids, true[numbers] + 0.008 * rng.normal(size=len(ids)), [0.008] * len(ids))
        winner = found.winner
        error = winner.mean - true[int(winner.arch_id)]
        held += abs(error) < 1.96 * winner.std
        above.append(error)
        at = int(np.argmax(found.observed))
        naive.append(found.observed[at] - true[at])
    assert held / 300 >= 0.95 - 3 * (0.05 * 0.95 / 300) ** 0.5
    assert abs(np.mean(above)) < 0.25 * np.mean(naive)


@pytest.mark.parametrize("rewards", [[1e308, 1e308, -1e308], [0.0, 0.0, 0.0], [1e-320, 0.0, 1e-320], [5.0, 5.0, 5.0]])
def test_rewards_of_any_size_have_a_posterior(rewards):
    """A reward of anybody's own, and one that is the same for all, leave numbers and no warning."""
    found = posterior(["a", "b", "a"], rewards, [np.nan, np.inf, 1e308])
    assert np.isfinite(found.mean).all()
    assert np.isfinite(found.std).all()
