"""What a few seeds tell apart: simulations whose truth is known, and agreement with scipy where it has the case."""

import numpy as np
import pytest
from scipy import stats

from nas.claims.seeds_apart import groups, seed_means

RUNS = 800
# What 800 runs may show by chance of a rate of 5 %, in 999 of 1,000 cases.
MOST = stats.binom.ppf(0.999, RUNS, 0.05) / RUNS


def simulated(true, seeds, *, common=0.0, noise=1.0, missing=0.0):
    """Means of simulated trainings: (falsely told apart, intervals that hold the truth, first and last told apart)."""
    rng, true = np.random.default_rng(7), np.asarray(true, dtype=float)
    wrong, held, found = 0, [], 0
    for _ in range(RUNS):
        values = true[:, None] + common * rng.standard_normal(seeds)
        values = values + np.broadcast_to(noise, true.shape)[:, None] * rng.standard_normal((len(true), seeds))
        values[rng.random(values.shape) < missing] = np.nan
        means = seed_means(values)
        apart = means.apart & (np.abs(means.means[:, None] - means.means) > 0)
        wrong += bool((apart & ((true[:, None] - true) * (means.means[:, None] - means.means) <= 0)).any())
        held.append((means.low <= true) & (true <= means.high))
        found += bool(apart[0, -1])
    return wrong / RUNS, float(np.mean(held)), found / RUNS


@pytest.mark.parametrize(
    ("count", "seeds", "settings"),
    [
        (2, 3, {}),
        (7, 3, {}),
        (7, 3, {"common": 2.0}),
        (5, 2, {}),
        (7, 3, {"noise": np.linspace(0.5, 1.5, 7)}),
        (6, 4, {"missing": 0.1}),
    ],
)
def test_equals_are_hardly_ever_told_apart(count, seeds, settings):
    """Of all pairs of equal architectures not one is told apart, in 95 % of confirmations; intervals hold the truth.

    Also where a seed is good for all of them, some are noisier than others, or a training is missing.
    """
    wrong, held, _ = simulated(np.zeros(count), seeds, **settings)
    assert wrong <= MOST
    assert held >= 0.93


def test_what_differs_is_told_apart():
    """With three seeds five deviations of a single training are found nearly always, and a seed's effect hides none."""
    wrong, held, found = simulated(np.linspace(5, 0, 7), 3, common=3.0)
    assert found > 0.9
    assert wrong < 0.01
    assert held >= 0.93


def test_two_architectures_are_compared_by_the_paired_t_test():
    """Of two, Tukey's comparison is Student's of the differences; the interval of one alone is Student's, too."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((2, 4))
    means = seed_means(values)
    assert means.p_values()[0, 1] == pytest.approx(stats.ttest_rel(*values).pvalue, rel=1e-4)
    interval = stats.ttest_rel(*values).confidence_interval(0.95)
    assert means.margin[0, 1] == pytest.approx((interval.high - interval.low) / 2, rel=1e-4)
    alone = seed_means(values[:1])
    expected = stats.t.interval(0.95, 3, loc=values[0].mean(), scale=stats.sem(values[0]))
    assert (alone.low[0], alone.high[0]) == pytest.approx(expected)
    assert (alone.se[0], alone.sd) == pytest.approx((stats.sem(values[0]), values[0].std(ddof=1)))


def test_a_missing_training_does_not_move_its_architecture():
    """Where the seed that is missing is a bad one for all, the mean is as if it had been there."""
    values = np.array([[0.9, 0.8, 0.9], [0.8, 0.7, 0.8], [0.85, np.nan, 0.85]])
    assert seed_means(values).means == pytest.approx([2.6 / 3, 2.3 / 3, 0.85 - 0.1 / 3])


def test_without_two_seeds_nothing_is_told():
    """One seed has means and no errors; no seed has nothing; equal values are not infinitely sure."""
    one = seed_means(np.array([[0.9], [0.1]]))
    assert one.means == pytest.approx([0.9, 0.1])
    assert not one.apart.any()
    assert np.isnan([*one.se, *one.low, *one.p_values().ravel()]).all()
    none = seed_means(np.array([[0.9, 0.8], [np.nan, np.nan], [0.7, 0.6]]))
    assert np.isnan(none.means[1])
    assert np.isfinite(none.means[[0, 2]]).all()
    assert np.isnan(seed_means(np.full((2, 2), np.nan)).means).all()
    same = seed_means(np.array([[0.90, 0.90], [0.91, 0.91]]), resolution=0.01)
    assert same.margin[0, 1] > 0.01
    assert not same.apart.any()


def test_ties_are_the_largest_sets_without_a_pair_that_is_told_apart():
    """1 and 2, 2 and 3 are ties, 1 and 3 are not: two sets, with 2 in both."""
    apart = np.zeros((4, 4), dtype=bool)
    for pair in ((0, 2), (0, 3), (1, 3), (2, 3)):
        apart[pair] = apart[pair[::-1]] = True
    assert groups(apart) == [(0, 1), (1, 2), (3,)]
    assert groups(np.zeros((3, 3), dtype=bool)) == [(0, 1, 2)]
