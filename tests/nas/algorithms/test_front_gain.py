"""The expected gain of the front against sampling, and against the volume that points add."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.algorithms.front_gain import MAXIMISE, Front
from rewards.pareto import hypervolume

CORNER = np.array([0.2, 3.0, 4.0])


def points_of(seed, n):
    rng = np.random.default_rng(seed)
    points = np.stack([rng.uniform(0.1, 1, n), rng.uniform(0.1, 3.5, n), rng.uniform(0.1, 4.5, n)], axis=1)
    return np.round(points, 1) if seed % 2 else points  # with ties


def added(points, candidate):
    known = hypervolume(points, CORNER, MAXIMISE)
    return hypervolume(np.concatenate([points, candidate[None]]), CORNER, MAXIMISE) - known


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(0, 12))
def test_of_a_sure_candidate_it_is_the_volume_that_it_adds(seed, n):
    """Whatever lies before it, behind it, beside it or beyond the corner."""
    points, candidates = points_of(seed, n), points_of(seed + 2, 8)
    sure = np.full(len(candidates), 1e-9)
    a, s, p = candidates.T
    found = Front(points, CORNER).expected_gain((a, sure), (s, sure), p)
    assert found == pytest.approx([added(points, each) for each in candidates], abs=1e-7)


def test_of_an_unsure_one_it_is_the_mean():
    """Of 4,000 draws; to four standard errors of their mean."""
    points, rng = points_of(0, 9), np.random.default_rng(5)
    for a, s, p in ((0.7, 1.0, 1.0), (0.5, 2.5, 0.3), (0.1, 3.2, 3.9), (0.9, 0.2, 2.0)):
        drawn = np.stack([rng.normal(a, 0.15, 4000), rng.normal(s, 0.4, 4000), np.full(4000, p)], axis=1)
        volumes = np.array([added(points, each) for each in drawn])
        (found,) = Front(points, CORNER).expected_gain(
            (np.array([a]), np.array([0.15])), (np.array([s]), np.array([0.4])), np.array([p])
        )
        assert abs(found - volumes.mean()) < 4 * volumes.std() / 4000**0.5 + 1e-6


def test_the_less_is_known_the_more_is_hoped_for():
    """So that a bound of the deviations from above bounds the gain."""
    front, candidates = Front(points_of(4, 10), CORNER), points_of(6, 30)
    a, s, p = candidates.T
    less, more = (
        front.expected_gain((a, np.full(30, x)), (s, np.full(30, y)), p) for x, y in ((0.05, 0.2), (0.1, 0.3))
    )
    assert (more >= less - 1e-12).all()
