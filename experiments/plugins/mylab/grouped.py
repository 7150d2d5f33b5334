"""An op: a bottleneck with a grouped convolution in the middle, as in ResNeXt (arXiv:1611.05431) and RegNet.

Expand 1x1, grouped convolution, project 1x1; the input is added where the shape is kept. Between `mbconv` (groups of
one channel) and a full convolution lies the width of a group, its own hyperparameter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from search_space.ops import Block, Op, Option
from search_space.ops.op import Int

if TYPE_CHECKING:
    from torch import nn


def module(b: Block, drop_path: float) -> nn.Module:
    """Build a block, (N, in_channels, H, W) -> (N, channels, ceil(H / stride), ceil(W / stride))."""
    from search_space.ops.layers import ResidualChain, conv_bn

    expanded = b.in_channels * b.expansion
    width = b.options["group_width"]
    if expanded % width:
        raise ValueError(f"op grouped: group_width {width} does not divide {expanded} expanded channels")
    parts: dict[str, nn.Module] = {}
    parts["conv_pw"], parts["bn1"] = conv_bn(b.in_channels, expanded, 1)
    parts["conv_group"], parts["bn2"] = conv_bn(expanded, expanded, b.kernel_size, b.stride, groups=expanded // width)
    parts["conv_pwl"], parts["bn3"] = conv_bn(expanded, b.channels, 1)
    adds = b.stride == 1 and b.in_channels == b.channels
    order = "conv_pw bn1 silu conv_group bn2 silu conv_pwl bn3"
    return ResidualChain(parts, order, adds=adds, drop_path=drop_path)


def cost(b: Block) -> tuple[Int, Int, Int]:
    """Parameters, MACs and activations of a block; for ints and arrays alike."""
    expanded = b.in_channels * b.expansion
    expand = b.in_channels * expanded
    grouped = b.kernel_size * b.kernel_size * expanded * b.options["group_width"]
    project = expanded * b.channels
    params = expand + grouped + project + 2 * (2 * expanded + b.channels)
    macs = expand * b.in_pixels + (grouped + project) * b.out_pixels
    return params, macs, expanded * b.in_pixels + (expanded + b.channels) * b.out_pixels


GROUPED = Op(
    module=module,
    cost=cost,
    options={"group_width": Option(8, least=1, most=256)},
    ignores=("se_ratio",),
)
