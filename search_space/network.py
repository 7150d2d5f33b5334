"""Architecture -> torch network."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from search_space.architecture import Architecture, Stage
from search_space.blocks import OPS, DropPath, conv_bn


class Network(nn.Module):
    """Stem, stages, head, pooling, dropout, classifier. (N, in_channels, H, W) -> logits (N, num_classes).

    Submodules are named as in timm's EfficientNet: `blocks` is stages, each of them blocks.
    """

    def __init__(self, architecture: Architecture, num_classes: int, in_channels: int, drop_path: float) -> None:
        super().__init__()
        self.architecture = architecture
        self.conv_stem, self.bn1 = conv_bn(in_channels, architecture.stem_channels, 3, architecture.stem_stride)
        self.blocks = nn.Sequential(*_stages(architecture, drop_path))
        last_channels = architecture.stages[-1].channels
        self.conv_head, self.bn2 = conv_bn(last_channels, architecture.head_channels, 1)
        self.dropout = nn.Dropout(architecture.dropout)
        self.classifier = nn.Linear(architecture.head_channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, num_classes)."""
        silu = nn.functional.silu
        x = self.blocks(silu(self.bn1(self.conv_stem(x))))
        x = silu(self.bn2(self.conv_head(x)))
        return self.classifier(self.dropout(x.mean((2, 3))))  # type: ignore[no-any-return]


def build_network(
    architecture: Architecture, num_classes: int = 1000, in_channels: int = 3, *, drop_path: float = 0.2
) -> Network:
    """Build the network of an architecture, initialised for training.

    Args:
        num_classes: outputs of the classifier, >= 1.
        in_channels: channels of the images, >= 1.
        drop_path: rate of the last block; it grows linearly from 0 with the block's index. Dropout is the
            architecture's; `set_regularisation` changes both.
    Raises: ValueError if an argument is out of range.
    """
    if num_classes < 1 or in_channels < 1:
        raise ValueError(f"num_classes and in_channels must be >= 1, got {num_classes} and {in_channels}")
    if not 0 <= drop_path < 1:
        raise ValueError(f"drop_path must be in [0, 1), got {drop_path!r}")
    network = Network(architecture, num_classes, in_channels, drop_path)
    network.apply(_initialise)
    return network


def set_regularisation(network: nn.Module, *, dropout: float | None = None, drop_path: float | None = None) -> None:
    """Change the dropout rate and the last block's drop path rate of a built network; None leaves one as it is.

    Raises: ValueError if a rate is outside [0, 1).
    """
    for name, rate in (("dropout", dropout), ("drop_path", drop_path)):
        if rate is not None and not 0 <= rate < 1:
            raise ValueError(f"{name} must be in [0, 1), got {rate!r}")
    if dropout is not None:
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout
    if drop_path is not None:
        paths = [module for module in network.modules() if isinstance(module, DropPath)]
        for index, module in enumerate(paths):
            module.rate = drop_path * index / len(paths)


def _stages(architecture: Architecture, drop_path: float) -> list[nn.Sequential]:
    blocks = sum(stage.layers for stage in architecture.stages)
    stages, index, in_channels = [], 0, architecture.stem_channels
    for stage in architecture.stages:
        rates = [drop_path * (index + layer) / blocks for layer in range(stage.layers)]
        stages.append(_stage(stage, in_channels, rates))
        index, in_channels = index + stage.layers, stage.channels
    return stages


def _stage(stage: Stage, in_channels: int, rates: list[float]) -> nn.Sequential:
    blocks: list[nn.Module] = []
    for layer, rate in enumerate(rates):
        block = OPS[stage.op](
            in_channels if layer == 0 else stage.channels,
            stage.channels,
            kernel_size=stage.kernel_size,
            stride=stage.stride if layer == 0 else 1,
            expansion=stage.expansion,
            se_ratio=stage.se_ratio,
            drop_path=rate,
        )
        blocks.append(block)
    return nn.Sequential(*blocks)


def _initialise(module: nn.Module) -> None:
    """Convolutions as published (normal, variance 2 / fan-out); the classifier keeps PyTorch's default, with zero bias.

    The published classifier initialisation starts a ten-class problem at loss 3.1 instead of 2.3.
    """
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        with torch.no_grad():
            module.bias.zero_()
