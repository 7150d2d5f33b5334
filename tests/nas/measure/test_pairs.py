import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.measure.pairs import RETAKEN, centre, take_pairs
from nas.measure.settings import StepTimeSettings


class Machine:
    """Two jobs on a machine that changes its speed from step to step; remembers the order of the steps."""

    def __init__(self, slowness, candidate_s=0.3, reference_s=0.2):
        self.slowness = iter(slowness)
        self.times = {"candidate": candidate_s, "reference": reference_s}
        self.order = []

    def do(self, name):
        self.order.append(name)
        return self.times[name] * next(self.slowness)

    def pairs(self, settings, disturbed=frozenset):
        return take_pairs(lambda: self.do("candidate"), lambda: self.do("reference"), settings, disturbed)


@given(st.integers(10, 31), st.floats(0.95, 1.05))
def test_steady_drift_cancels_exactly(n, growth):
    """Each step takes 0.95 to 1.05 times as long as the one before: the ratio is still exactly 1.5."""
    machine = Machine(growth**k for k in itertools.count())
    pairs = machine.pairs(StepTimeSettings(min_pairs=n, max_pairs=n))
    assert centre(pairs.ratios, 0.95).ratio == pytest.approx(1.5, rel=1e-9)


def test_the_same_drift_misleads_times_taken_one_network_after_the_other():
    """30 steps of one, then 30 of the other, each 1 % slower than the last, put the ratio of medians 26 % low."""
    machine = Machine(1.01**k for k in itertools.count())
    candidate = statistics.median(machine.do("candidate") for _ in range(30))
    reference = statistics.median(machine.do("reference") for _ in range(30))
    assert candidate / reference == pytest.approx(1.5 * 1.01**-30)


def test_order_within_a_pair_alternates():
    """Neither network always goes first, or a drift would favour it; a turn is so many steps in a row."""
    machine = Machine(itertools.repeat(1.0))
    machine.pairs(StepTimeSettings(min_pairs=3, max_pairs=3, turn=2))
    turns = ["candidate", "reference", "reference", "candidate", "candidate", "reference"]
    assert machine.order == [name for name in turns for _ in range(2)]


def test_a_step_that_is_interrupted_does_not_count():
    """With two steps of every three twice as slow as they could be, the ratio is that of the third."""
    rng = np.random.default_rng(0)
    slow = (factor for _ in itertools.count() for factor in rng.permutation([1.0, 2.0, 2.0]))
    pairs = Machine(slow).pairs(StepTimeSettings(min_pairs=10, turn=3))
    assert pairs.ratios == (pytest.approx(1.5),) * 10


def test_stops_as_soon_as_the_interval_is_narrow_enough():
    """On a steady machine ten pairs are enough, and it says that it converged."""
    pairs = Machine(itertools.repeat(1.0)).pairs(StepTimeSettings(min_pairs=10, max_pairs=1000))
    assert (len(pairs.ratios), pairs.converged) == (10, True)


def test_noise_takes_more_pairs_and_the_cap_holds():
    """10 % of noise needs more than ten pairs for 3 %, and 30 are not enough for 1 %: it stops there and admits it."""
    rng = np.random.default_rng(0)

    def noise():
        while True:
            yield float(np.exp(rng.normal(0, 0.1)))

    patient = Machine(noise()).pairs(StepTimeSettings(interval=0.03, max_pairs=1000, turn=1))
    assert patient.converged
    assert 10 < len(patient.ratios) < 1000
    assert centre(patient.ratios, 0.95).within(0.03)
    capped = Machine(noise()).pairs(StepTimeSettings(interval=0.01, max_pairs=30, turn=1))
    assert (len(capped.ratios), capped.converged) == (30, False)


def test_disturbed_pairs_are_taken_again():
    """Two disturbed pairs are thrown away, so that the thrice as slow steps in them do not show, and a mark tells."""
    machine = Machine([1.0] * 4 + [3.0, 1.0, 1.0, 3.0] + [1.0] * 1000)
    answers = iter([frozenset(), frozenset(), frozenset({"throttled"}), frozenset({"throttled"})])
    settings = StepTimeSettings(min_pairs=6, max_pairs=6, turn=1)
    pairs = machine.pairs(settings, lambda: next(answers, frozenset()))
    assert pairs.ratios == (pytest.approx(1.5),) * 6
    assert pairs.marks == {RETAKEN}


def test_retakes_are_bounded_and_what_is_kept_is_marked():
    """A process that never leaves the GPU costs `retakes` more pairs, no more, and the measurement carries its mark."""
    machine = Machine(itertools.repeat(1.0))
    pairs = machine.pairs(StepTimeSettings(min_pairs=10, retakes=4, turn=1), lambda: frozenset({"foreign_process"}))
    assert (len(pairs.ratios), len(machine.order)) == (10, 2 * (10 + 4))
    assert pairs.marks == {RETAKEN, "foreign_process"}
