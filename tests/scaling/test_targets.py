"""Targets of params, MACs and step time."""

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.grow import at_dial, scale
from scaling.rule import FROM_BASE, LATE_GROWTH
from scaling.targets import OutOfReach, scale_by_measuring, scale_to
from search_space.cost import count
from search_space.families import published

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
    """Half of the start's step time would be a smaller network than the rule's smallest."""
    with pytest.raises(OutOfReach, match=r"target step_time 0.5 is out of reach: the rule gives 1 or more"):
        scale_by_measuring(S, 0.5, lambda a: pytest.fail("measured"), train_macs)
    with pytest.raises(ValueError, match="target step_time must be positive and finite, got -1"):
        scale_by_measuring(S, -1, lambda a: pytest.fail("measured"), train_macs)


def test_a_start_slower_than_guessed_is_the_nearest_there_is():
    """From the base, S is guessed just at the target and measured above it: nothing is smaller, so S is the answer."""
    base = published("efficientnetv2_b0")
    guessed = train_macs(scale(base, "s", FROM_BASE)) / train_macs(base)

    def measure(architecture):
        return 1.2 * train_macs(architecture) / train_macs(base)

    reached = scale_by_measuring(base, guessed, measure, train_macs, rule=FROM_BASE)
    assert reached.architecture == scale(base, "s", FROM_BASE)
    assert reached.error == pytest.approx(0.2)


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
        ({"params": 1e6}, "target params 1,000,000 is out of reach: the rule gives 21,458,488 or more"),
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


def test_macs_need_an_image_size():
    """Without one there is nothing to count at."""
    with pytest.raises(ValueError, match="a target of macs needs an architecture with an image_size"):
        scale_to(dataclasses.replace(S, image_size=None), macs=1e10)
