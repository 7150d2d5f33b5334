import itertools
import math
import statistics
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.measure.pairs import RETAKEN, take_pairs
from nas.measure.settings import StepTimeSettings


class Machine:
    """Two jobs on a machine that changes its speed from step to step; remembers the order of the steps."""

    def __init__(self, slowness, candidate_s=0.3, reference_s=0.2):
        self.slowness = iter(slowness)
        self.times = {"candidate": candidate_s, "reference": reference_s}
        self.order = []
        self.blocks = []  # steps done when each began

    def do(self, name):
        self.order.append(name)
        return self.times[name] * next(self.slowness)

    def pairs(self, settings, disturbed=frozenset):
        return take_pairs(self.block, settings, disturbed)

    @contextmanager
    def block(self):
        self.blocks.append(len(self.order))
        yield lambda: self.do("candidate"), lambda: self.do("reference")


@given(st.integers(10, 31), st.floats(0.95, 1.05))
def test_steady_drift_cancels_exactly(n, growth):
    """Each step takes 0.95 to 1.05 times as long as the one before: the ratio is still exactly 1.5."""
    machine = Machine(growth**k for k in itertools.count())
    pairs = machine.pairs(StepTimeSettings(min_pairs=n, max_pairs=n))
    assert pairs.centre(0.95).ratio == pytest.approx(1.5, rel=1e-9)


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
    assert pairs.ratios == (pytest.approx(1.5),) * 12


def test_stops_as_soon_as_the_interval_is_narrow_enough():
    """On a steady machine the first blocks that make ten pairs are enough, and it says that it converged."""
    pairs = Machine(itertools.repeat(1.0)).pairs(StepTimeSettings(min_pairs=10, max_pairs=1000))
    assert (len(pairs.ratios), pairs.converged) == (12, True)


def test_noise_takes_more_pairs_and_the_cap_holds():
    """10 % of noise needs more than ten pairs for 3 %, and 30 are not enough for 1 %: it stops there and admits it."""
    rng = np.random.default_rng(0)

    def noise():
        while True:
            yield float(np.exp(rng.normal(0, 0.1)))

    patient = Machine(noise()).pairs(StepTimeSettings(interval=0.03, max_pairs=1000, turn=1))
    assert patient.converged
    assert 10 < len(patient.ratios) < 1000
    assert patient.centre(0.95).within(0.03)
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
    assert (len(pairs.ratios), len(machine.order)) == (12, 2 * (12 + 4))
    assert pairs.marks == {RETAKEN, "foreign_process"}


def test_each_block_is_built_anew_and_only_the_last_is_cut_short():
    """Ten pairs in blocks of four: built before the first, the fifth and the ninth; each pair says which it is of."""
    machine = Machine(itertools.repeat(1.0))
    pairs = machine.pairs(StepTimeSettings(min_pairs=10, max_pairs=10, block_pairs=4, turn=1, interval=1e-9))
    assert machine.blocks == [0, 8, 16]
    assert pairs.blocks == (0,) * 4 + (1,) * 4 + (2,) * 2


class Placed(Machine):
    """A machine on which a step's time depends on where a block's tensors lie, or on what else goes on meanwhile."""

    def __init__(self, rng, *, placement, correlation, noise):
        super().__init__(float(np.exp(rng.normal(0, noise))) for _ in itertools.count())
        self.rng, self.placement, self.correlation, self.state = rng, placement, correlation, rng.normal()

    @contextmanager
    def block(self):
        fresh = self.rng.normal() * math.sqrt(1 - self.correlation**2)
        self.state = self.correlation * self.state + fresh
        self.times["candidate"] = 0.3 * math.exp(self.placement * self.state)
        yield lambda: self.do("candidate"), lambda: self.do("reference")


def held(measured, truth=1.5, confidence=0.95):
    return np.mean([(ratio := pairs.centre(confidence)).low <= truth <= ratio.high for pairs in measured])


@pytest.mark.parametrize("correlation", [0.0, 1 / 3])
@pytest.mark.parametrize("noise", [0.01, 0.1])
@pytest.mark.parametrize("placement", [0.0, 0.01, 0.04])
def test_the_interval_holds_the_truth_although_the_pairs_of_a_block_err_together(placement, noise, correlation):
    """Of 400 measurements whose blocks lie up to 4 % beside the truth, 95 % hold it, stopped early or not (4 sigma).

    So do those of blocks that resemble their neighbours, as those of AR(1) noise do.
    """
    rng = np.random.default_rng(1)
    machines = [Placed(rng, placement=placement, correlation=correlation, noise=noise) for _ in range(400)]
    measured = [machine.pairs(StepTimeSettings(interval=0.02)) for machine in machines]
    assert held(measured) >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / 400)
    stopped = [pairs for pairs in measured if pairs.converged]
    if len(stopped) >= 40:
        assert held(stopped) >= 0.9 - 4 * math.sqrt(0.9 * 0.1 / len(stopped))


def test_converged_is_not_luck():
    """Pairs or blocks that scatter far too much for an interval of 2 % hardly ever look as if it were reached."""
    rng = np.random.default_rng(2)
    for placement, noise in ((0.0, 0.2), (0.04, 0.01)):
        machines = [Placed(rng, placement=placement, correlation=0.0, noise=noise) for _ in range(200)]
        measured = [machine.pairs(StepTimeSettings(interval=0.02)) for machine in machines]
        assert sum(pairs.converged for pairs in measured) <= 4
