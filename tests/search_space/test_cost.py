"""The closed forms against built networks, counted by torch's FlopCounterMode and by fvcore."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from search_space.architecture import Architecture, Stage
from search_space.cost import Cost, count, count_batch, output_size, squeeze_channels
from search_space.families import PUBLISHED, published
from search_space.layer_table import layer_table
from search_space.network import build_network
from search_space.ops.layers import SqueezeExcite
from search_space.space import SearchSpace
from search_space.spaces import efficientnetv2, small

SE_IN_FUSED = Architecture(
    12, (Stage("fused_mbconv", 2, 3, 1, 12, 2, 0.3), Stage("fused_mbconv", 2, 5, 3, 20, 1, 0.1)), 24, stem_stride=1
)


def built(architecture, image_size, num_classes, in_channels):
    """Parameters of the built network, and half of the floating point operations that torch counts in its forward."""
    with torch.device("meta"):
        network = build_network(architecture, num_classes, in_channels).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, in_channels, image_size, image_size))
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() / 2


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_cost_what_is_built(name):
    """The numbers a user filters and reports by are those of the network that will be trained."""
    architecture = published(name)
    params, macs, _ = count(architecture, architecture.image_size)
    assert (params, macs) == built(architecture, architecture.image_size, 1000, 3)


@settings(max_examples=200)
@given(architecture=..., image_size=st.integers(1, 70), num_classes=st.integers(1, 100), in_channels=st.integers(1, 4))
@example(SE_IN_FUSED, 33, 10, 1)
def test_any_architecture_costs_what_is_built(architecture: Architecture, image_size, num_classes, in_channels):
    """Every op, kernel, stride, expansion, SE ratio, odd image size, greyscale: exact, not nearly."""
    params, macs, _ = count(architecture, image_size, num_classes, in_channels)
    assert (params, macs) == built(architecture, image_size, num_classes, in_channels)


@settings(max_examples=15)
@given(architecture=..., image_size=st.integers(1, 40), in_channels=st.integers(1, 4))
@example(SE_IN_FUSED, 33, 1)
def test_fvcore_counts_the_same(architecture: Architecture, image_size, in_channels):
    """A second, independent count; it also sees activations, which torch's counter does not."""
    expected = count(architecture, image_size, 7, in_channels)
    network = build_network(architecture, 7, in_channels)
    name, *counts = layer_table(network, image_size, in_channels)[0]
    assert name == ""
    assert Cost(*counts) == expected


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnetv2_b0"])
def test_layer_table_names_every_part_and_adds_up(name):
    """The per-layer table a user reads: its parts are the network's, and sum to the closed form."""
    architecture = published(name)
    with torch.device("meta"):
        network = build_network(architecture)
    rows = {row.name: row for row in layer_table(network, 64)}
    total = count(architecture, 64)
    assert Cost(*rows[""][1:]) == total
    stages = [rows[f"blocks.{n}"] for n in range(len(architecture.stages))]
    parts = [rows["conv_stem"], rows["bn1"], *stages, rows["conv_head"], rows["bn2"], rows["classifier"]]
    assert Cost(*(sum(column) for column in zip(*(part[1:] for part in parts), strict=True))) == total
    assert rows["conv_stem"].macs == 3 * 9 * architecture.stem_channels * 32 * 32
    assert "blocks.0.0" not in rows
    assert network.training
    assert next(network.parameters()).is_meta


def test_a_network_by_hand():
    """One mbconv stage, worked out with a pencil: the closed form is not only consistent, it is right."""
    stage = Stage("mbconv", layers=1, kernel_size=3, expansion=2, channels=6, stride=2, se_ratio=0.5)
    architecture = Architecture(stem_channels=4, stages=(stage,), head_channels=10, stem_stride=1)
    params = (
        (27 * 4 + 8) + (4 * 8 + 16) + (9 * 8 + 16) + (8 * 2 + 2 + 2 * 8 + 8) + (8 * 6 + 12) + (6 * 10 + 20) + (50 + 5)
    )
    # 7 pixels square, 4 after the stride
    macs = 27 * 4 * 49 + 4 * 8 * 49 + 9 * 8 * 16 + 2 * 8 * 2 + 8 * 6 * 16 + 6 * 10 * 16 + 50
    activations = 4 * 49 + 8 * 49 + 8 * 16 + (2 + 8) + 6 * 16 + 10 * 16 + 5
    assert count(architecture, 7, num_classes=5) == (params, macs, activations)


