"""The reference of a space that names none lies in the middle of what its architectures cost."""

import dataclasses

import numpy as np
import pytest

from search_space.choices import Constraints
from search_space.cost import count, count_batch
from search_space.middle import middle_of
from search_space.space import SearchSpace
from search_space.spaces import efficientnetv2, small

STAGE = {"layers": [1, 2, 4], "kernel_size": [3, 5], "expansion": [1, 4, 6], "stride": 2}
OWN = SearchSpace.from_dict(
    {
        "stem_channels": 16,
        "head_channels": 256,
        "stages": [STAGE | {"op": ["mbconv", "fused_mbconv"], "channels": c} for c in ([16, 24], [32, 64], 96)],
        "constraints": {"image_size": 64, "num_classes": 10},
    }
)


def quantiles(space, architecture):
    """The share of another sample that costs less: of params, MACs, activations."""
    c = space.constraints
    sample = space.sample_encodings(5000, np.random.default_rng(7))
    costs = count_batch(space, sample, c.image_size, c.num_classes, c.in_channels)
    own = count(architecture, c.image_size, c.num_classes, c.in_channels)
    return np.array([np.mean(of_all < one) for of_all, one in zip(costs, own, strict=True)])


@pytest.mark.parametrize("space", [OWN, small(), efficientnetv2()], ids=["own", "small", "paper"])
def test_the_middle_costs_what_half_of_the_architectures_cost(space):
    """Params, MACs and activations are near the medians; the middle choices' MACs are among the lowest."""
    assert np.abs(quantiles(space, middle_of(space)) - 0.5).max() < 0.06
    first = space.decode(space.canonical(np.array([[(len(d.choices) - 1) // 2 for d in space.decisions]]))[0])
    assert quantiles(space, first)[1] < 0.15
    assert middle_of(space) == middle_of(space)


def test_constraints_are_kept_and_the_classifier_does_not_count():
    """The middle of what is allowed; the same with ten classes or a thousand, for the data may not be read yet."""
    bounded = dataclasses.replace(OWN, constraints=Constraints(params_max=300_000, image_size=64, num_classes=10))
    assert bounded.contains(middle_of(bounded))
    many = dataclasses.replace(OWN, constraints=Constraints(image_size=64, num_classes=1000))
    assert middle_of(many) == middle_of(OWN)
    with_many = dataclasses.replace(bounded, constraints=dataclasses.replace(bounded.constraints, num_classes=1000))
    tight = dataclasses.replace(with_many, constraints=dataclasses.replace(with_many.constraints, params_max=200_000))
    assert middle_of(tight) == middle_of(many), "what leaves nothing only because the classes are not known"
