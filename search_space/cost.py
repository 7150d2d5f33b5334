"""Parameters, MACs and activations in closed form, from the records alone: for one architecture, or a million.

Counted as the field does: MACs are the multiply-accumulates of convolutions and linear layers (half of torch's
`FlopCounterMode`); activations are the elements that convolutions and linear layers put out; parameters include batch
norm's scale and shift. All are for one image. The formulas of OP_COSTS are plain arithmetic that takes Python
integers and numpy arrays alike, so one architecture and a batch of encodings share them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_space.architecture import Architecture, Stage

if TYPE_CHECKING:
    from search_space.space import SearchSpace

Int = Any  # an int, or an int64 array


class Cost(NamedTuple):
    """What one network costs for one image: counts, no units."""

    params: int
    macs: int
    activations: int


class CostArrays(NamedTuple):
    """What many networks cost for one image: int64 arrays of one length."""

    params: NDArray[np.int64]
    macs: NDArray[np.int64]
    activations: NDArray[np.int64]


class Block(NamedTuple):
    """One block's arguments: ints or arrays. `squeeze` 0: no squeeze-and-excitation; pixels are height * width."""

    in_channels: Int
    channels: Int
    kernel_size: Int
    expansion: Int
    squeeze: Int
    in_pixels: Int
    out_pixels: Int


def _mbconv(b: Block) -> tuple[Int, Int, Int]:
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


def _fused_mbconv(b: Block) -> tuple[Int, Int, Int]:
    expands = b.expansion != 1
    expanded = b.in_channels * b.expansion
    area = b.kernel_size * b.kernel_size * b.in_channels
    convs = expands * (area * expanded + expanded * b.channels) + (1 - expands) * area * b.channels
    se = 2 * expanded * b.squeeze
    params = convs + 2 * (expands * expanded + b.channels) + se + b.squeeze + expanded * (b.squeeze > 0)
    macs = convs * b.out_pixels + se
    activations = (expands * expanded + b.channels) * b.out_pixels + b.squeeze + expanded * (b.squeeze > 0)
    return params, macs, activations


# One op, one formula; the keys are those of OPS.
OP_COSTS: dict[str, Callable[[Block], tuple[Int, Int, Int]]] = {"mbconv": _mbconv, "fused_mbconv": _fused_mbconv}


def squeeze_channels(in_channels: int, se_ratio: float) -> int:
    """Channels between the two convolutions of squeeze-and-excitation, 0 without. Source: google/automl."""
    return max(1, int(in_channels * se_ratio)) if se_ratio else 0


def output_size(image_size: Int, stride: Int) -> Int:
    """Height or width after a convolution with an odd kernel, symmetric padding and this stride."""
    return (image_size + stride - 1) // stride


@lru_cache(maxsize=65536)
def stage_cost(stage: Stage, in_channels: int, image_size: int) -> Cost:
    """Cost of one stage that gets `in_channels` channels of `image_size` pixels square."""
    out_pixels = output_size(image_size, stage.stride) ** 2
    shape = (stage.kernel_size, stage.expansion)
    formula = OP_COSTS[stage.op]
    squeeze = squeeze_channels(in_channels, stage.se_ratio)
    first = formula(Block(in_channels, stage.channels, *shape, squeeze, image_size**2, out_pixels))
    squeeze = squeeze_channels(stage.channels, stage.se_ratio)
    rest = formula(Block(stage.channels, stage.channels, *shape, squeeze, out_pixels, out_pixels))
    return Cost(*(int(a + (stage.layers - 1) * b) for a, b in zip(first, rest, strict=True)))


def stem_cost(channels: Int, pixels: Int, in_channels: int) -> tuple[Int, Int, Int]:
    """Cost of the 3x3 stem convolution that puts out `channels` channels of `pixels` pixels (height * width)."""
    weights = 9 * in_channels * channels
    return weights + 2 * channels, weights * pixels, channels * pixels


def head_cost(in_channels: Int, channels: Int, pixels: Int, num_classes: int) -> tuple[Int, Int, Int]:
    """Cost of the 1x1 head convolution on `pixels` pixels and of the classifier behind the pooling."""
    conv, linear = in_channels * channels, channels * num_classes
    return conv + 2 * channels + linear + num_classes, conv * pixels + linear, channels * pixels + num_classes


