"""The ready-made spaces."""

import dataclasses

import numpy as np
import pytest

from search_space.choices import Constraints
from search_space.cost import count
from search_space.families import published
from search_space.ops import OPS
from search_space.ops.option import Option
from search_space.space import SearchSpace
from search_space.spaces import SPACES, backbone_of, efficientnetv2, small, space_from_config, vertex


def test_efficientnetv2_is_the_papers_space():
    """Ops, kernels and expansions of section 3.2; channels, strides, stem and head of the backbone, B4 by default."""
    space, backbone = efficientnetv2(), published("efficientnet_b4")
    for choices, stage in zip(space.stages, backbone.stages, strict=True):
        assert set(choices.op) == {"mbconv", "fused_mbconv"}
        assert set(choices.kernel_size) == {3, 5}
        assert set(choices.expansion) == {1, 4, 6}
        assert stage.layers in choices.layers
        assert (choices.channels, choices.stride) == ((stage.channels,), (stage.stride,))
    assert (space.stem_channels, space.head_channels) == (48, 1792)
    # layers of B4 are 2, 4, 4, 6, 6, 8, 2: half to double gives 1-4, 2-8, 2-8, 3-12, 3-12, 4-16, 1-4
    assert [(min(s.layers), max(s.layers)) for s in space.stages] == [
        (1, 4), (2, 8), (2, 8), (3, 12), (3, 12), (4, 16), (1, 4),
    ]  # fmt: skip
    assert space.size == np.prod([2 * 2 * 3 * len(s.layers) for s in space.stages], dtype=object)


def test_efficientnetv2_contains_its_backbone_as_mbconv_with_se():
    """The backbone's later stages, kernels 3 and 5 at expansion 6, are a point of the space."""
    assert efficientnetv2().contains(published("efficientnet_b4"))


def test_efficientnetv2_arguments():
    """Another backbone, layer factors, SE as a decision, image size and bounds."""
    space = efficientnetv2(
        "efficientnetv2_b0", se_ratio=[0, 0.25], layers=[1, 2], image_size=128, constraints={"params_max": 20e6}
    )
    assert [s.layers for s in space.stages] == [(1, 2), (2, 4), (2, 4), (3, 6), (5, 10), (8, 16)]
    assert all(s.se_ratio == (0.0, 0.25) for s in space.stages)
    assert space.image_size == 128
    assert space.constraints == Constraints(params_max=20_000_000)
    assert space.contains(dataclasses.replace(published("efficientnetv2_b0"), image_size=128))


def test_vertex_is_the_published_space():
    """V2-B0 is a point of it; the first stage has 2 * 2 * 3 * 4 * 2 * 2 choices, each other one half as many again."""
    space = vertex()
    assert [s.layers for s in space.stages] == [(1, 2), (1, 2, 3), (1, 2, 3), (2, 3, 4), (4, 5, 6), (7, 8, 9)]
    assert [s.channels for s in space.stages] == [
        (12, 16, 20), (24, 32, 40), (36, 48, 60), (72, 96, 120), (84, 112, 140), (144, 192, 240),
    ]  # fmt: skip
    assert space.size == 192 * 288**5 == pytest.approx(3.8e14, rel=0.01)
    assert space.contains(published("efficientnetv2_b0"))
    assert backbone_of(space) == published("efficientnetv2_b0")


def test_vertex_decides_the_activation_of_ops_that_have_one(monkeypatch):
    """An op with an option `activation` doubles the choices of each stage; a choice that it has not is refused."""
    activation = Option("swish", among=("swish", "relu", "gelu"))
    mine = dataclasses.replace(OPS["mbconv"], options={"activation": activation}, google=None, timm=None)
    monkeypatch.setitem(OPS, "activated", mine)
    assert vertex(op="activated").size == 2**6 * vertex(op="mbconv").size == 2**6 * 96 * 144**5
    assert vertex(op=["mbconv", "activated"]).size == (96 * 3) * (144 * 3) ** 5
    assert vertex(op="activated", activation="gelu").size == vertex(op="mbconv").size
    with pytest.raises(ValueError, match="op activated option activation must be one of swish, relu, gelu, got 'tanh'"):
        vertex(op="activated", activation=["swish", "tanh"])


def test_small_fits_a_cpu():
    """Its candidates are small: at 32 pixels the largest has about 200 million MACs, and there are millions of them."""
    space = small()
    _, most = dataclasses.replace(space, constraints=Constraints(image_size=32, num_classes=10)).cost_range()
    assert most.macs < 250e6
    assert space.size > 1e6
    cheap = small(stem_stride=2)
    a = cheap.sample(np.random.default_rng(0))
    ratio = count(dataclasses.replace(a, stem_stride=1), 32).macs / count(a, 32).macs
    assert 3 < ratio < 4.5