def test_cost_grows_as_arithmetic_says():
    """Doubling an even image size quadruples the MACs of convolutions that see no border rounding, and no parameter."""
    architecture = Architecture(16, (Stage("fused_mbconv", 2, 3, 4, 16, 1),), 32, stem_stride=2)
    one, two = count(architecture, 32), count(architecture, 64)
    linear = 32 * 1000
    assert two.params == one.params
    assert two.macs - linear == 4 * (one.macs - linear)


@pytest.mark.parametrize(("channels", "ratio", "squeeze"), [(32, 0.25, 8), (10, 0.25, 2), (3, 0.25, 1), (3, 0.0, 0)])
def test_squeeze_channels(channels, ratio, squeeze):
    """A quarter of the block's input, rounded down, at least one; none at ratio 0. As in the official code."""
    assert squeeze_channels(channels, ratio) == squeeze


def test_squeeze_channels_follow_the_blocks_input_not_its_expansion():
    """Of B0's first expanding block: 96 expanded channels are squeezed to 16 / 4 = 4."""
    block = build_network(published("efficientnet_b0")).blocks[1][0]
    assert isinstance(block.se, SqueezeExcite)
    assert block.se.conv_reduce.weight.shape == (4, 96, 1, 1)


@pytest.mark.parametrize(("size", "stride", "expected"), [(224, 2, 112), (7, 2, 4), (1, 2, 1), (7, 1, 7)])
def test_output_size(size, stride, expected):
    """Odd kernels with symmetric padding round up."""
    assert output_size(size, stride) == expected


@settings(max_examples=50)
@given(space=..., image_size=st.integers(1, 600), num_classes=st.integers(1, 2000), in_channels=st.integers(1, 4))
def test_count_batch_is_count(space: SearchSpace, image_size, num_classes, in_channels):
    """A million candidates filtered at once are filtered by the same numbers as one: any field may be the decision."""
    codes = space.sample_encodings(20, np.random.default_rng(0))
    batch = count_batch(space, codes, image_size, num_classes, in_channels)
    single = [count(space.decode(code), image_size, num_classes, in_channels) for code in codes]
    assert [Cost(*map(int, row)) for row in zip(*batch, strict=True)] == single
    assert all(column.dtype == np.int64 for column in batch)


@pytest.mark.parametrize("space", [efficientnetv2(), efficientnetv2(se_ratio=[0, 0.25]), small()])
def test_count_batch_of_the_ready_made_spaces(space):
    """The same at real sizes, across more rows than one internal chunk."""
    codes = space.sample_encodings(9000, np.random.default_rng(1))
    batch = count_batch(space, codes, 224)
    for row in (0, 8191, 8192, 8999):
        assert tuple(int(column[row]) for column in batch) == count(space.decode(codes[row]), 224)


def test_count_batch_of_nothing():
    """An empty selection costs nothing and is no error."""
    assert [len(column) for column in count_batch(small(), np.zeros((0, len(small().decisions)), dtype=int), 32)] == [
        0
    ] * 3


@pytest.mark.parametrize("name", ["image_size", "num_classes", "in_channels"])
def test_sizes_below_one_are_refused(name):
    """A size of 0 would give a cost of 0, and the cheapest candidate of all."""
    sizes = {"image_size": 32, name: 0}
    with pytest.raises(ValueError, match=f"{name} must be >= 1, got 0"):
        count(published("efficientnet_b0"), **sizes)
    with pytest.raises(ValueError, match=f"{name} must be >= 1, got 0"):
        count_batch(small(), small().sample_encodings(1, np.random.default_rng(0)), **sizes)


def test_hints_cost_nothing():
    """Dropout and image size hints do not change what a network costs at a given size."""
    b0 = published("efficientnet_b0")
    assert count(dataclasses.replace(b0, dropout=0.5, image_size=64), 96) == count(b0, 96)
