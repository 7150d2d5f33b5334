"""Architecture -> torch network."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

from torch import Tensor, nn

from search_space.architecture import Architecture, Stage
from search_space.cost import stage_blocks
from search_space.ops import find_op
from search_space.ops.layers import DropPath, conv_bn, pad_same

Padding = Literal["symmetric", "same"]
PADDINGS: tuple[Padding, ...] = get_args(Padding)


class Network(nn.Module):
    """Stem, stages, head, pooling, dropout, classifier. (N, in_channels, H, W) -> logits (N, num_classes).

    Submodules are named as in timm's EfficientNet: `blocks` is stages, each of them blocks.
    """

    padding: Padding = "symmetric"

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

    def features(self, x: Tensor) -> list[Tensor]:
        """Give the output of every stage, in order, as timm's `features_only` networks do; the head takes the last.

        Args:
            x: (N, in_channels, H, W).
        Returns: for each stage (N, channels, H', W'), where H and W are halved, rounded up, by each stride of 2 in the
            stem and in the stages up to it; `feature_info` says how often.
        """
        x, outputs = nn.functional.silu(self.bn1(self.conv_stem(x))), []
        for stage in self.blocks:
            x = stage(x)
            outputs.append(x)
        return outputs

    @property
    def feature_info(self) -> list[dict[str, Any]]:
        """Of each of the features: `num_chs`, `reduction` (pixels of the image to a pixel) and `module`, as in timm."""
        reduction, rows = self.architecture.stem_stride, []
        for number, stage in enumerate(self.architecture.stages):
            reduction *= stage.stride
            rows.append({"num_chs": stage.channels, "reduction": reduction, "module": f"blocks.{number}"})
        return rows


def build_network(
    architecture: Architecture,
    num_classes: int = 1000,
    in_channels: int = 3,
    *,
    drop_path: float = 0.2,
    padding: Padding = "symmetric",
) -> Network:
    """Build the network of an architecture, initialised for training.

    Args:
        num_classes: outputs of the classifier, >= 1.
        in_channels: channels of the images, >= 1.
        drop_path: rate of the last block; it grows linearly from 0 with the block's index. Dropout is the
            architecture's; `set_regularisation` changes both.
        padding: of strided convolutions: symmetric, as PyTorch's, or same, as TensorFlow's: one pixel less above
            and to the left where a side is even. Shapes, costs and names are equal; weights are for one of them alone.
    Raises: ValueError if an argument is out of range.
    """
    if num_classes < 1 or in_channels < 1:
        raise ValueError(f"num_classes and in_channels must be >= 1, got {num_classes} and {in_channels}")
    if not 0 <= drop_path < 1:
        raise ValueError(f"drop_path must be in [0, 1), got {drop_path!r}")
    if padding not in PADDINGS:
        raise ValueError(f"padding must be {' or '.join(PADDINGS)}, got {padding!r}")
    network = Network(architecture, num_classes, in_channels, drop_path)
    if padding == "same":
        pad_same(network)
        network.padding = padding
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
        for module in network.modules():
            if isinstance(module, DropPath):
                module.set_highest(drop_path)


def _stages(architecture: Architecture, drop_path: float) -> list[nn.Sequential]:
    count = sum(stage.layers for stage in architecture.stages)
    stages, index, in_channels = [], 0, architecture.stem_channels
    for stage in architecture.stages:
        places = [(index + layer, count) for layer in range(stage.layers)]
        stages.append(_stage(stage, in_channels, places, drop_path))
        index, in_channels = index + stage.layers, stage.channels
    return stages


def _stage(stage: Stage, in_channels: int, places: list[tuple[int, int]], drop_path: float) -> nn.Sequential:
    op, (first, rest) = find_op(stage.op), stage_blocks(stage, in_channels)
    blocks = []
    for layer, (index, count) in enumerate(places):
        block = op.module(rest if layer else first, drop_path * index / count)
        for module in block.modules():
            if isinstance(module, DropPath):
                module.place = (index, count)
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
    elif isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
