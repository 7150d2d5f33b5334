"""The rules against the published family, and what any winner may expect of them."""

import dataclasses
import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling import scale
from scaling.grow import at_dial, grow, with_train_size
from scaling.residuals import explain
from scaling.resize import resized
from scaling.rule import FROM_BASE, LATE_GROWTH, PLAIN, RULES, UNIFORM, Growth, Rule
from search_space.architecture import Architecture, Stage
from search_space.cost import count
from search_space.families import PUBLISHED, published
from search_space.spaces import efficientnetv2, small

BASE, S = published("efficientnetv2_b0"), published("efficientnetv2_s")

# layers and channels of EfficientNetV2's stages, as google/automl publishes them
LAYERS = {"s": [2, 4, 4, 6, 9, 15], "m": [3, 5, 5, 7, 14, 18, 5], "l": [4, 7, 7, 10, 19, 25, 7]}
CHANNELS = {
    "s": [24, 48, 64, 128, 160, 256],
    "m": [24, 48, 80, 160, 176, 304, 512],
    "l": [32, 64, 96, 192, 224, 384, 640],
}
# the channels that the recipe from the base misses, by size and stage
RESIDUALS = {"s": {4: (136, 128), 6: (272, 256)}, "m": {4: (152, 160)}, "l": {}}
winners = st.one_of(
    st.sampled_from(PUBLISHED).map(published),
    st.sampled_from([small(), efficientnetv2()]).flatmap(
        lambda space: st.integers(0, 10**6).map(lambda seed: space.sample(np.random.default_rng(seed)))
    ),
)


def layers(architecture):
    return [stage.layers for stage in architecture.stages]


def channels(architecture):
    return [stage.channels for stage in architecture.stages]


def errors(rule, size, start=S):
    """Params and MACs over the published model's, less 1, at the published image size."""
    rows = {row.name: row for row in explain(start, [size], rule)}
    return rows["params"].share, rows["macs"].share


@pytest.mark.parametrize("size", LAYERS)
def test_from_v2s_base_the_rule_yields_the_published_family(size):
    """Depths of S, M and L exactly; widths exactly but for three stages, which are these; stems and heads exactly."""
    ours, theirs = scale(BASE, size, FROM_BASE), published(f"efficientnetv2_{size}")
    assert layers(ours) == LAYERS[size]
    expected = list(CHANNELS[size])
    for stage, (got, want) in RESIDUALS[size].items():
        assert expected[stage - 1] == want
        expected[stage - 1] = got
    assert channels(ours) == expected
    assert (ours.stem_channels, ours.head_channels) == (theirs.stem_channels, 1280)
    for one, other in zip(ours.stages, theirs.stages, strict=True):
        assert dataclasses.replace(one, channels=1) == dataclasses.replace(other, channels=1)


def test_from_v2s_base_l_is_the_published_l():
    """Nothing is left to explain: parameters to the unit, MACs, image sizes, dropout."""
    assert scale(BASE, "l", FROM_BASE) == published("efficientnetv2_l")
    assert count(scale(BASE, "l", FROM_BASE), 480).params == 118515272


def test_from_v2s_base_the_costs_are_near():
    """What the three residual widths cost: S is 9 % too large, M half a percent too small."""
    assert errors(FROM_BASE, "s", BASE) == (pytest.approx(0.092, abs=1e-3), pytest.approx(0.033, abs=1e-3))
    assert errors(FROM_BASE, "m", BASE) == (pytest.approx(-0.003, abs=1e-3), pytest.approx(-0.005, abs=1e-3))


@pytest.mark.parametrize("size", ["m", "l"])
def test_from_s_alone_late_growth_yields_the_published_depths_and_nearly_the_costs(size):
    """Every layer of M and L, params and MACs within 7 %; uniform scaling misses depths and a third of the params."""
    assert layers(scale(S, size)) == LAYERS[size]
    assert all(abs(error) < 0.07 for error in errors(LATE_GROWTH, size))
    assert layers(scale(S, size, UNIFORM)) != LAYERS[size][:6]
    assert errors(UNIFORM, size)[0] < -0.3


def test_plain_compound_scaling_stands_beside_each_rule():
    """Plain is the same for late stages as for early ones: from the base, all layers times 1.8, 2.2 or 3.1."""
    for size, depth in (("s", 1.8), ("m", 2.2), ("l", 3.1)):
        plain = scale(BASE, size, PLAIN["from_base"])
        assert layers(plain) == [math.ceil(round(n * depth, 9)) for n in (1, 2, 2, 3, 5, 8)]
        assert plain.image_size == scale(BASE, size, FROM_BASE).image_size
    assert PLAIN["late_growth"] is PLAIN["uniform"] is UNIFORM


