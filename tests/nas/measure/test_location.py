import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.measure.location import pseudo_median, quantiles

NUMBERS = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40)


def test_estimate_is_the_median_of_the_means_of_all_twos():
    """The estimate is Hodges and Lehmann's: of 0, 1, 10 the six means are 0, 0.5, 1, 5, 5.5, 10, their median 3."""
    assert pseudo_median([10.0, 0.0, 1.0], 0.95)[0] == 3.0


@pytest.mark.parametrize(("n", "critical"), [(6, 0), (7, 2), (8, 3), (9, 5), (10, 8), (15, 25), (20, 52), (30, 137)])
def test_interval_uses_the_critical_values_of_the_signed_rank_test(n, critical):
    """Its ends are the order statistics that the published two-sided 5 % table of Wilcoxon's test asks for."""
    sample = [1.0, *(2.0**k for k in range(1, n))]  # all means of two differ, so ranks can be counted
    means = sorted((a + b) / 2 for i, a in enumerate(sample) for b in sample[i:])
    _, low, high = pseudo_median(sample, 0.95)
    assert (means.index(low), len(means) - 1 - means.index(high)) == (critical, critical)


def test_too_few_values_know_nothing():
    """Five values cannot exclude anything at 95 %: a caller must not stop there."""
    assert pseudo_median([1.0] * 5, 0.95) == (1.0, -math.inf, math.inf)


@given(NUMBERS, st.floats(-100, 100), st.floats(0.1, 10))
def test_estimate_moves_and_scales_with_the_values(values, shift, scale):
    """Unlike units and a common offset change nothing but themselves; the interval holds the estimate."""
    estimate, low, high = pseudo_median(values, 0.9)
    moved = pseudo_median([value * scale + shift for value in values], 0.9)
    assert moved == pytest.approx((estimate * scale + shift, low * scale + shift, high * scale + shift), abs=1e-9)
    assert low <= estimate <= high


@given(st.lists(st.floats(-1, 1), min_size=10, max_size=10), st.lists(st.sampled_from([-1e9, 1e9]), max_size=2))
def test_two_wild_values_of_twelve_cannot_carry_the_estimate_away(values, wild):
    """A stall of the machine in one or two steps leaves the estimate among the other values."""
    assert -1 <= pseudo_median([*values, *wild], 0.95)[0] <= 1


@pytest.mark.parametrize("n", [10, 17, 30])
@pytest.mark.parametrize("noise", ["normal", "laplace", "student_t2", "drift"])
def test_interval_covers_the_centre_as_often_as_it_says(n, noise):
    """In 1,000 simulated measurements with any kind of noise it misses the truth in at most 5 % (and 4 sigma)."""
    rng = np.random.default_rng(n)
    draws = {
        "normal": lambda: rng.normal(0, 0.03, n),
        "laplace": lambda: rng.laplace(0, 0.03, n),
        "student_t2": lambda: rng.standard_t(2, n) * 0.03,
        "drift": lambda: rng.normal(0, 0.01, n) + 0.03 * (-1.0) ** np.arange(n),  # the order of each pair alternates
    }
    missed = 0
    for _ in range(1000):
        _, low, high = pseudo_median(draws[noise](), 0.95)
        missed += not low <= 0 <= high
    assert missed <= 50 + 4 * math.sqrt(1000 * 0.05 * 0.95)


def test_quantiles_interpolate_between_neighbours():
    """p10 of 0, 1, ..., 10 is 1 in any order; the median of two values is their mean."""
    assert quantiles(list(range(10, -1, -1)), 0.1, 0.9) == (1.0, 9.0)
    assert quantiles([3.0, 4.0], 0.5) == (3.5,)
