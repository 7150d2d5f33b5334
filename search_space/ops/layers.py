"""The torch layers that ops share. Named as in timm, so that weights can be exchanged."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

BN_EPS = 1e-3  # of every published model; PyTorch's default is 1e-5


def conv_bn(
    in_channels: int, channels: int, kernel_size: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """A convolution without bias, (N, C, H, W) -> (N, channels, ceil(H / stride), ceil(W / stride)), and its norm."""
    conv = nn.Conv2d(in_channels, channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)
    return conv, nn.BatchNorm2d(channels, eps=BN_EPS)


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's `SAME`: as much in all as its windows need, the odd pixel below and right.

    (N, C, H, W) -> (N, channels, ceil(H / stride), ceil(W / stride)). With a stride of 2 and an odd kernel, that is one
    pixel less above and to the left than PyTorch's padding where a side is even, and the same where it is odd.
    Source: tensorflow.org/api_docs/python/tf/nn, "Notes on padding".
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, channels, ceil(H / stride), ceil(W / stride))."""
        return super().forward(_padded_in_traces(x, list(self.kernel_size), list(self.stride)))


def _padded(x: Tensor, kernel_size: list[int], stride: list[int]) -> Tensor:
    """Add rows and columns of zeros: (N, C, H, W) -> (N, C, H', W')."""
    height, width = x.shape[2], x.shape[3]
    rows = max((-(-height // stride[0]) - 1) * stride[0] + kernel_size[0] - height, 0)
    columns = max((-(-width // stride[1]) - 1) * stride[1] + kernel_size[1] - width, 0)
    return nn.functional.pad(x, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])


# Or a trace would hold for images of its own size alone.
_padded_in_traces = torch.jit.script_if_tracing(_padded)  # type: ignore[no-untyped-call]


def pad_same(network: nn.Module) -> None:
    """Let the strided convolutions of a network, those of ops from outside included, pad as TensorFlow does.

    Those that keep every pixel need nothing: with an odd kernel both ways are the same. Weights and their names stay.
    """
    for module in list(network.modules()):
        for name, conv in list(module.named_children()):
            if type(conv) is nn.Conv2d and max(conv.stride) > 1 and _is_symmetric(conv):
                setattr(module, name, _as_same(conv))


def _is_symmetric(conv: nn.Conv2d) -> bool:
    return max(conv.dilation) == 1 and conv.padding == tuple(size // 2 for size in conv.kernel_size)


def _as_same(conv: nn.Conv2d) -> SameConv2d:
    with torch.device("meta"):  # draws nothing
        same = SameConv2d(
            *(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride),  # type: ignore[arg-type]
            groups=conv.groups,
            bias=conv.bias is not None,
        )
    same.weight, same.bias = conv.weight, conv.bias
    return same


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
    """In training, zero whole samples with probability `rate` and scale the others up; source: arXiv:1603.09382.

    In a network the rate grows with `place`: the index of the block it is in, and the number of blocks there are.
    """

    place = (1, 1)

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def set_highest(self, rate: float) -> None:
        """Set the rate by what it would be behind the last block."""
        index, blocks = self.place
        self.rate = rate * index / blocks

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        return x * torch.empty((x.shape[0], 1, 1, 1), device=x.device, dtype=x.dtype).bernoulli_(keep).div_(keep)

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"rate={self.rate:g}"


class ResidualChain(nn.Module):
    """Layers one after the other, and the input added to what they put out: (N, C, H, W) -> (N, C', H', W').

    Args:
        parts: the layers by name, in the order in which their weights are drawn and listed.
        order: names in the order they act; `silu` is the activation, and a name that `parts` lacks is left out.
        adds: whether the input is added, behind drop path.
        drop_path: its rate.
    """

    def __init__(self, parts: Mapping[str, nn.Module], order: str, *, adds: bool, drop_path: float) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.silu = nn.SiLU()
        self.order = tuple(name for name in order.split() if name in self._modules)
        self.adds = adds
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        y = x
        for name in self.order:
            y = self._modules[name](y)  # type: ignore[misc]  # none is None
        return x + self.drop_path(y) if self.adds else y
