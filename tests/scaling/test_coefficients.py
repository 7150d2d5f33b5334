"""Compound scaling against EfficientNet's published family, and the grid search."""

import dataclasses
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.coefficients import compound, fit_coefficients
from search_space.architecture import Architecture, Stage
from search_space.cost import count
from search_space.families import PUBLISHED, published

B0 = published("efficientnet_b0")
# width, depth, image size and parameters of EfficientNet-B1 to B7, as published
V1 = {
    "efficientnet_b1": (1.0, 1.1, 240, 7794184),
    "efficientnet_b2": (1.1, 1.2, 260, 9109994),
    "efficientnet_b3": (1.2, 1.4, 300, 12233232),
    "efficientnet_b4": (1.4, 1.8, 380, 19341616),
    "efficientnet_b5": (1.6, 2.2, 456, 30389784),
    "efficientnet_b6": (1.8, 2.6, 528, 43040704),
    "efficientnet_b7": (2.0, 3.1, 600, 66347960),
}


@pytest.mark.parametrize("name", V1)
def test_b0_grows_into_the_published_b1_to_b7(name):
    """Parameters to the unit and every field of every stage, from width, depth and image size."""
    width, depth, image_size, params = V1[name]
    grown = compound(B0, 1, alpha=depth, beta=width, gamma=image_size / 224)
    assert count(grown, image_size).params == params
    assert dataclasses.replace(grown, dropout=0.2) == dataclasses.replace(published(name), dropout=0.2)


def test_v2s_small_models_grow_from_its_base_without_the_floor():
    """B3: 16 * 1.2 = 19.2 is 16 in V2, where EfficientNet takes 24."""
    base = dataclasses.replace(published("efficientnetv2_b0"), train_image_size=None)
    grown = compound(base, 1, alpha=1.4, beta=1.2, gamma=300 / 224, floor_at_90_percent=False)
    assert count(grown, 300).params == 14358406
    assert compound(base, 1, 1.4, 1.2, 300 / 224).stages[0].channels == 24


@given(st.sampled_from(PUBLISHED), st.floats(1, 2), st.floats(1, 2), st.floats(1, 2))
def test_phi_0_changes_nothing(name, alpha, beta, gamma):
    """Growing by nothing is the architecture itself."""
    assert compound(published(name), 0, alpha, beta, gamma) == published(name)


def test_phi_is_an_exponent():
    """phi = 2 is the square of the factors: depth 1.2**2 = 1.44, width 1.21, image 1.15**2 * 224 = 296.24."""
    grown = compound(B0, 2, 1.2, 1.1, 1.15)
    assert [s.layers for s in grown.stages] == [math.ceil(n * 1.44) for n in (1, 2, 2, 3, 3, 4, 1)]
    assert grown.head_channels == 1552  # 1280 * 1.21 = 1548.8
    assert grown.image_size == 296


@given(st.sampled_from(PUBLISHED), st.lists(st.floats(-20, 0), min_size=2, max_size=2), st.booleans())
def test_a_negative_phi_shrinks(name, phis, floor):
    """Less phi, less of everything: down to a layer a stage and eight channels, and never up by rounding."""
    phis = [*sorted(phis), 0.0]
    made = [compound(published(name), phi, 1.2, 1.1, 1.15, floor_at_90_percent=floor) for phi in phis]
    odd = [compound(ODD, phi, 1.2, 1.1, 1.15, floor_at_90_percent=floor) for phi in phis]
    for less, more in [*itertools.pairwise(made), *itertools.pairwise(odd)]:
        for one, other in zip(less.stages, more.stages, strict=True):
            assert 1 <= one.layers <= other.layers
            assert one.channels <= other.channels
        assert less.head_channels <= more.head_channels
        assert 1 <= less.image_size <= more.image_size


def test_the_papers_coefficients_about_double_the_macs():
    """alpha * beta**2 * gamma**2 = 1.92 for 1.2, 1.1, 1.15; rounding layers up makes it somewhat more."""
    grown = compound(B0, 1, 1.2, 1.1, 1.15)
    assert 1.9 < count(grown, grown.image_size).macs / count(B0, 224).macs < 2.6


