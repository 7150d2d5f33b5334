"""The ops as torch modules and the layers they share. Named as in timm, so that weights can be exchanged."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from search_space.cost import squeeze_channels

BN_EPS = 1e-3  # of every published model; PyTorch's default is 1e-5


def conv_bn(
    in_channels: int, channels: int, kernel_size: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """A convolution without bias, (N, C, H, W) -> (N, channels, ceil(H / stride), ceil(W / stride)), and its norm."""
    conv = nn.Conv2d(in_channels, channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)
    return conv, nn.BatchNorm2d(channels, eps=BN_EPS)


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from all channels' means. Shape kept: (N, C, H, W).

    Source: arXiv:1709.01507; squeeze channels follow the block's input, as in EfficientNet.
    """

    def __init__(self, channels: int, squeeze: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, squeeze, 1)
        self.conv_expand = nn.Conv2d(squeeze, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        gate = self.conv_expand(nn.functional.silu(self.conv_reduce(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(gate)


class DropPath(nn.Module):
    """In training, zero whole samples with probability `rate` and scale the others up; source: arXiv:1603.09382."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        return x * torch.empty((x.shape[0], 1, 1, 1), device=x.device, dtype=x.dtype).bernoulli_(keep).div_(keep)

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"rate={self.rate:g}"


class MBConv(nn.Module):
    """Inverted bottleneck: expand 1x1, depthwise, squeeze-and-excitation, project 1x1; expansion 1 does not expand.

    (N, in_channels, H, W) -> (N, channels, ceil(H / stride), ceil(W / stride)); residual where the shape is kept.
    Source: MobileNetV2 (arXiv:1801.04381), EfficientNet (arXiv:1905.11946).
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        kernel_size: int,
        stride: int,
        expansion: int,
        se_ratio: float,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        expanded = in_channels * expansion
        self.expands = expansion != 1
        if self.expands:
            self.conv_pw, self.bn1 = conv_bn(in_channels, expanded, 1)
        self.conv_dw, self.bn2 = conv_bn(expanded, expanded, kernel_size, stride, groups=expanded)
        squeeze = squeeze_channels(in_channels, se_ratio)
        self.se = SqueezeExcite(expanded, squeeze) if squeeze else nn.Identity()
        self.conv_pwl, self.bn3 = conv_bn(expanded, channels, 1)
        self.residual = stride == 1 and in_channels == channels
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, channels, H', W')."""
        silu = nn.functional.silu
        y = silu(self.bn1(self.conv_pw(x))) if self.expands else x
        y = self.se(silu(self.bn2(self.conv_dw(y))))
        y = self.bn3(self.conv_pwl(y))
        return x + self.drop_path(y) if self.residual else y  # type: ignore[no-any-return]


class FusedMBConv(nn.Module):
    """MBConv with expand and depthwise fused into one full convolution; expansion 1 is that convolution alone.

    Squeeze-and-excitation stands where the official code has it: behind the expansion, or before the one convolution.
    (N, in_channels, H, W) -> (N, channels, ceil(H / stride), ceil(W / stride)); residual where the shape is kept.
    Source: EfficientNetV2 (arXiv:2104.00298), figure 2.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        kernel_size: int,
        stride: int,
        expansion: int,
        se_ratio: float,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        expanded = in_channels * expansion
        self.expands = expansion != 1
        squeeze = squeeze_channels(in_channels, se_ratio)
        self.se = SqueezeExcite(expanded, squeeze) if squeeze else nn.Identity()
        if self.expands:
            self.conv_exp, self.bn1 = conv_bn(in_channels, expanded, kernel_size, stride)
            self.conv_pwl, self.bn2 = conv_bn(expanded, channels, 1)
        else:
            self.conv, self.bn1 = conv_bn(in_channels, channels, kernel_size, stride)
        self.residual = stride == 1 and in_channels == channels
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, channels, H', W')."""
        silu = nn.functional.silu
        if self.expands:
            y = self.se(silu(self.bn1(self.conv_exp(x))))
            y = self.bn2(self.conv_pwl(y))
        else:
            y = silu(self.bn1(self.conv(self.se(x))))
        return x + self.drop_path(y) if self.residual else y  # type: ignore[no-any-return]


OPS: dict[str, type[MBConv] | type[FusedMBConv]] = {"mbconv": MBConv, "fused_mbconv": FusedMBConv}
