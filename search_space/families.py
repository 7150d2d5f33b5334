"""Published architectures: EfficientNet B0-B7, EfficientNetV2 B0-B3, S, M, L and XL."""

from __future__ import annotations

import math
from dataclasses import replace

from search_space.architecture import Architecture
from search_space.block_strings import from_block_strings

# Stages as google/automl publishes them (efficientnet_builder.py, effnetv2_configs.py).
_V1 = """r1_k3_s1_e1_i32_o16_se0.25 r2_k3_s2_e6_i16_o24_se0.25 r2_k5_s2_e6_i24_o40_se0.25 r3_k3_s2_e6_i40_o80_se0.25
 r3_k5_s1_e6_i80_o112_se0.25 r4_k5_s2_e6_i112_o192_se0.25 r1_k3_s1_e6_i192_o320_se0.25"""
_V2_BASE = """r1_k3_s1_e1_i32_o16_c1 r2_k3_s2_e4_i16_o32_c1 r2_k3_s2_e4_i32_o48_c1 r3_k3_s2_e4_i48_o96_se0.25
 r5_k3_s1_e6_i96_o112_se0.25 r8_k3_s2_e6_i112_o192_se0.25"""
_V2_S = """r2_k3_s1_e1_i24_o24_c1 r4_k3_s2_e4_i24_o48_c1 r4_k3_s2_e4_i48_o64_c1 r6_k3_s2_e4_i64_o128_se0.25
 r9_k3_s1_e6_i128_o160_se0.25 r15_k3_s2_e6_i160_o256_se0.25"""
_V2_M = """r3_k3_s1_e1_i24_o24_c1 r5_k3_s2_e4_i24_o48_c1 r5_k3_s2_e4_i48_o80_c1 r7_k3_s2_e4_i80_o160_se0.25
 r14_k3_s1_e6_i160_o176_se0.25 r18_k3_s2_e6_i176_o304_se0.25 r5_k3_s1_e6_i304_o512_se0.25"""
_V2_L = """r4_k3_s1_e1_i32_o32_c1 r7_k3_s2_e4_i32_o64_c1 r7_k3_s2_e4_i64_o96_c1 r10_k3_s2_e4_i96_o192_se0.25
 r19_k3_s1_e6_i192_o224_se0.25 r25_k3_s2_e6_i224_o384_se0.25 r7_k3_s1_e6_i384_o640_se0.25"""
_V2_XL = """r4_k3_s1_e1_i32_o32_c1 r8_k3_s2_e4_i32_o64_c1 r8_k3_s2_e4_i64_o96_c1 r16_k3_s2_e4_i96_o192_se0.25
 r24_k3_s1_e6_i192_o256_se0.25 r32_k3_s2_e6_i256_o512_se0.25 r8_k3_s1_e6_i512_o640_se0.25"""

# name -> (width, depth, image size, dropout)
_V1_SCALES = {
    "b0": (1.0, 1.0, 224, 0.2),
    "b1": (1.0, 1.1, 240, 0.2),
    "b2": (1.1, 1.2, 260, 0.3),
    "b3": (1.2, 1.4, 300, 0.3),
    "b4": (1.4, 1.8, 380, 0.4),
    "b5": (1.6, 2.2, 456, 0.4),
    "b6": (1.8, 2.6, 528, 0.5),
    "b7": (2.0, 3.1, 600, 0.5),
}
# name -> (width, depth, training image size, image size, dropout)
_V2_SCALES = {
    "b0": (1.0, 1.0, 192, 224, 0.2),
    "b1": (1.0, 1.1, 192, 240, 0.2),
    "b2": (1.1, 1.2, 208, 260, 0.3),
    "b3": (1.2, 1.4, 240, 300, 0.3),
}
# name -> (stages, training image size, image size, dropout)
_V2_PUBLISHED = {
    "s": (_V2_S, 300, 384, 0.2),
    "m": (_V2_M, 384, 480, 0.3),
    "l": (_V2_L, 384, 480, 0.4),
    "xl": (_V2_XL, 384, 512, 0.4),
}

PUBLISHED = (
    *(f"efficientnet_{name}" for name in _V1_SCALES),
    *(f"efficientnetv2_{name}" for name in (*_V2_SCALES, *_V2_PUBLISHED)),
)


def published(name: str) -> Architecture:
    """Give a published architecture with its image sizes and dropout rate.

    Args:
        name: such as `efficientnet_b4` or `efficientnetv2_s`; PUBLISHED lists all.
    Raises: ValueError for any other name.
    Source: EfficientNet (arXiv:1905.11946), EfficientNetV2 (arXiv:2104.00298, table 4), google/automl.
    """
    if name not in PUBLISHED:
        raise ValueError(f"unknown architecture {name!r}; known: {', '.join(PUBLISHED)}")
    family, size = name.split("_")
    if family == "efficientnet":
        width, depth, image_size, dropout = _V1_SCALES[size]
        base = from_block_strings(_V1.split(), image_size=image_size, dropout=dropout)
        return scaled(base, width, depth, floor_at_90_percent=True)
    if size in _V2_SCALES:
        width, depth, train_image_size, image_size, dropout = _V2_SCALES[size]
        base = from_block_strings(
            _V2_BASE.split(), image_size=image_size, train_image_size=train_image_size, dropout=dropout
        )
        return scaled(base, width, depth, floor_at_90_percent=False)
    stages, train_image_size, image_size, dropout = _V2_PUBLISHED[size]
    return from_block_strings(stages.split(), image_size=image_size, train_image_size=train_image_size, dropout=dropout)


def round_channels(channels: float, divisor: int = 8, *, floor_at_90_percent: bool) -> int:
    """Round to the nearest multiple of `divisor`, never below one.

    Args:
        floor_at_90_percent: add a multiple where rounding would lose more than a tenth. EfficientNet does, V2 does not.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    if floor_at_90_percent and rounded < 0.9 * channels:
        rounded += divisor
    return rounded


def scaled(
    base: Architecture, width: float, depth: float, *, floor_at_90_percent: bool, divisor: int = 8, head: bool = True
) -> Architecture:
    """Multiply the channels of stem, stages and head by `width` and the layers of every stage by `depth`.

    Args:
        width: channels are rounded as by `round_channels`, but below 1 never up; 1 leaves them as they are.
        depth: layers are rounded up.
        head: whether the head's channels are scaled too.
    Source: EfficientNet (arXiv:1905.11946) and its code.
    """

    def channels(value: int) -> int:
        rounded = round_channels(value * width, divisor, floor_at_90_percent=floor_at_90_percent)
        return value if width == 1 or (width < 1 and rounded > value) else rounded

    def layers(value: int) -> int:
        return math.ceil(round(value * depth, 9))  # 5 * 2.2 is 11, not 11.000000000000002

    return replace(
        base,
        stem_channels=channels(base.stem_channels),
        stages=tuple(replace(s, layers=layers(s.layers), channels=channels(s.channels)) for s in base.stages),
        head_channels=channels(base.head_channels) if head else base.head_channels,
    )