def test_the_image_size_a_start_trains_at():
    """Its own if it has one, else a fifth below what it is evaluated at, within the cap; nothing else changes."""
    assert with_train_size(S, LATE_GROWTH) == S
    bare = dataclasses.replace(S, train_image_size=None)
    assert with_train_size(bare, LATE_GROWTH) == dataclasses.replace(S, train_image_size=308)  # 0.8 * 384, in fours
    b7 = published("efficientnet_b7")
    assert with_train_size(b7, LATE_GROWTH) == dataclasses.replace(b7, train_image_size=384)  # 0.8 * 480
    no_size = dataclasses.replace(bare, image_size=None)
    assert with_train_size(no_size, LATE_GROWTH) == no_size
    assert scale(bare, "s") == with_train_size(bare, LATE_GROWTH)


def test_xl_is_near_but_for_one_depth():
    """XL follows no coefficients: its layers are met in every stage but the fourth, its cost within 15 %."""
    for rule, start in ((FROM_BASE, BASE), (LATE_GROWTH, S)):
        assert layers(scale(start, "xl", rule)) == [4, 8, 8, 12, 24, 32, 8]
        assert all(abs(error) < 0.15 for error in errors(rule, "xl", start))
    assert layers(published("efficientnetv2_xl")) == [4, 8, 8, 16, 24, 32, 8]


def test_the_winner_is_its_own_s():
    """The default rule does not touch what was searched, trained and measured."""
    for name in PUBLISHED:
        winner = published(name)
        if winner.image_size <= 480 and winner.train_image_size:
            assert scale(winner, "s") == winner
    winner = small().sample(np.random.default_rng(0))
    assert dataclasses.replace(scale(winner, "s"), train_image_size=None) == winner


def test_image_sizes():
    """384 grows to 480 and no further; training is a fifth smaller: 384. Without an image size there is none."""
    assert [scale(S, size).image_size for size in ("s", "m", "l", "xl")] == [384, 480, 480, 480]
    assert [scale(S, size).train_image_size for size in ("s", "m", "l", "xl")] == [300, 384, 384, 384]
    little = Architecture(16, (Stage("mbconv", 2, 3, 4, 16, 1),), 64, image_size=32)
    assert (scale(little, "m").image_size, scale(little, "m").train_image_size) == (40, 32)
    assert scale(dataclasses.replace(little, image_size=None), "m").image_size is None
    assert scale(dataclasses.replace(little, image_size=600), "s").image_size == 480


def test_dropout_grows_with_the_family():
    """As published: 0.2 of S becomes 0.3 and 0.4."""
    assert [scale(S, size).dropout for size in ("s", "m", "l")] == [0.2, 0.3, 0.4]


def test_late_growth_by_hand():
    """3, 3 and 6 layers: the last two stages get a third more (4, 8), a fifth of 8 splits off (6 + 2), x 1.1 up."""
    stages = tuple(Stage("mbconv", n, 3, 4, c, 2) for n, c in ((3, 16), (3, 32), (6, 48)))
    grown = scale(Architecture(16, stages, 64), "m")
    assert layers(grown) == [4, 5, 7, 3]
    # x 8/7: 18.3, 36.6, 54.9 and 48 * 5/3 = 80 -> 91.4
    assert channels(grown) == [16, 40, 56, 88]
    assert [stage.stride for stage in grown.stages] == [2, 2, 2, 1]
    assert grown.head_channels == 64


@given(winner=winners, rule=st.sampled_from(sorted(RULES)))
def test_sizes_grow(winner, rule):
    """Whatever the search found, each size has more parameters than the one before, and no stage has fewer layers."""
    family = [scale(winner, size, RULES[rule]) for size in ("s", "m", "l", "xl")]
    for one, other in pairwise(family):
        assert count(other, 64).params > count(one, 64).params
        assert sum(layers(other)) >= sum(layers(one))
        assert all(b >= a for a, b in zip(channels(one)[1:], channels(other)[1:], strict=False))
        assert all(n % 8 == 0 for n in channels(other))


