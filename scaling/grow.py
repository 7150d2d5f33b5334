"""Apply a scaling rule: an architecture in, a larger or smaller one out."""

from __future__ import annotations

import math
from dataclasses import replace

from scaling.resize import resized
from scaling.rule import LATE_GROWTH, Growth, Rule
from search_space.architecture import Architecture
from search_space.families import round_channels, scaled

_HIGHEST_DROPOUT = 0.9


def scale(architecture: Architecture, size: str, rule: Rule = LATE_GROWTH) -> Architecture:
    """Give the architecture's family member of that size.

    Args:
        architecture: the winner of a search, or the base that the rule starts from.
        size: a name the rule knows: `s`, which is the winner itself in the default rule, `m`, `l` or `xl`.
    Raises: ValueError for an unknown size.
    Source: EfficientNetV2 (arXiv:2104.00298), section 3.4; `scaling/rule.py` says how the numbers were found.
    """
    return grow(architecture, rule.named(size), rule)


def grow(architecture: Architecture, growth: Growth, rule: Rule) -> Architecture:
    """Deepen and split the late stages, scale all of them, and set the hints for image size and dropout."""
    larger = scaled(
        _with_late_growth(architecture, growth),
        growth.width,
        growth.depth,
        floor_at_90_percent=rule.floor_at_90_percent,
        divisor=rule.divisor,
        head=rule.scales_head,
    )
    image_size, train_image_size = _image_sizes(architecture, growth.image_size, rule)
    dropout = round(min(max(0.0, architecture.dropout + growth.dropout), _HIGHEST_DROPOUT), 6)
    return replace(
        larger,
        stem_channels=larger.stages[0].channels if rule.stem_as_first_stage else larger.stem_channels,
        image_size=image_size,
        train_image_size=train_image_size,
        dropout=dropout if growth.dropout else architecture.dropout,
    )


def with_train_size(architecture: Architecture, rule: Rule) -> Architecture:
    """Give the architecture with the image size it trains at: its own, else what the rule makes of its image size."""
    if architecture.train_image_size is not None:
        return architecture
    return replace(architecture, train_image_size=_image_sizes(architecture, 1, rule)[1])


def at_dial(architecture: Architecture, dial: float, rule: Rule) -> Architecture:
    """Give any setting of the rule's dial: 0 is its first size, 1 its second; beyond the last, `Rule.beyond`.

    Between two sizes, layers, image sizes and dropout are interpolated linearly and channels geometrically, stage by
    stage. Layers come one after the other, to later stages first; a stage only of the larger size grows from none.
    Below 0 the first size shrinks, by `Rule.below`, down to a layer a stage and `Rule.divisor` channels.
    Raises: ValueError if the dial is not finite.
    """
    if not math.isfinite(dial):
        raise ValueError(f"dial must be finite, got {dial!r}")
    if dial < 0:
        return _shrunk(grow(architecture, rule.sizes[0], rule), rule.below(dial), rule)
    top = len(rule.sizes) - 1
    if dial > top:
        return grow(architecture, rule.beyond(dial), rule)
    low = grow(architecture, rule.sizes[int(dial)], rule)
    share = dial - int(dial)
    return _between(low, grow(architecture, rule.sizes[int(dial) + 1], rule), share, rule) if share else low


def _shrunk(first: Architecture, shrinkage: Growth, rule: Rule) -> Architecture:
    smaller = resized(first, shrinkage.depth, shrinkage.width, divisor=rule.divisor, head=rule.scales_head)

    def pixels(size: int | None) -> int | None:  # one that is no multiple must not grow by becoming one
        return size and min(size, _multiple(size * shrinkage.image_size, rule.image_size_divisor))

    return replace(
        smaller,
        stem_channels=smaller.stages[0].channels if rule.stem_as_first_stage else smaller.stem_channels,
        image_size=pixels(first.image_size),
        train_image_size=pixels(first.train_image_size),
    )


def _between(low: Architecture, high: Architecture, share: float, rule: Rule) -> Architecture:
    def channels(a: int, b: int) -> int:
        rounded = round_channels(a * (b / a) ** share, rule.divisor, floor_at_90_percent=rule.floor_at_90_percent)
        return min(max(rounded, min(a, b)), max(a, b))

    def pixels(a: int | None, b: int | None) -> int | None:
        return None if a is None or b is None else _multiple(a + (b - a) * share, rule.image_size_divisor)

    if len(low.stages) > len(high.stages):
        return _between(high, low, 1 - share, rule)
    narrower = low.stages[-1].channels / high.stages[len(low.stages) - 1].channels
    begun = [(stage.layers, stage.channels) for stage in low.stages]
    begun += [(0, round(stage.channels * narrower)) for stage in high.stages[len(low.stages) :]]
    stages = []
    for number, ((layers, width), stage) in enumerate(zip(begun, high.stages, strict=True)):
        turn = (number + 0.5) / len(high.stages)  # of this stage, among those that gain a layer at the same dial
        if layers := math.floor(layers + (stage.layers - layers) * share + turn):
            stages.append(replace(stage, layers=layers, channels=channels(width, stage.channels)))
    return replace(
        high,
        stem_channels=channels(low.stem_channels, high.stem_channels),
        stages=tuple(stages),
        head_channels=channels(low.head_channels, high.head_channels),
        image_size=pixels(low.image_size, high.image_size),
        train_image_size=pixels(low.train_image_size, high.train_image_size),
        dropout=round(low.dropout + (high.dropout - low.dropout) * share, 2),
    )


def _with_late_growth(architecture: Architecture, growth: Growth) -> Architecture:
    stages = list(architecture.stages)
    for index in range(max(0, len(stages) - 2), len(stages)):
        layers = math.floor(stages[index].layers * growth.late_depth + 1e-9)
        stages[index] = replace(stages[index], layers=max(1, layers))
    last = stages[-1]
    split = min(math.floor(last.layers * growth.split + 0.5), last.layers - 1)
    if split:
        stages[-1] = replace(last, layers=last.layers - split)
        stages.append(replace(last, layers=split, stride=1, channels=round(last.channels * growth.split_width)))
    return replace(architecture, stages=tuple(stages))


def _image_sizes(architecture: Architecture, factor: float, rule: Rule) -> tuple[int | None, int | None]:
    """Image size and training image size, pixels. A size that does not change keeps the training size it came with."""
    given, train = architecture.image_size, architecture.train_image_size
    if given is None:
        return None, train
    wished = given if factor == 1 else _multiple(given * factor, rule.image_size_divisor)
    image_size = min(rule.image_size_cap, wished)
    if image_size != given or train is None:
        train = _multiple(image_size * rule.train_share, rule.image_size_divisor)
    return image_size, train


def _multiple(pixels: float, divisor: int) -> int:
    return max(divisor, math.floor(pixels / divisor + 0.5) * divisor)