def stage_inputs(architecture: Architecture, image_size: int) -> Iterator[tuple[Stage, int, int]]:
    """Every stage with its input's channels and its input's height (= width) in pixels."""
    channels, size = architecture.stem_channels, output_size(image_size, architecture.stem_stride)
    for stage in architecture.stages:
        yield stage, channels, size
        channels, size = stage.channels, output_size(size, stage.stride)


def count(architecture: Architecture, image_size: int, num_classes: int = 1000, in_channels: int = 3) -> Cost:
    """Count parameters, MACs and activations of the network that `build_network` would build.

    Args:
        image_size: height and width of the image, pixels, >= 1.
        num_classes: outputs of the classifier.
        in_channels: channels of the image: 3 for RGB, 1 for greyscale.
    Returns: Cost for one image; exact.
    Raises: ValueError if an argument is below 1.
    """
    _check(image_size=image_size, num_classes=num_classes, in_channels=in_channels)
    stem_pixels = output_size(image_size, architecture.stem_stride) ** 2
    parts = [stem_cost(architecture.stem_channels, stem_pixels, in_channels)]
    for stage, channels, size in stage_inputs(architecture, image_size):
        parts.append(stage_cost(stage, channels, size))
        last_channels, last_pixels = stage.channels, output_size(size, stage.stride) ** 2
    parts.append(head_cost(last_channels, architecture.head_channels, last_pixels, num_classes))
    return Cost(*(sum(column) for column in zip(*parts, strict=True)))


def count_batch(
    space: SearchSpace,
    encodings: NDArray[np.integer[Any]],
    image_size: int,
    num_classes: int = 1000,
    in_channels: int = 3,
) -> CostArrays:
    """Count many architectures of a space at once, without building a record of any.

    Args:
        encodings: (N, len(space.decisions)) integers as `space.encode` gives.
    Returns: CostArrays of length N, equal to `count` of each decoded architecture.
    Raises: ValueError if an argument is below 1 or `encodings` has another width or a value outside its choices.
    """
    _check(image_size=image_size, num_classes=num_classes, in_channels=in_channels)
    encodings = space.check_encodings(encodings)
    totals = np.zeros((3, len(encodings)), dtype=np.int64)
    for start in range(0, len(encodings), _CHUNK):
        rows = slice(start, start + _CHUNK)
        counts = _count_chunk(space, encodings[rows], image_size, num_classes, in_channels)
        for total, column in zip(totals, counts, strict=True):
            total[rows] = column  # a plain number where the space has no decision
    return CostArrays(*totals)


_CHUNK = 8192  # rows whose temporaries stay in the second-level cache


def _count_chunk(
    space: SearchSpace, encodings: NDArray[np.integer[Any]], image_size: int, num_classes: int, in_channels: int
) -> tuple[Int, Int, Int]:
    columns = space.columns(encodings)
    channels: Int = space.stem_channels
    size: Int = output_size(image_size, space.stem_stride)
    total = stem_cost(channels, size * size, in_channels)
    for column in columns:
        out_size = output_size(size, column["stride"])
        cost = _stage_chunk(column, channels, size * size, out_size * out_size)
        total = tuple(a + b for a, b in zip(total, cost, strict=True))
        channels, size = column["channels"], out_size
    head = head_cost(channels, space.head_channels, size * size, num_classes)
    return tuple(a + b for a, b in zip(total, head, strict=True))


def _stage_chunk(column: dict[str, Int], in_channels: Int, in_pixels: Int, out_pixels: Int) -> tuple[Int, Int, Int]:
    channels, shape = column["channels"], (column["kernel_size"], column["expansion"])
    first = Block(in_channels, channels, *shape, _squeeze(in_channels, column["se_ratio"]), in_pixels, out_pixels)
    rest = Block(channels, channels, *shape, _squeeze(channels, column["se_ratio"]), out_pixels, out_pixels)
    by_op = []
    for op in column["ops"]:
        formula = OP_COSTS[op]
        layers = column["layers"] - 1
        by_op.append(tuple(a + layers * b for a, b in zip(formula(first), formula(rest), strict=True)))
    if len(by_op) == 1:
        return by_op[0]
    return tuple(np.choose(column["op"], choices) for choices in zip(*by_op, strict=True))


def _squeeze(in_channels: Int, se_ratio: Any) -> Int:
    squeeze = np.maximum(
        1,
        (in_channels * se_ratio).astype(np.int64)
        if np.ndim(se_ratio) or np.ndim(in_channels)
        else int(in_channels * se_ratio),
    )
    return squeeze * (se_ratio > 0)


def _check(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name} must be >= 1, got {value!r}")