@settings(max_examples=50)
@given(winner=winners, rule=st.sampled_from(sorted(RULES)), dials=st.lists(st.floats(0, 6), min_size=2, max_size=6))
def test_the_dial_is_monotone(winner, rule, dials):
    """Turned up, the dial never gives a network with fewer layers or parameters: so a target can be searched for."""
    grown = [at_dial(winner, dial, RULES[rule]) for dial in sorted(dials)]
    costs = [count(a, a.image_size or 64) for a in grown]
    assert [sum(layers(a)) for a in grown] == sorted(sum(layers(a)) for a in grown)
    assert [c.params for c in costs] == sorted(c.params for c in costs)


@settings(max_examples=50)
@given(winner=winners, rule=st.sampled_from(sorted(RULES)), dials=st.lists(st.floats(-30, 1), min_size=2, max_size=6))
def test_below_its_first_size_the_dial_is_monotone_in_every_number(winner, rule, dials):
    """Turned down, no stage gets a layer or a channel, nor the image a pixel; nothing falls below one, or eight."""
    shrunk = [at_dial(winner, dial, RULES[rule]) for dial in sorted(dials) if dial <= 0]
    shrunk.append(at_dial(winner, 0, RULES[rule]))
    for less, more in pairwise(shrunk):
        assert all(a <= b for a, b in zip(layers(less), layers(more), strict=True))
        assert all(a <= b for a, b in zip(channels(less), channels(more), strict=True))
        assert less.stem_channels <= more.stem_channels
        assert less.head_channels == more.head_channels
        assert (less.image_size or 0) <= (more.image_size or 0)
        assert (less.train_image_size or 0) <= (more.train_image_size or 0)
        assert count(less, less.image_size or 64).macs <= count(more, more.image_size or 64).macs
    assert all(n >= 1 for n in layers(shrunk[0]))
    assert all(n % 8 == 0 or n == first for n, first in zip(channels(shrunk[0]), channels(shrunk[-1]), strict=True))


@pytest.mark.parametrize("rule", RULES.values())
def test_just_below_its_first_size_nothing_has_changed(rule):
    """The dial does not jump where it turns from growing to shrinking."""
    winner = dataclasses.replace(S, train_image_size=298)  # no multiple of four
    assert at_dial(winner, -1e-9, rule).stages == at_dial(winner, 0, rule).stages
    assert at_dial(S, -1e-9, rule) == at_dial(S, 0, rule)


def test_shrinking_takes_one_number_after_the_other_from_earlier_stages_first():
    """Stages of equal size do not all lose a layer at once, and a later one keeps its longest."""
    winner = Architecture(16, tuple(Stage("mbconv", 4, 3, 4, 32, 1) for _ in range(4)), 64)
    seen = [layers(resized(winner, 1 - n / 100, 1)) for n in range(26)]
    assert seen[0] == [4, 4, 4, 4]
    steps = [now for before, now in pairwise(seen) if now != before]
    assert steps == [[3, 4, 4, 4], [3, 3, 4, 4], [3, 3, 3, 4], [3, 3, 3, 3]]


@given(winners, st.floats(0.01, 3), st.floats(0.01, 3), st.sampled_from([1, 2, 4, 8]))
def test_resizing_keeps_near_what_was_asked(winner, depth, width, divisor):
    """Every number is within one step of its factor, and on the factor's side of what it was."""
    made = resized(winner, depth, width, divisor=divisor)
    for now, was in zip(made.stages, winner.stages, strict=True):
        assert abs(now.layers - was.layers * depth) <= 1
        assert now.layers >= 1
        assert abs(now.channels - was.channels * width) <= divisor + 1e-6 or now.channels == min(divisor, was.channels)
        assert (now.channels - was.channels) * (width - 1) >= 0
        assert (now.layers - was.layers) * (depth - 1) >= 0
        assert dataclasses.replace(now, layers=was.layers, channels=was.channels) == was
    assert resized(winner, 1, 1, divisor=divisor) == winner


@pytest.mark.parametrize("rule", RULES.values())
def test_the_dial_passes_through_the_named_sizes(rule):
    """Whole numbers are the sizes themselves, from both sides."""
    for number, size in enumerate(("s", "m", "l", "xl")):
        assert at_dial(S, number, rule) == scale(S, size, rule)
    assert layers(at_dial(S, 1 - 1e-9, rule)) == layers(at_dial(S, 1, rule))
    assert channels(at_dial(S, 1 + 1e-9, rule)) == channels(at_dial(S, 1, rule))
    assert channels(at_dial(S, 3 + 1e-9, rule)) == channels(at_dial(S, 3, rule))


