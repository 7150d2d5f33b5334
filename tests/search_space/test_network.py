"""Built networks: shapes, placement of stages, regularisation, initialisation."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from search_space.architecture import Architecture, Stage
from search_space.families import published
from search_space.network import build_network, set_regularisation
from search_space.ops.layers import DropPath

STAGES = (Stage("fused_mbconv", 2, 3, 1, 8, 1), Stage("mbconv", 3, 5, 4, 12, 2, 0.25))
SMALL = Architecture(8, STAGES, 20, stem_stride=1, dropout=0.3)


@settings(max_examples=40)
@given(
    architecture=...,
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    num_classes=st.integers(1, 12),
    in_channels=st.integers(1, 4),
)
def test_any_architecture_gives_logits(architecture: Architecture, size, num_classes, in_channels):
    """Whatever the search proposes can be built and run, on images that are odd, tiny or not square, RGB or grey."""
    network = build_network(architecture, num_classes, in_channels).eval()
    with torch.no_grad():
        logits = network(torch.randn(2, in_channels, *size))
    assert logits.shape == (2, num_classes)
    assert logits.isfinite().all()


def test_stages_become_blocks_in_order():
    """Only the first block of a stage strides and changes the channels; the parts are named as in timm."""
    network = build_network(SMALL, 10)
    first = [[next(block.named_children())[0] for block in stage] for stage in network.blocks]
    assert first == [["conv"] * 2, ["conv_pw"] * 3]
    depthwise = [block.conv_dw for block in network.blocks[1]]
    assert [conv.stride for conv in depthwise] == [(2, 2), (1, 1), (1, 1)]
    assert [conv.in_channels for conv in depthwise] == [8 * 4, 12 * 4, 12 * 4]
    assert [conv.kernel_size for conv in depthwise] == [(5, 5)] * 3
    children = ["conv_stem", "bn1", "blocks", "conv_head", "bn2", "dropout", "classifier"]
    assert [name for name, _ in network.named_children()] == children


@pytest.mark.parametrize(("stem_stride", "expected"), [(1, 16), (2, 8)])
def test_stem_stride(stem_stride, expected):
    """Small images can keep their resolution through the stem."""
    network = build_network(dataclasses.replace(SMALL, stem_stride=stem_stride), 10)
    assert network.bn1(network.conv_stem(torch.zeros(2, 3, 16, 16))).shape == (2, 8, expected, expected)


def test_drop_path_grows_linearly_with_the_blocks():
    """As published: block i of n gets rate * i / n, so the first is never dropped."""
    network = build_network(SMALL, 10, drop_path=0.2)
    rates = [module.rate for module in network.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16])


def test_regularisation_can_change_between_stages_of_training():
    """Progressive learning sets both rates on a living network; None leaves a rate alone; weights stay."""
    network = build_network(SMALL, 10, drop_path=0.2)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    set_regularisation(network, dropout=0.5)
    assert network.dropout.p == 0.5
    assert [m.rate for m in network.modules() if isinstance(m, DropPath)][-1] == pytest.approx(0.16)
    set_regularisation(network, drop_path=0.4)
    rebuilt = build_network(SMALL, 10, drop_path=0.4)
    assert [m.rate for m in network.modules() if isinstance(m, DropPath)] == [
        m.rate for m in rebuilt.modules() if isinstance(m, DropPath)
    ]
    assert network.dropout.p == 0.5
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("name", ["dropout", "drop_path"])
@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_out_of_range_is_refused(name, rate):
    """A schedule gone wrong must not silently zero the network."""
    network = build_network(SMALL, 10)
    with pytest.raises(ValueError, match=rf"{name} must be in \[0, 1\), got {rate}"):
        set_regularisation(network, **{name: rate})


def test_evaluation_is_deterministic_and_training_is_not():
    """Dropout and drop path act in training only."""
    torch.manual_seed(0)
    network = build_network(SMALL, 10, drop_path=0.5)
    x = torch.randn(4, 3, 16, 16)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_convolutions_are_initialised_as_published_and_the_classifier_starts_quietly():
    """Normal with variance 2 / fan-out; the classifier's bias is zero, so ten classes start near loss log(10) = 2.3."""
    torch.manual_seed(0)
    network = build_network(published("efficientnet_b0"), 10)
    head, depthwise = network.conv_head.weight, network.blocks[5][1].conv_dw.weight
    assert head.std().item() == pytest.approx((2 / 1280) ** 0.5, rel=0.02)
    assert depthwise.std().item() == pytest.approx((2 / 25) ** 0.5, rel=0.02)
    assert network.classifier.bias.abs().max() == 0
    assert all((m.bias == 0).all() for m in network.modules() if isinstance(m, nn.Conv2d) and m.bias is not None)
    images, labels = torch.randn(32, 3, 32, 32), torch.arange(32) % 10
    loss = nn.functional.cross_entropy(network(images), labels)
    assert 2.2 < loss.item() < 2.5


def test_the_same_seed_builds_the_same_network():
    """A candidate trained again starts from the same weights."""
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(build_network(SMALL, 10).state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_network_learns():
    """Forward, backward and update through every op fit 16 images: the parts are connected."""
    torch.manual_seed(0)
    network = build_network(dataclasses.replace(SMALL, dropout=0.0), 4, 1, drop_path=0.0)
    images, labels = torch.randn(16, 1, 8, 8), torch.arange(16) % 4
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for _ in range(60):
        loss = nn.functional.cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "num_classes and in_channels must be >= 1, got 0 and 3"),
        ({"in_channels": 0}, "num_classes and in_channels must be >= 1, got 1000 and 0"),
        ({"drop_path": 1.0}, r"drop_path must be in \[0, 1\), got 1.0"),
        ({"drop_path": -0.1}, r"drop_path must be in \[0, 1\), got -0.1"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    """A network that could not be trained is not built."""
    with pytest.raises(ValueError, match=message):
        build_network(SMALL, **arguments)


@settings(max_examples=30)
@given(architecture=..., size=st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_features_are_the_stages_outputs(architecture: Architecture, size):
    """One a stage, with its channels, halved by each stride so far, and the head makes the logits of the last."""
    network = build_network(architecture, 5).eval()
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        features, logits = network.features(x), network(x)
        head = nn.functional.silu(network.bn2(network.conv_head(features[-1])))
        assert torch.equal(network.classifier(head.mean((2, 3))), logits)
    assert len(features) == len(architecture.stages) == len(network.feature_info)
    for feature, stage, info in zip(features, architecture.stages, network.feature_info, strict=True):
        reduced = [-(-pixels // info["reduction"]) for pixels in size]
        assert feature.shape == (2, stage.channels, *reduced)
        assert info["num_chs"] == stage.channels
    assert network.get_submodule(network.feature_info[-1]["module"]) is network.blocks[-1]


def test_feature_info_counts_strides():
    """As timm's: pixels of the image to a pixel of the feature."""
    info = build_network(published("efficientnet_b0"), 10).feature_info
    assert [(row["num_chs"], row["reduction"]) for row in info] == [
        (16, 2), (24, 4), (40, 8), (80, 16), (112, 16), (192, 32), (320, 32),
    ]  # fmt: skip
