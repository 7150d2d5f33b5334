"""MBConv, the inverted bottleneck: expand 1x1, depthwise, squeeze-and-excitation, project 1x1.

Expansion 1 does not expand; the input is added where the shape is kept.
Source: MobileNetV2 (arXiv:1801.04381), EfficientNet (arXiv:1905.11946).
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
    if b.expansion != 1:
        parts["conv_pw"], parts["bn1"] = conv_bn(b.in_channels, expanded, 1)
    parts["conv_dw"], parts["bn2"] = conv_bn(expanded, expanded, b.kernel_size, b.stride, groups=expanded)
    if b.squeeze:
        parts["se"] = SqueezeExcite(expanded, b.squeeze)
    parts["conv_pwl"], parts["bn3"] = conv_bn(expanded, b.channels, 1)
    order = (
        "conv_pw bn1 silu conv_dw bn2 silu se conv_pwl bn3" if b.expansion != 1 else "conv_dw bn2 silu se conv_pwl bn3"
    )
    return ResidualChain(parts, order, adds=b.stride == 1 and b.in_channels == b.channels, drop_path=drop_path)


def cost(b: Block) -> tuple[Int, Int, Int]:
    """Parameters, MACs and activations of a block."""
    expands = b.expansion != 1
    expanded = b.in_channels * b.expansion
    expand = expands * b.in_channels * expanded
    depthwise = b.kernel_size * b.kernel_size * expanded
    project = expanded * b.channels
    se = 2 * expanded * b.squeeze
    params = expand + depthwise + project + 2 * (expands * expanded + expanded + b.channels)
    params = params + se + b.squeeze + expanded * (b.squeeze > 0)
    macs = expand * b.in_pixels + (depthwise + project) * b.out_pixels + se
    activations = expands * expanded * b.in_pixels + (expanded + b.channels) * b.out_pixels
    return params, macs, activations + b.squeeze + expanded * (b.squeeze > 0)


def layers(b: Block) -> list[tuple[str, str]]:
    """Name a block's layers in the order they act."""
    expand = [("conv_pw", "bn1")] if b.expansion != 1 else []
    se = [("se.conv_reduce", "se.conv_expand")] if b.squeeze else []
    return [*expand, ("conv_dw", "bn2"), *se, ("conv_pwl", "bn3")]


MBCONV = Op(
    module=module,
    cost=cost,
    google="c0",
    layers=layers,
    timm=TimmBlock("ir"),
    # timm's depthwise-separable block has names of its own
    timm_unexpanded=TimmBlock("ds", {"bn2": "bn1", "conv_pwl": "conv_pw", "bn3": "bn2"}),
    torchvision_squeeze=lambda in_channels: max(1, in_channels // 4),
)
