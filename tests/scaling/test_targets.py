"""Targets of params, MACs and step time."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.grow import at_dial, scale
from scaling.rule import FROM_BASE, LATE_GROWTH
from scaling.targets import OutOfReach, resize_by_measuring, resize_to, scale_by_measuring, scale_to
from search_space.cost import count
from search_space.families import published
from search_space.spaces import small

S = published("efficientnetv2_s")
SMALLEST, LARGEST = 21458488, 500e6


@settings(max_examples=50)
@given(st.floats(math.log(SMALLEST + 1), math.log(LARGEST)).map(math.exp))
def test_a_target_of_params_is_met_as_nearly_as_the_dial_can(target):
    """What is reached is what the architecture has; no other setting of the dial near it comes clearly nearer."""
    reached = scale_to(S, params=target)
    assert reached.quantity == "params"
    assert reached.reached == count(reached.architecture, 480).params
    assert reached.error == pytest.approx(reached.reached / target - 1)
    assert abs(reached.error) < 0.06
    assert reached.architecture == at_dial(S, reached.dial, LATE_GROWTH)
    nearby = [at_dial(S, max(0.0, reached.dial + d / 50), LATE_GROWTH) for d in range(-10, 11)]
    best = min(abs(math.log(count(a, 480).params / target)) for a in nearby)
    assert abs(math.log(reached.reached / target)) <= best + 0.002


def test_the_params_of_a_named_size_give_that_size():
    """Asking for exactly what M has gives M."""
    m = scale(S, "m")
    assert scale_to(S, params=count(m, 480).params).architecture.stages == m.stages


def test_macs_are_counted_at_the_size_each_network_gets():
    """MACs grow with the image as well: the target holds at the image size written into the architecture."""
    reached = scale_to(S, macs=2e10)
    assert reached.architecture.image_size > 384
    assert reached.reached == count(reached.architecture, reached.architecture.image_size).macs
    assert abs(reached.error) < 0.05


def test_classes_and_channels_count():
    """For ten classes the classifier is small: the same target buys a larger body."""
    assert scale_to(S, params=3e7, num_classes=10).dial > scale_to(S, params=3e7).dial


def test_step_time_by_the_users_estimate_in_few_calls():
    """Three times S's time, by an estimator that may be a measurement: few calls, none much beyond the target."""
    asked = []

    def estimate(architecture):
        asked.append(count(architecture, architecture.image_size).macs / 1e9)
        return asked[-1]

    target = 3 * count(S, 384).macs / 1e9
    reached = scale_to(S, step_time=target, estimate_step_time=estimate)
    assert reached.quantity == "step_time"
    assert abs(reached.error) < 0.05
    assert len(asked) <= 22
    assert max(asked) < 5 * target


def train_macs(architecture):
    return float(count(architecture, architecture.train_image_size).macs)


@pytest.mark.parametrize("target", [1.0, 1.4, 3.0, 7.0])
@pytest.mark.parametrize("power", [0.6, 1.0, 1.3])
def test_a_measured_step_time_is_met_in_few_measurements(target, power):
    """Step times that follow MACs to another power than guessed are met as nearly as layers allow, by six or fewer."""
    asked = []

    def measure(architecture):
        asked.append(architecture)
        return (train_macs(architecture) / train_macs(S)) ** power

    reached = scale_by_measuring(S, target, measure, train_macs)
    assert abs(reached.error) < 0.05
    assert reached.reached == measure(reached.architecture)
    assert reached.architecture == at_dial(S, reached.dial, LATE_GROWTH)
    assert len(asked) <= 7  # the last is this test's own
    assert len(set(asked[:-1])) == len(asked) - 1


def test_measured_step_times_that_jump_end_the_search():
    """Where the clock knows two times only, the nearer is taken, after as many measurements as allowed or fewer."""
    asked = []

    def measure(architecture):
        asked.append(train_macs(architecture) / train_macs(S))
        return 2.0 if asked[-1] < 4 else 5.0

    reached = scale_by_measuring(S, 3.0, measure, train_macs, most=4)
    assert (reached.reached, reached.quantity, reached.target) == (2.0, "step_time", 3.0)
    assert len(asked) <= 4


