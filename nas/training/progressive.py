"""Progressive learning: image size and regularisation that grow together. Pure functions; no torch, no network.

For a loop of one's own: `strengths = at(PRESETS["s"], progress)` with progress in [0, 1), whenever it changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from nas.data.settings import AugmentSettings
from nas.training.settings import ProgressiveSettings


@dataclass(frozen=True)
class Strengths:
    """What one stage trains with."""

    image_size: int  # pixels
    randaugment_magnitude: float
    mixup_alpha: float
    cutmix_alpha: float
    dropout: float
    drop_path: float
    batch_factor: float  # this stage's batch over the batch size of the training; the learning rate scales with it


# Where the two sources disagree:
# * the paper (table 6; four stages, section 5.1) raises dropout, and starts at 128 pixels;
# * the official code (google/automl, efficientnetv2: effnetv2_configs.py, main.py) keeps dropout constant (its ramp is
#   commented out), ends RandAugment lower, trains M and L at 384, uses CutMix with Mixup's alpha, and gives stage i of
#   M stages the size 128 + (end - 128) * (i + 1) / M: the first has 171 or 192 pixels, not 128.
# Both keep drop path at 0.2 throughout.
PRESETS: dict[str, ProgressiveSettings] = {
    "paper_s": ProgressiveSettings(4, (128, 300), (5, 15), (0, 0), (0, 0), (0.1, 0.3)),
    "paper_m": ProgressiveSettings(4, (128, 380), (5, 20), (0, 0.2), (0, 0), (0.1, 0.4)),
    "paper_l": ProgressiveSettings(4, (128, 380), (5, 25), (0, 0.5), (0, 0), (0.1, 0.5)),
    "official_s": ProgressiveSettings(4, (171, 300), (5, 10), (0, 0), (0, 0), (0.2, 0.2)),
    "official_m": ProgressiveSettings(4, (192, 384), (5, 15), (0, 0.2), (0, 0.2), (0.3, 0.3)),
    "official_l": ProgressiveSettings(4, (192, 384), (5, 20), (0, 0.5), (0, 0.5), (0.4, 0.4)),
}
PRESETS |= {size: PRESETS[f"paper_{size}"] for size in ("s", "m", "l")}


def at(settings: ProgressiveSettings, progress: float) -> Strengths:
    """Give what to train with at a point of the training.

    Args:
        progress: share of the training that is done, in [0, 1).
    Raises: ValueError for another progress.
    """
    if not 0 <= progress < 1:
        raise ValueError(f"progress must be in [0, 1), got {progress!r}")
    index = int(progress * settings.stages + 1e-9)  # 0.29 * 100 is 28.999999999999996
    return stage(settings, min(index, settings.stages - 1))


def stage(settings: ProgressiveSettings, index: int) -> Strengths:
    """Give what stage `index`, counted from 0, trains with: start + (end - start) * index / (stages - 1).

    Image sizes are cut to whole pixels, as the official code does. A single stage has the end's values.

    Raises: ValueError if there is no such stage.
    Source: EfficientNetV2, algorithm 1.
    """
    if not 0 <= index < settings.stages:
        raise ValueError(f"stage must be in 0..{settings.stages - 1}, got {index!r}")
    last = settings.stages - 1

    def between(ramp: tuple[float, float]) -> float:
        start, end = ramp
        return end if index == last else start + (end - start) * index / last

    image_size = int(between(settings.image_size))
    return Strengths(
        image_size=image_size,
        randaugment_magnitude=between(settings.randaugment_magnitude),
        mixup_alpha=between(settings.mixup_alpha),
        cutmix_alpha=between(settings.cutmix_alpha),
        dropout=between(settings.dropout),
        drop_path=between(settings.drop_path),
        batch_factor=max(1.0, min(settings.batch_growth, (settings.image_size[1] / image_size) ** 2)),
    )


def stages(settings: ProgressiveSettings, epochs: int) -> list[tuple[int, Strengths]]:
    """Give each stage's first epoch and what it trains with, for a training of `epochs` epochs; all are within epochs.

    Stages are equally long but for whole epochs; with fewer epochs than stages, some are left out.
    """
    by_epoch = [epoch * settings.stages // epochs for epoch in range(epochs)]
    firsts = [epoch for epoch in range(epochs) if epoch == 0 or by_epoch[epoch] != by_epoch[epoch - 1]]
    return [(epoch, stage(settings, by_epoch[epoch])) for epoch in firsts]


def stage_batch_size(batch_size: int, strengths: Strengths) -> int:
    """Give a stage's images per batch: `batch_size` times the stage's factor; a multiple of 8 where that is above 1."""
    if strengths.batch_factor == 1:
        return batch_size
    return max(batch_size, int(batch_size * strengths.batch_factor) // 8 * 8)


def augmented(augment: AugmentSettings, strengths: Strengths) -> AugmentSettings:
    """Give the augmentation of a stage: its RandAugment, Mixup and CutMix, the rest as it was."""
    return replace(
        augment,
        randaugment_magnitude=strengths.randaugment_magnitude,
        mixup_alpha=strengths.mixup_alpha,
        cutmix_alpha=strengths.cutmix_alpha,
    )
