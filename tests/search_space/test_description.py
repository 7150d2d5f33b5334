"""A space in numbers."""

import doctest
from dataclasses import replace

import numpy as np
import pytest

from search_space import description
from search_space.choices import Constraints
from search_space.cost import count
from search_space.description import describe_space, sample_space
from search_space.spaces import small


def test_the_examples_are_true():
    """What the docstrings print is what comes out."""
    assert doctest.testmod(description).failed == 0


def test_a_space_is_described_by_arithmetic():
    """Size is the product of the choices; every architecture's costs lie in the range; no constraints, no share."""
    space = small(constraints={"num_classes": 10, "image_size": 16})
    described = describe_space(space)
    assert described.size == np.prod([len(decision.choices) for decision in described.decisions])
    assert described.allowed is None
    for drawn in sample_space(space, 20):
        for name in ("params", "macs", "activations"):
            low, cost, high = (getattr(each, name) for each in (described.lowest, drawn.cost, described.highest))
            assert low <= cost <= high


def test_the_share_that_keeps_the_constraints():
    """The bound at the median of draws without it is kept by half of them; without one to keep it, that is an error."""
    space = small()
    median = int(np.median([drawn.cost.params for drawn in sample_space(space, 2000)]))
    half = describe_space(replace(space, constraints=Constraints(params_max=median)))
    assert half.allowed == pytest.approx(0.5, abs=0.05)
    with pytest.raises(ValueError, match="meets the constraints"):
        describe_space(replace(space, constraints=Constraints(params_max=1000)))


def test_samples_repeat_with_the_seed():
    """The same seed, the same architectures; each is of the space, and its costs are counted as the space says."""
    space = small(constraints={"num_classes": 10, "image_size": 16, "in_channels": 1})
    drawn = sample_space(space, 3, seed=4)
    assert drawn == sample_space(space, 3, seed=4) != sample_space(space, 3, seed=5)
    assert all(space.contains(one.architecture) for one in drawn)
    assert drawn[0].cost == count(drawn[0].architecture, 16, 10, 1)
    with pytest.raises(ValueError, match="n must be >= 1, got 0"):
        sample_space(space, 0)