def test_no_image_size_stays_none():
    """An architecture that says nothing of images gets no size."""
    bare = dataclasses.replace(B0, image_size=None)
    assert compound(bare, 1, 1.2, 1.1, 1.15).image_size is None


@pytest.mark.parametrize(
    ("arguments", "name"), [((1, -1, 1, 1), "alpha"), ((0.5, -1, 1, 1), "alpha"), ((1, 1, 0, 1), "beta")]
)
def test_a_factor_that_is_none_is_refused(arguments, name):
    """A negative base would give a complex number of layers."""
    with pytest.raises(ValueError, match=rf"{name} \*\* phi must be positive and finite"):
        compound(B0, *arguments)


ODD = Architecture(12, (Stage("mbconv", 2, 3, 4, 12, 2), Stage("mbconv", 4, 3, 4, 4, 2)), 60, image_size=64)
LITTLE = Architecture(16, (Stage("mbconv", 2, 3, 4, 16, 2), Stage("mbconv", 4, 3, 4, 32, 2)), 64, image_size=64)


def test_grid_search_finds_what_the_evaluator_likes():
    """An evaluator that wants pixels gets the point with the largest image."""
    largest = fit_coefficients(LITTLE, lambda a: a.image_size)[0]
    assert largest.gamma == 1.4
    assert (largest.alpha, largest.beta) == (1.0, 1.0)


def test_grid_is_every_point_near_the_growth_and_scores_belong_to_it():
    """The constraint alpha * beta**2 * gamma**2 ~ 2 holds for all, none is missing, and best comes first."""
    points = fit_coefficients(LITTLE, lambda a: -count(a, a.image_size).params)
    grid = [round(1 + 0.05 * n, 2) for n in range(23)]
    expected = {(a, b, c) for a in grid for b in grid for c in grid if abs(a * b * b * c * c - 2) <= 0.1 + 1e-9}
    assert {(p.alpha, p.beta, p.gamma) for p in points} == expected
    assert len(points) == len(expected)
    assert (1.2, 1.1, 1.15) in [(p.alpha, p.beta, p.gamma) for p in points]
    assert [p.score for p in points] == sorted((p.score for p in points), reverse=True)
    for p in points:
        assert p.architecture == compound(LITTLE, 1, p.alpha, p.beta, p.gamma)
        assert p.growth == pytest.approx(2, abs=0.1 + 1e-9)
        assert p.score == -count(p.architecture, p.architecture.image_size).params


def test_each_architecture_is_evaluated_once():
    """Rounding makes points of the grid alike; a training is not done twice for them."""
    seen = []
    points = fit_coefficients(LITTLE, lambda a: seen.append(a) or 0.0, step=0.1)
    assert len(seen) == len(set(seen)) == len({p.architecture for p in points}) < len(points)
    assert abs(points[0].growth - 2) == min(abs(p.growth - 2) for p in points)


def test_failed_evaluations_are_left_out():
    """A candidate that failed (NaN) can neither win nor lose; if all fail, that is said."""
    points = fit_coefficients(LITTLE, lambda a: math.nan if a.image_size > 64 else 1.0)
    assert {p.architecture.image_size for p in points} == {64}
    with pytest.raises(ValueError, match=r"none of the \d+ points of the grid could be evaluated"):
        fit_coefficients(LITTLE, lambda a: math.nan)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"growth": 0.5}, "growth >= 1, tolerance >= 0, step > 0 are needed, got 0.5"),
        ({"step": 0}, "growth >= 1, tolerance >= 0, step > 0 are needed"),
        ({"step": 0.7, "tolerance": 0.0}, "no point of a grid of step 0.7 is within 0.0 of growth 2.0"),
    ],
)
def test_bad_grids_are_refused(settings, message):
    """A grid without points would give a best of nothing."""
    with pytest.raises(ValueError, match=message):
        fit_coefficients(LITTLE, lambda a: 0.0, **settings)


def test_a_base_without_image_size_is_refused():
    """gamma would have nothing to scale."""
    with pytest.raises(ValueError, match="needs an architecture with an image_size"):
        fit_coefficients(dataclasses.replace(LITTLE, image_size=None), lambda a: 0.0)