def test_between_two_sizes_layers_come_one_after_the_other():
    """On the way from S to M the late stages have grown, the seventh has begun, the first two have not moved."""
    some = at_dial(S, 0.4, LATE_GROWTH)
    assert all(a <= n <= b for a, n, b in zip([*LAYERS["s"], 0], layers(some), LAYERS["m"], strict=True))
    assert layers(some)[:2] == [2, 4]
    assert 0 < layers(some)[6] < 5
    assert layers(some)[4] > 9


def test_channels_that_neither_size_changes_stay_in_between():
    """A winner with 20 channels, deepened only, keeps 20 channels at every setting of the dial."""
    rule = Rule((Growth("one"), Growth("two", depth=2.0)))
    winner = Architecture(20, (Stage("mbconv", 4, 3, 4, 20, 1),), 100)
    grown = at_dial(winner, 0.5, rule)
    assert grown == dataclasses.replace(winner, stages=(Stage("mbconv", 6, 3, 4, 20, 1),))


def test_a_stage_that_a_larger_size_lacks_goes_step_by_step():
    """A rule may also take the extra stage back: on the way its layers go one by one."""
    rule = Rule((Growth("one", split=0.5), Growth("two", width=2.0)))
    winner = Architecture(16, (Stage("mbconv", 2, 3, 4, 16, 1), Stage("mbconv", 8, 3, 4, 16, 1)), 64)
    counts = [layers(at_dial(winner, dial / 10, rule)) for dial in range(11)]
    assert counts[0] == [2, 4, 4]
    assert counts[10] == [2, 8]
    assert all(abs(sum(count) - 10) <= 1 for count in counts)
    assert [len(count) for count in counts] == sorted((len(count) for count in counts), reverse=True)


@pytest.mark.parametrize("dial", [float("-inf"), float("nan"), float("inf")])
def test_a_dial_out_of_range_is_refused(dial):
    """There is a network for every number, and for nothing else."""
    with pytest.raises(ValueError, match="dial must be finite"):
        at_dial(S, dial, LATE_GROWTH)


def test_a_rule_of_ones_own():
    """The rule is data: another split, cap, rounding or head is a changed record."""
    rule = Rule(
        (Growth("tiny", width=0.5, depth=0.5), Growth("huge", 2.0, 2.0, split=0.5, split_width=2.0)),
        image_size_cap=320,
        divisor=4,
        scales_head=True,
    )
    tiny, huge = scale(S, "tiny", rule), scale(S, "huge", rule)
    assert layers(tiny) == [1, 2, 2, 3, 5, 8]
    assert channels(tiny) == [12, 24, 32, 64, 80, 128]
    assert tiny.head_channels == 640
    assert layers(huge) == [4, 8, 8, 12, 18, 14, 16]
    assert channels(huge)[-2:] == [512, 1024]
    assert huge.image_size == 320
    assert grow(S, Growth("same"), rule).stages == S.stages


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: scale(S, "xxl"), "unknown size 'xxl'; known: s, m, l, xl"),
        (lambda: Growth("m", width=0), r"growth 'm': width must be in \(0, 100\), got 0"),
        (lambda: Growth("m", depth=float("nan")), "growth 'm': depth must be in"),
        (lambda: Growth("m", split=1.0), r"growth 'm': split must be in \[0, 1\), got 1.0"),
        (lambda: Growth("m", dropout=2), r"growth 'm': dropout must be in \[-0.9, 0.9\], got 2"),
        (lambda: Rule(()), "a rule needs one or more sizes of different names"),
        (
            lambda: Rule((Growth("m"), Growth("m"))),
            r"a rule needs one or more sizes of different names, got \['m', 'm'\]",
        ),
        (lambda: Rule((Growth("m"),), image_size_cap=0), "rule image_size_cap must be >= 1, got 0"),
        (lambda: Rule((Growth("m"),), train_share=0), r"rule train_share must be in \(0, 1\], got 0"),
    ],
)
def test_bad_rules_and_sizes_are_refused(make, message):
    """A mistyped size or number is named."""
    with pytest.raises(ValueError, match=message):
        make()


def test_scaling_starts_without_torch():
    """Growing a winner is arithmetic; it must not wait for torch."""
    code = (
        "import sys, scaling.grow, scaling.coefficients, scaling.targets, scaling.residuals, scaling.family;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
