"""Search spaces as plain data: YAML, typed by hand or written, and what is refused."""

import dataclasses

import pytest
from hypothesis import given

from search_space.architecture import Architecture, Stage
from search_space.choices import Constraints, StageChoices
from search_space.families import published
from search_space.space import SearchSpace

ONE = StageChoices(("mbconv", "fused_mbconv"), (1, 2, 3), 3, (1, 4), 8, 2)
TWO = StageChoices("mbconv", 1, (3, 5), 4, (16, 24), 1, (0, 0.25))
SPACE = SearchSpace(8, (ONE, TWO), 32, image_size=32)


@given(...)
def test_yaml_round_trip(space: SearchSpace):
    """A space written to a run folder is read back equal, in the same order of choices."""
    assert SearchSpace.from_yaml(space.to_yaml()) == space
    assert SearchSpace.from_dict(space.to_dict()) == space


def test_constraints_survive_yaml():
    """The bounds are part of the space."""
    constraints = Constraints(params_min=10, params_max=20_000, macs_max=10**6, image_size=32, num_classes=10)
    bounded = dataclasses.replace(SPACE, constraints=constraints)
    assert SearchSpace.from_yaml(bounded.to_yaml()) == bounded


TYPED = """
stem_channels: 8
head_channels: 32
image_size: 32
stages:
  - {op: [mbconv, fused_mbconv], layers: [1, 2, 3], kernel_size: 3, expansion: [1, 4], channels: 8, stride: 2}
  - op: mbconv
    layers: 1
    kernel_size: [3, 5]
    expansion: 4
    channels: [16, 24]
    stride: 1
    se_ratio: [0, 25e-2]
"""


def test_a_space_typed_by_hand():
    """Fixed fields are bare, choices are lists, `se_ratio` and constraints may be left out, 25e-2 is a number."""
    assert SearchSpace.from_yaml(TYPED) == SPACE
    bounded = SearchSpace.from_yaml(TYPED + "constraints: {params_max: 1e6, image_size: 32}")
    assert bounded.constraints == Constraints(params_max=1_000_000, image_size=32)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("stem_channels", "stem", "unknown key 'stem' in space; known: stem_channels, stages, head_channels"),
        ("head_channels: 32", "", "missing key 'head_channels' in space"),
        ("    layers: 1\n", "", "missing key 'layers' in space stage 2"),
        ("kernel_size: 3,", "kernel: 3,", "unknown key 'kernel' in space stage 1; known: op, layers, kernel_size"),
        ("[3, 5]", "[3, 4]", "space stage 2: stage kernel_size must be odd, got 4"),
        ("[3, 5]", "[]", "space stage 2: kernel_size has no choices"),
        ("[3, 5]", "[3, 3]", r"space stage 2: kernel_size has a choice twice: \[3, 3\]"),
        ("[3, 5]", "[[3], 5]", "space stage 2: stage kernel_size must be a whole number, got .3."),
        ("[mbconv, fused_mbconv]", "[mbconv, no]", "space stage 1: unknown op 'no'; known: mbconv, fused_mbconv"),
        ("[1, 2, 3]", "1.5", "space stage 1: stage layers must be a whole number, got 1.5"),
        ("stem_channels: 8", "stem_channels: 8.5", "architecture stem_channels must be a whole number, got 8.5"),
        ("stem_channels: 8", "stem_stride: 3\nstem_channels: 8", "architecture stem_stride must be 1 or 2, got 3"),
        ("stem_channels: 8", "dropout: 1\nstem_channels: 8", r"architecture dropout must be a number in \[0, 0.99\]"),
        ("stem_channels: 8", "stem_channels: 8\nstem_channels: 9", r"key 'stem_channels' is given twice \(line 3\)"),
        ("stem_channels: 8", "- 8", "not YAML at line"),
    ],
)
def test_a_bad_space_is_refused_by_key(old, new, message):
    """A mistyped configuration is one line that names the stage, the key and what is allowed."""
    assert old in TYPED
    with pytest.raises(ValueError, match=message):
        SearchSpace.from_yaml(TYPED.replace(old, new, 1))


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ("{params: 3}", "unknown key 'params' in space constraints; known: params_min, params_max, macs_min, macs_max"),
        ("5", "space constraints must be a mapping, got int"),
        ("{params_max: ten}", "constraint params_max must be a whole number >= 0, got 'ten'"),
        ("{params_max: 1.5}", "constraint params_max must be a whole number >= 0, got 1.5"),
        ("{params_max: .inf}", "constraint params_max must be a whole number >= 0, got inf"),
        ("{macs_min: -1}", "constraint macs_min must be a whole number >= 0, got -1"),
        ("{macs_min: true}", "constraint macs_min must be a whole number >= 0, got True"),
        ("{image_size: 0}", "constraint image_size must be a whole number >= 1, got 0"),
        ("{num_classes: null}", "constraint num_classes must be a whole number >= 1, got None"),
        ("{params_min: 5, params_max: 4}", "constraint params_min 5 is above params_max 4"),
    ],
)
def test_bad_constraints_are_refused_by_key(constraints, message):
    """The same for the bounds."""
    with pytest.raises(ValueError, match=message):
        SearchSpace.from_yaml(TYPED + f"constraints: {constraints}")


@pytest.mark.parametrize("record", [None, [], "space", 3])
def test_a_space_must_be_a_mapping(record):
    """An empty file is told apart from a bad key."""
    with pytest.raises(ValueError, match="space must be a mapping, got"):
        SearchSpace.from_dict(record)


@pytest.mark.parametrize("stages", [(), (Stage("mbconv", 1, 3, 1, 8, 1),)])
def test_stages_must_be_choices(stages):
    """From Python, a Stage in place of its choices is named, not an AttributeError later."""
    with pytest.raises(ValueError, match="space stages must be one or more StageChoices records"):
        SearchSpace(8, stages, 32)


def test_any_published_network_is_a_space_of_one():
    """Every field of Stage can be fixed, so what is published can be written as a space."""
    s = published("efficientnetv2_s")
    stages = tuple(StageChoices(**dataclasses.asdict(stage)) for stage in s.stages)
    hints = {f.name: getattr(s, f.name) for f in dataclasses.fields(Architecture) if f.name != "stages"}
    assert list(SearchSpace(stages=stages, **hints)) == [s]
