"""How long a training takes until it reaches an accuracy: in epochs, and in seconds of measured training steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nas.claims.step_timing import Step
from nas.config.train import TrainConfig, training_stages
from nas.runs.trial import Trial
from search_space.architecture import Architecture


def first_epoch(curve: Sequence[Mapping[str, Any]], target: float) -> int | None:
    """Give the first epoch, from 1, at whose end the accuracy on minival was the target or more; None if none was."""
    reached = (epoch["epoch"] + 1 for epoch in curve if epoch["accuracy"] is not None and epoch["accuracy"] >= target)
    return next(reached, None)


def epoch_seconds(
    config: TrainConfig, images: int, times: Mapping[tuple[Architecture, Step], Trial]
) -> list[float] | None:
    """Give the seconds of each epoch's training steps, by measured step times; None where one was not measured.

    A step takes S times the reference network's, whose time is the median over all measurements: between architectures
    the load of the machine cancels.

    Args:
        config: of the training.
        images: that it trains on.
        times: what `measure_steps` gave, of this architecture and others.
    """
    found: list[float] = []
    for stage in training_stages(config):
        step = Step(stage.strengths.image_size, stage.batch_size)
        own = times.get((config.architecture, step))
        if own is None or own.s_normalised is None:
            return None
        units = sorted(each.reference_step_time_ms or math.nan for (_, at), each in times.items() if at == step)
        steps = max(1, images // stage.batch_size)
        found += [steps * own.s_normalised * units[len(units) // 2] / 1e3] * stage.epochs
    return found
