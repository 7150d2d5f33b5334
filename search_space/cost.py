"""Parameters, MACs and activations in closed form, from the records alone: for one architecture, or a million.

Counted as the field does: MACs are the multiply-accumulates of convolutions and linear layers (half of torch's
`FlopCounterMode`); activations are the elements that convolutions and linear layers put out; parameters include batch
norm's scale and shift. All are for one image. The ops' formulas are plain arithmetic that takes Python integers and
numpy arrays alike, so one architecture and a batch of encodings share them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from search_space.architecture import Architecture, Stage
from search_space.ops import Block, Op, find_op
from search_space.ops.op import Int


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


class Encoded(Protocol):
    """What `count_batch` asks of a search space."""

    @property
    def stem_channels(self) -> int:
        """Output channels of the stem."""

    @property
    def stem_stride(self) -> int:
        """Stride of the stem."""

    @property
    def head_channels(self) -> int:
        """Output channels of the head."""

    def check_encodings(self, encodings: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        """Raise a ValueError for what is no encoding."""

    def columns(self, encodings: NDArray[np.integer[Any]]) -> list[dict[str, Any]]:
        """Every stage's fields and options, for all rows."""


def squeeze_channels(in_channels: int, se_ratio: float) -> int:
    """Channels between the two convolutions of squeeze-and-excitation, 0 without. Source: google/automl."""
    return max(1, int(in_channels * se_ratio)) if se_ratio else 0


def output_size(image_size: Int, stride: Int) -> Int:
    """Height or width after a convolution with an odd kernel, symmetric padding and this stride."""
    return (image_size + stride - 1) // stride


def stage_blocks(stage: Stage, in_channels: int, image_size: int = 1) -> tuple[Block, Block]:
    """Arguments of a stage's first block and of the others; it gets `in_channels` channels of `image_size` pixels."""
    k, e, out = stage.kernel_size, stage.expansion, output_size(image_size, stage.stride) ** 2
    squeeze = squeeze_channels(in_channels, stage.se_ratio)
    first = Block(in_channels, stage.channels, k, e, squeeze, image_size**2, out, stage.stride, stage.options)
    squeeze = squeeze_channels(stage.channels, stage.se_ratio)
    return first, Block(stage.channels, stage.channels, k, e, squeeze, out, out, 1, stage.options)


def stage_cost(stage: Stage, in_channels: int, image_size: int) -> Cost:
    """Cost of one stage that gets `in_channels` channels of `image_size` pixels square."""
    return _stage_cost(find_op(stage.op), stage, in_channels, image_size)


@lru_cache(maxsize=65536)
def _stage_cost(op: Op, stage: Stage, in_channels: int, image_size: int) -> Cost:
    first, rest = (op.counted(stage.op, block) for block in stage_blocks(stage, in_channels, image_size))
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
    space: Encoded,
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
    space: Encoded, encodings: NDArray[np.integer[Any]], image_size: int, num_classes: int, in_channels: int
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
    first = Block(
        in_channels,
        channels,
        *shape,
        _squeeze(in_channels, column["se_ratio"]),
        in_pixels,
        out_pixels,
        column["stride"],
    )
    rest = Block(channels, channels, *shape, _squeeze(channels, column["se_ratio"]), out_pixels, out_pixels)
    by_op = []
    for name in column["ops"]:
        op, layers = find_op(name), column["layers"] - 1
        options = {option: column.get(option, known.default) for option, known in op.options.items()}
        blocks = (block._replace(options=options) if options else block for block in (first, rest))
        costs = zip(*(op.counted(name, block) for block in blocks), strict=True)
        by_op.append(tuple(_whole(a + layers * b) for a, b in costs))
    if len(by_op) == 1:
        return by_op[0]
    return tuple(np.choose(column["op"], choices) for choices in zip(*by_op, strict=True))


def _whole(count: Any) -> Int:
    """Cut a count to whole numbers, as `stage_cost` does: an op's option may be a fraction."""
    if isinstance(count, float):
        return int(count)
    return count.astype(np.int64) if isinstance(count, np.ndarray) and count.dtype.kind == "f" else count


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
