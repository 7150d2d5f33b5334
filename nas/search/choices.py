"""What a first search on a data set should be told, on a machine: numbers that follow from both, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from nas.data.description import DataDescription
from nas.search.findings import GAP, minival_for

TRIALS = 100
FEWEST_TRIALS = 32
HOURS = 12.0  # a night: where a search would take longer, it has fewer trials, then fewer images
MINIVAL_SHARE = 0.25  # at most so much of the images is held out
STEPS, EPOCHS, MOST_EPOCHS = 200, 10, 30  # the paper's epochs, or as many as make so many steps
SMALL_SIZE = 64  # pixels: up to here the small space is meant
LARGE_FROM = 1.5  # times the image size: images from here on are cropped from, not shrunk
PER_CLASS = 20  # images at least, where some are left out


@dataclass(frozen=True)
class Machine:
    """What there is to search on."""

    cpus: int
    gpus: int

    @property
    def text(self) -> str:
        """In words."""
        gpus = "no GPU" if not self.gpus else f"{self.gpus} GPU" + "s" * (self.gpus > 1)
        return f"{self.cpus} CPU{'s' * (self.cpus > 1)}, {gpus}"


@dataclass(frozen=True)
class Choices:
    """What a search is told."""

    image_size: int  # pixels
    is_small: bool  # whether the small space is meant, not that of the paper
    stem_stride: int  # of the small space
    minival: int  # images
    batch_size: int
    epochs: int
    crop: str
    flip: bool
    workers: int
    cpus_per_trial: int
    trials: int = TRIALS
    subset: int | None = None


def choose(data: DataDescription, machine: Machine) -> Choices:
    """Choose what depends on data and machine alone."""
    images, classes, median = data.images, len(data.counts), data.sizes[1] or 32
    size = max(16, min(round(median / 8) * 8, 192 if machine.gpus else SMALL_SIZE))
    small = size <= SMALL_SIZE
    most = int(MINIVAL_SHARE * images)
    minival = max(1, min(most, max(minival_for(GAP, TRIALS), 2 * classes)))
    batch = _batch(images - minival, (256 if small else 128) if machine.gpus else 64)
    large = median >= LARGE_FROM * size
    return Choices(
        image_size=size,
        is_small=small,
        stem_stride=1 if size <= 32 else 2,
        minival=minival,
        batch_size=batch,
        epochs=max(EPOCHS, min(MOST_EPOCHS, ceil(STEPS / max(1, (images - minival) // batch)))),
        crop="resized" if large else "pad",
        flip=data.channels == 3,
        workers=machine.gpus or machine.cpus,
        cpus_per_trial=max(1, min(8, machine.cpus // machine.gpus)) if machine.gpus else 1,
    )


def fit_time(choices: Choices, images: int, classes: int, hours: float) -> tuple[Choices, float]:
    """Have a search end within HOURS: with fewer trials, then with fewer images.

    Args:
        images: that are trained on.
        hours: that TRIALS trials on all images take.
    Returns: the choices, and the hours that are left.
    """
    trials = max(FEWEST_TRIALS, min(TRIALS, int(TRIALS * HOURS / hours))) if hours > 0 else TRIALS
    hours *= trials / TRIALS
    if hours <= HOURS:
        return replace(choices, trials=trials), hours
    subset = min(images, max(PER_CLASS * classes, 2 * choices.batch_size, int(images * HOURS / hours)))
    return replace(choices, trials=trials, subset=subset), hours * subset / images


def _batch(images: int, most: int) -> int:
    """The largest power of two that makes 16 steps an epoch, between 8 and `most`."""
    batch = most
    while batch > 8 and images // batch < 16:
        batch //= 2
    return batch