def test_a_measured_target_out_of_reach_is_said_before_anything_is_measured():
    """A millionth of the start's step time would be a smaller network than any."""
    with pytest.raises(OutOfReach, match=r"target step_time 1e-06 is out of reach: the rule gives 0.000245\d+ or"):
        scale_by_measuring(S, 1e-6, lambda a: pytest.fail("measured"), train_macs)
    with pytest.raises(ValueError, match="target step_time must be positive and finite, got -1"):
        scale_by_measuring(S, -1, lambda a: pytest.fail("measured"), train_macs)


def test_a_start_slower_than_guessed_shrinks():
    """From the base, S is guessed just at the target and measured above it: what is smaller than S is the answer."""
    base = published("efficientnetv2_b0")
    guessed = train_macs(scale(base, "s", FROM_BASE)) / train_macs(base)

    def measure(architecture):
        return 1.2 * train_macs(architecture) / train_macs(base)

    reached = scale_by_measuring(base, guessed, measure, train_macs, rule=FROM_BASE)
    assert reached.dial < 0
    assert abs(reached.error) < 0.05
    assert reached.measurements <= 3


def test_another_rule_has_another_reach():
    """From the base, the smallest size is S; its parameters give it."""
    base = published("efficientnetv2_b0")
    smallest = scale(base, "s", FROM_BASE)
    reached = scale_to(base, params=count(smallest, 384).params, rule=FROM_BASE)
    assert (reached.dial, reached.error) == (0, 0)
    assert reached.architecture == smallest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "exactly one target of params, macs, step_time is needed, got 0"),
        ({"params": 1e8, "macs": 1e10}, "exactly one target of params, macs, step_time is needed, got 2"),
        ({"params": 0}, "target params must be positive and finite, got 0"),
        ({"macs": math.inf}, "target macs must be positive and finite, got inf"),
        ({"params": 1e6}, "target params 1,000,000 is out of reach: the rule gives 1,304,310 or more"),
        ({"params": 1e12}, "target params 1,000,000,000,000 is out of reach: the rule gives .* or less"),
        ({"step_time": 3.0}, "a target of step_time needs estimate_step_time"),
        ({"step_time": 3.0, "estimate_step_time": lambda a: math.nan}, "estimate_step_time gave nan for"),
        ({"step_time": 3.0, "estimate_step_time": lambda a: 0.0}, "estimate_step_time gave 0.0 for"),
    ],
)
def test_bad_targets_are_refused(arguments, message):
    """A target that cannot be met says what can."""
    with pytest.raises(ValueError, match=message):
        scale_to(S, **arguments)


@settings(max_examples=50)
@given(st.floats(math.log(2e6), math.log(SMALLEST)).map(math.exp))
def test_smaller_targets_of_params_are_met_as_nearly_as_the_dial_can(target):
    """Below the rule's first size one number changes after the other: nothing between what is met and its neighbour."""
    reached = scale_to(S, params=target)
    assert reached.dial <= 0
    assert reached.reached == count(reached.architecture, 384).params
    assert reached.architecture == at_dial(S, reached.dial, LATE_GROWTH)
    assert abs(reached.error) < 0.08
    if reached.other is not None:
        assert (reached.other - target) * (reached.reached - target) <= 0, "the next one is on the other side"
        assert abs(math.log(reached.reached / target)) <= abs(math.log(reached.other / target))


def test_the_least_of_a_rule_is_a_layer_a_stage_and_eight_channels():
    """What is out of reach below is said with what is not: the network that nothing can be taken from."""
    least = dataclasses.replace(
        S, stem_channels=8, stages=tuple(dataclasses.replace(stage, layers=1, channels=8) for stage in S.stages)
    )
    assert count(least, 4).params == 1304310
    smallest = at_dial(S, -96.0, LATE_GROWTH)
    assert smallest == dataclasses.replace(least, image_size=4, train_image_size=4)


