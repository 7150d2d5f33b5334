"""The front and the hypervolume against brute force, Monte Carlo and figures worked out by hand."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rewards.pareto import dominated, hypervolume, pareto_front

INF, NAN = np.inf, np.nan
# few values, so that duplicates and ties are common
coarse = st.sampled_from([0.0, 1.0, 2.0, 3.0, NAN, INF, -INF])
grid = st.integers(0, 6).map(float)


def clouds(elements, largest=12):
    shapes = st.tuples(st.integers(0, largest), st.integers(1, 4))
    return shapes.flatmap(
        lambda shape: st.tuples(
            arrays(np.float64, shape, elements=elements), st.lists(st.booleans(), min_size=shape[1], max_size=shape[1])
        )
    )


def dominates(a, b, maximise):
    better = [x > y if up else x < y for x, y, up in zip(a, b, maximise, strict=True)]
    worse = [x < y if up else x > y for x, y, up in zip(a, b, maximise, strict=True)]
    return any(better) and not any(worse)


@given(clouds(coarse))
def test_the_front_is_those_that_nothing_dominates(cloud):
    """A user trusts the front: by the definition, pair by pair, with ties, copies, NaN and infinities."""
    points, maximise = cloud
    complete = [i for i, point in enumerate(points) if not np.isnan(point).any()]
    expected = [i for i in complete if not any(dominates(points[j], points[i], maximise) for j in complete)]
    assert pareto_front(points, maximise).tolist() == expected


@given(clouds(coarse), st.integers(0, 12))
def test_a_point_is_dominated_by_a_front_if_by_one_of_it(cloud, size):
    """A copy of one of the front is not, nor is what was not measured: by the definition, pair by pair."""
    points, maximise = cloud
    front, measured = points[:size], ~np.isnan(points).any(axis=1)
    by = [one for one, known in zip(points[:size], measured, strict=False) if known]
    expected = [
        bool(known and any(dominates(one, point, maximise) for one in by))
        for point, known in zip(points, measured, strict=True)
    ]
    assert dominated(points, front, maximise).tolist() == expected


def test_front_of_accuracy_and_step_time():
    """Accuracy up, time down: of four candidates the slow bad one and the one beaten at equal time fall out."""
    points = [[0.80, 1.0], [0.70, 2.0], [0.75, 0.5], [0.74, 0.5]]
    assert pareto_front(points, [True, False]).tolist() == [0, 2]


def test_copies_stay_together_and_unmeasured_ones_are_left_out():
    """Two equal trials are both best; a failed candidate, all NaN, is neither on the front nor in the way."""
    points = [[1.0, 1.0], [NAN, NAN], [1.0, 1.0], [0.5, NAN], [0.5, 0.5]]
    assert pareto_front(points, [True, True]).tolist() == [0, 2]


def test_empty_and_all_missing():
    """A log without a finished trial has an empty front and no volume."""
    assert pareto_front([], [True, False]).tolist() == []
    assert pareto_front([[NAN, 1.0]], [True, False]).tolist() == []
    assert hypervolume([], [0.0, 1.0], [True, False]) == 0.0
    assert hypervolume([[NAN, 0.0]], [0.0, 1.0], [True, False]) == 0.0


def test_hypervolume_by_hand():
    """Three boxes in the plane and three in space, with their union worked out by hand."""
    assert hypervolume([[3, 1], [2, 2], [1, 3]], [0, 0], [True, True]) == 6
    # accuracy up, time down, seen from accuracy 0.5 and time 2: 0.3 * 1.0 + 0.2 * 0.5
    assert hypervolume([[0.8, 1.0], [0.7, 0.5]], [0.5, 2.0], [True, False]) == pytest.approx(0.4)
    # 2*2*1 + 2*1*2 + 1*2*2, less 2*1*1 + 2*1*1 + 1*1*1... each pair overlaps in 2*1*1 = 2, all three in 1
    assert hypervolume([[2, 2, 1], [2, 1, 2], [1, 2, 2]], [0, 0, 0], [True] * 3) == 3 * 4 - 3 * 2 + 1


def test_a_point_not_better_than_the_reference_everywhere_adds_nothing():
    """A point at or beyond the reference in one objective must not give a negative or a positive volume."""
    assert hypervolume([[5, 0], [0, 5], [-1, -1]], [0, 0], [True, True]) == 0
    assert hypervolume([[5, 0], [1, 1]], [0, 0], [True, True]) == 1


@given(clouds(grid))
def test_hypervolume_counts_the_cells_of_a_grid(cloud):
    """Exactness for 1 to 4 objectives: points on a grid dominate unit cells, and cells can be counted."""
    points, maximise = cloud
    reference = np.where(maximise, 0.0, 6.0)
    heights = np.where(maximise, points, 6.0 - points)
    cells = np.array(list(product(range(6), repeat=points.shape[1])))
    covered = sum((height > cells).all(axis=1) for height in heights)
    assert hypervolume(points, reference, maximise) == pytest.approx(np.count_nonzero(covered))


@settings(max_examples=20)
@given(st.integers(2, 5), st.integers(1, 25), st.integers(0, 1000))
def test_hypervolume_agrees_with_monte_carlo(objectives, n, seed):
    """Off the grid: the share of 20,000 random points dominated is the volume, within five standard deviations."""
    rng = np.random.default_rng(seed)
    points = rng.random((n, objectives))
    drawn = rng.random((20_000, objectives))
    share = (points[:, None, :] > drawn[None, :, :]).all(axis=2).any(axis=0).mean()
    assert hypervolume(points, np.zeros(objectives), [True] * objectives) == pytest.approx(
        share, abs=5 * 0.5 / 20_000**0.5
    )


@given(clouds(st.floats(0, 1), largest=8), st.integers(0, 1000))
def test_hypervolume_knows_only_the_front_and_not_the_order(cloud, seed):
    """Dominated points, the order of points, and the order of objectives change nothing."""
    points, maximise = cloud
    reference = np.where(maximise, -0.1, 1.1)
    volume = hypervolume(points, reference, maximise)
    rng = np.random.default_rng(seed)
    order, turned = rng.permutation(len(points)), rng.permutation(len(maximise))
    assert hypervolume(points[pareto_front(points, maximise)], reference, maximise) == pytest.approx(volume)
    shuffled = points[order][:, turned]
    assert hypervolume(shuffled, reference[turned], np.array(maximise)[turned]) == pytest.approx(volume)


@pytest.mark.parametrize("call", [lambda p, m: pareto_front(p, m), lambda p, m: hypervolume(p, [0.0] * len(m), m)])
@pytest.mark.parametrize(
    ("points", "maximise"),
    [([[1, 2, 3]], [True, True]), ([1, 2], [True, True]), ([[1], [2]], [True, True]), ([[]], [])],
)
def test_points_of_the_wrong_shape_are_refused(call, points, maximise):
    """A forgotten or superfluous objective must not be guessed."""
    with pytest.raises(ValueError, match=r"points must be \(N, "):
        call(points, maximise)


def test_what_has_no_volume_is_refused():
    """An infinite or missing reference, or an infinitely good point, would give a volume that ranks nothing."""
    with pytest.raises(ValueError, match="reference must be finite"):
        hypervolume([[1, 1]], [NAN, 0], [True, True])
    with pytest.raises(ValueError, match="reference must be finite"):
        hypervolume([[1, 1]], [0, INF], [True, False])
    with pytest.raises(ValueError, match="points must be finite"):
        hypervolume([[1, INF]], [0, 0], [True, True])
    with pytest.raises(ValueError, match=r"reference must be \(2,\)"):
        hypervolume([[1, 1]], [0, 0, 0], [True, True])
