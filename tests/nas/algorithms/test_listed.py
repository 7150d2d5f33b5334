"""A list as a search: its space, and its order."""

from dataclasses import replace

import numpy as np
import pytest

from nas.algorithms.algorithm import Exhausted
from nas.algorithms.listed import Listed, space_of
from nas.runs.trial import Trial
from search_space.spaces import small

ARCHITECTURES = [small().sample(np.random.default_rng(seed)) for seed in range(5)]
# of sizes that no ready-made space has
ODD = [replace(a, stages=tuple(replace(s, channels=s.channels + 3, layers=9) for s in a.stages)) for a in ARCHITECTURES]


def made(architectures):
    return Listed(space_of(architectures), 0, architectures=[each.to_dict() for each in architectures])


def test_the_list_is_proposed_in_its_order_and_no_further():
    """Each once, whatever it learns, and then there is no other."""
    algorithm = made(ODD)
    for each in ODD:
        proposal = algorithm.ask()
        assert proposal.architecture == each
        algorithm.tell(Trial(each, "failed"))
    with pytest.raises(Exhausted, match="all 5 architectures of the list were proposed"):
        algorithm.ask()


def test_a_list_goes_on_from_a_log():
    """Told what is finished and what is in flight, it proposes the rest."""
    algorithm, begun = made(ODD), made(ODD)
    begun.ask()
    algorithm.tell(Trial(ODD[1], "failed"))
    algorithm.assume(begun.pending[ODD[0].arch_id])
    assert [algorithm.ask().architecture for _ in range(3)] == ODD[2:]


def test_the_space_of_a_list_holds_it():
    """Every architecture of the list is in it and survives its encoding; a field that all share is fixed."""
    space = space_of(ODD)
    for each in ODD:
        assert space.contains(each)
        assert space.decode(space.encode(each)) == each
    assert "stage1_layers" not in [decision.name for decision in space.decisions]
    assert space_of(ODD[:1]).size == 1


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (replace(ODD[0], stem_channels=99), r"must have one stem_channels, got \['16', '99'\]"),
        (replace(ODD[0], stages=ODD[0].stages[:2]), r"must have as many stages, got \[2, \d\]"),
    ],
)
def test_a_list_without_a_space_is_refused(other, message):
    """What no space can hold is named."""
    with pytest.raises(ValueError, match=message):
        space_of([ODD[0], other])
