"""Fused-MBConv: MBConv with expand and depthwise fused into one full convolution; expansion 1 is that one alone.

Squeeze-and-excitation stands where the official code has it: behind the expansion, or before the one convolution. The
input is added where the shape is kept.
Source: EfficientNetV2 (arXiv:2104.00298), figure 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from search_space.ops.op import Block, Int, Op, TimmBlock

if TYPE_CHECKING:
    from torch import nn


def module(b: Block, drop_path: float) -> nn.Module:
    """Build a block; its layers are named as in timm."""
    from search_space.ops.layers import ResidualChain, SqueezeExcite, conv_bn

    expanded = b.in_channels * b.expansion
    parts: dict[str, nn.Module] = {}
    if b.squeeze:
        parts["se"] = SqueezeExcite(expanded, b.squeeze)
    if b.expansion != 1:
        parts["conv_exp"], parts["bn1"] = conv_bn(b.in_channels, expanded, b.kernel_size, b.stride)
        parts["conv_pwl"], parts["bn2"] = conv_bn(expanded, b.channels, 1)
    else:
        parts["conv"], parts["bn1"] = conv_bn(b.in_channels, b.channels, b.kernel_size, b.stride)
    order = "conv_exp bn1 silu se conv_pwl bn2" if b.expansion != 1 else "se conv bn1 silu"
    return ResidualChain(parts, order, adds=b.stride == 1 and b.in_channels == b.channels, drop_path=drop_path)


def cost(b: Block) -> tuple[Int, Int, Int]:
    """Parameters, MACs and activations of a block."""
    expands = b.expansion != 1
    expanded = b.in_channels * b.expansion
    area = b.kernel_size * b.kernel_size * b.in_channels
    convs = expands * (area * expanded + expanded * b.channels) + (1 - expands) * area * b.channels
    se = 2 * expanded * b.squeeze
    params = convs + 2 * (expands * expanded + b.channels) + se + b.squeeze + expanded * (b.squeeze > 0)
    macs = convs * b.out_pixels + se
    activations = (expands * expanded + b.channels) * b.out_pixels + b.squeeze + expanded * (b.squeeze > 0)
    return params, macs, activations


def layers(b: Block) -> list[tuple[str, str]]:
    """Name a block's layers in the order they act."""
    se = [("se.conv_reduce", "se.conv_expand")] if b.squeeze else []
    if b.expansion != 1:
        return [("conv_exp", "bn1"), *se, ("conv_pwl", "bn2")]
    return [*se, ("conv", "bn1")]


FUSED_MBCONV = Op(
    module=module,
    cost=cost,
    google="c1",
    layers=layers,
    timm=TimmBlock("er"),
    timm_unexpanded=TimmBlock("cn", single=True),
    torchvision_squeeze=lambda in_channels: 0,
)
