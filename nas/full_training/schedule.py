"""What a full training's recipe does over its course, without data, devices or torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from nas.config.train import Stage, TrainConfig, training_stages
from nas.training.schedules import learning_rate

_FINE = 10_000  # steps an epoch, where the real number is not known: the rate is exact to three digits


@dataclass(frozen=True)
class Schedule:
    """The stages of a training, and the course of each setting that may change."""

    stages: tuple[Stage, ...]
    compute_share: float  # of the pixels that the last stage's image size throughout would take, above 0
    moments: tuple[float, ...]  # epochs since the beginning at which the courses are given
    courses: Mapping[str, tuple[float, ...]]  # the fields of Strengths, `batch_size` and `learning_rate`


def schedule(config: TrainConfig, *, points: int = 48) -> Schedule:
    """Give the schedule of a training.

    Args:
        points: of each course, evenly over the training.
    """
    stages, epochs = tuple(training_stages(config)), config.training.epochs
    moments = tuple((point + 0.5) / points * epochs for point in range(points))
    at = [next(stage for stage in reversed(stages) if stage.first_epoch <= moment) for moment in moments]
    values = [{**asdict(stage.strengths), "batch_size": stage.batch_size} for stage in at]
    courses = {name: tuple(each[name] for each in values) for name in values[0]}
    courses["learning_rate"] = tuple(
        learning_rate(int(moment * _FINE), epochs * _FINE, _FINE, replace(config.training, batch_size=stage.batch_size))
        for moment, stage in zip(moments, at, strict=True)
    )
    return Schedule(stages, _compute_share(stages, epochs), moments, courses)


def _compute_share(stages: tuple[Stage, ...], epochs: int) -> float:
    pixels = sum(stage.epochs * stage.strengths.image_size**2 for stage in stages)
    return pixels / (epochs * stages[-1].strengths.image_size ** 2)