@pytest.mark.parametrize("power", [0.6, 1.0, 1.3])
def test_a_smaller_measured_step_time_is_met_in_few_measurements(power):
    """Half of the start's step time, where step times follow MACs to another power than guessed."""
    reached = scale_by_measuring(S, 0.5, lambda a: (train_macs(a) / train_macs(S)) ** power, train_macs)
    assert abs(reached.error) < 0.05
    assert reached.measurements <= 5


# ---- equal to another architecture


def params(architecture):
    return float(count(architecture, 1, 10).params)


def macs(architecture):
    return float(count(architecture, 32, 10).macs)


def any_small(seed):
    """Of the ready-made space of small networks, whose stages have 16 to 64 channels."""
    return small().sample(np.random.default_rng(seed))


seeds = st.integers(0, 10**6)


@settings(max_examples=30)
@given(seeds, seeds, st.sampled_from([params, macs]), st.booleans())
def test_what_becomes_equal_stays_what_it_was(seed, another, cost, ends):
    """The same ops in the same stages, the next one on the target's other side no nearer; stem and head as told."""
    one, target = any_small(seed), cost(any_small(another))
    reached = resize_to(one, cost, target, "cost", ends=ends)
    made = reached.architecture
    assert reached.reached == cost(made)
    assert dataclasses.replace(made, stages=one.stages) == one or ends
    assert [dataclasses.replace(stage, layers=1, channels=8) for stage in made.stages] == [
        dataclasses.replace(stage, layers=1, channels=8) for stage in one.stages
    ]
    if reached.other is not None:
        assert (reached.other - target) * (reached.reached - target) <= 0
        assert reached.distance <= abs(math.log(reached.other / target))


def test_nearly_all_pairs_of_architectures_can_be_made_equal():
    """Of networks as small as these, 29 of 30 come within 3 % of another's params, and 27 of 30 of its MACs."""
    for cost, enough in ((params, 29), (macs, 27)):
        found = [resize_to(any_small(n), cost, cost(any_small(n + 100)), "cost") for n in range(30)]
        assert sum(abs(each.error) <= 0.03 for each in found) >= enough
        assert found[0] == resize_to(any_small(0), cost, cost(any_small(100)), "cost"), "and the same each time"


def test_channels_stay_multiples_of_eight_where_that_is_near_enough():
    """A published network has so many layers and channels that steps of eight suffice."""
    reached = resize_to(published("efficientnet_b4"), params, params(S), "params")
    assert abs(reached.error) <= 0.03
    assert all(stage.channels % 8 == 0 for stage in reached.architecture.stages)


def test_what_cannot_be_reached_is_approached():
    """Nothing of these stages and this head is as small as that: the smallest there is, nothing on the other side."""
    reached = resize_to(S, params, 5000.0, "params", ends=False)
    assert [stage.layers for stage in reached.architecture.stages] == [1] * 6
    assert [stage.channels for stage in reached.architecture.stages] == [1] * 6
    assert reached.error > 0
    assert reached.other is None


@pytest.mark.parametrize(("power", "factor"), [(1.0, 1.0), (0.6, 1.5), (1.3, 0.7), (0.5, 2.0)])
def test_equal_step_times_take_few_measurements(power, factor):
    """Step times that follow MACs to another power and with another factor than guessed, and noise of 1 %."""
    few = 0
    for seed in range(5):
        other, asked, rng = macs(any_small(seed)), [], np.random.default_rng(seed)

        def measure(architecture, other=other, asked=asked, rng=rng):
            asked.append(architecture.arch_id)
            return factor * (macs(architecture) / other) ** power * math.exp(rng.normal(0, 0.01))

        reached = resize_by_measuring(
            any_small(seed + 100), 1.0, measure, lambda architecture, other=other: macs(architecture) / other
        )
        assert len(asked) == len(set(asked)) == reached.measurements <= 6
        few += abs(reached.error) <= 0.03 and reached.measurements <= 4
    assert few >= 4


def test_macs_need_an_image_size():
    """Without one there is nothing to count at."""
    with pytest.raises(ValueError, match="a target of macs needs an architecture with an image_size"):
        scale_to(dataclasses.replace(S, image_size=None), macs=1e10)