@pytest.mark.parametrize("name", SPACES)
def test_ready_made_spaces_survive_yaml_and_are_found_by_name(name):
    """A configuration may give the name, and the resolved space written beside the log gives the same space back."""
    space = SPACES[name]()
    assert space_from_config({"name": name}) == space
    assert SearchSpace.from_yaml(space.to_yaml()) == space
    assert space_from_config(space.to_dict()) == space


@pytest.mark.parametrize("name", SPACES)
def test_ops_of_a_ready_made_space_may_be_others(name):
    """Those that are named, one or several, in every stage; what S is measured against stays."""
    usual, one = SPACES[name](), SPACES[name](op="fused_mbconv")
    assert {stage.op for stage in one.stages} == {("fused_mbconv",)}
    assert one.reference == usual.reference
    assert SPACES[name](op=["mbconv", "fused_mbconv"]) == usual
    assert space_from_config(one.to_dict()) == one


def test_config_arguments_reach_the_space():
    """What stands beside `name` are the function's arguments."""
    record = {"name": "small", "stem_stride": 2, "image_size": 28, "constraints": {"macs_max": 1e7}}
    assert space_from_config(record) == small(stem_stride=2, image_size=28, constraints={"macs_max": 10**7})


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"name": "smal"}, "unknown space 'smal'; did you mean 'small'?"),
        ({"name": ["small"]}, "unknown space"),
        (None, "space must be a mapping, got NoneType"),
        ({"name": "small", "layers": [1]}, "unknown key 'layers' in space small; known: op, stem_stride, image_size"),
        (
            {"name": "small", "constraints": {"params": 1}},
            "unknown key 'params' in space constraints; known: params_min",
        ),
        ({"name": "small", "constraints": 5}, "space constraints must be a mapping, got int"),
        ({"name": "small", "stem_stride": 3}, "architecture stem_stride must be 1 or 2, got 3"),
        ({"name": "efficientnetv2", "backbone": "b4"}, "unknown architecture 'b4'; known: efficientnet_b0"),
        (
            {"name": "efficientnetv2", "layers": 2},
            "space efficientnetv2 layers must be a list of positive factors, got 2",
        ),
        ({"name": "efficientnetv2", "layers": [0]}, "layers must be a list of positive factors"),
        ({"name": "efficientnetv2", "layers": []}, "layers has no choices"),
        ({"name": "efficientnetv2", "se_ratio": "high"}, r"stage se_ratio must be a number in \[0, 1\], got 'high'"),
    ],
)
def test_bad_configurations_are_refused_by_key(record, message):
    """One line that names what is wrong and what is known."""
    with pytest.raises(ValueError, match=message):
        space_from_config(record)


def mine(width: int, *, image_size: int = 32) -> SearchSpace:
    """A space of one's own, with an argument that must be given and a reference of its own choice."""
    return dataclasses.replace(
        small(image_size=image_size), head_channels=width, reference=published("efficientnet_b0")
    )


def test_a_space_of_ones_own_needs_no_edit_here(monkeypatch, tmp_path):
    """Put into SPACES or named by its module, with arguments checked by its signature and its own reference."""
    monkeypatch.setitem(SPACES, "mine", mine)
    space = space_from_config({"name": "mine", "width": 64})
    assert (space.head_channels, space.image_size) == (64, 32)
    assert backbone_of(space) == published("efficientnet_b0")
    for record, message in (
        ({"name": "mine"}, "missing key 'width' in space mine"),
        ({"name": "mine", "widht": 64}, "unknown key 'widht' in space mine; known: width, image_size"),
    ):
        with pytest.raises(ValueError, match=message):
            space_from_config(record)
    (tmp_path / "their_spaces.py").write_text(
        "from search_space.spaces import small\n"
        "def tiny(**arguments): return small(**arguments)\n"
        "def none(): return {}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert space_from_config({"name": "their_spaces:tiny", "stem_stride": 2}) == small(stem_stride=2)
    with pytest.raises(ValueError, match="space their_spaces:none must give a SearchSpace, got dict"):
        space_from_config({"name": "their_spaces:none"})


def test_the_natural_reference():
    """The backbone that a space was made of, whatever its bounds; else the middle of every decision."""
    bounded = dataclasses.replace(efficientnetv2("efficientnetv2_b1"), constraints=Constraints(params_max=10**7))
    assert backbone_of(bounded) == published("efficientnetv2_b1")
    middle = [(len(d.choices) - 1) // 2 for d in small().decisions]
    assert backbone_of(small()) == small().decode(middle)
    assert backbone_of(SearchSpace.from_dict(efficientnetv2().to_dict())) != published("efficientnet_b4")
