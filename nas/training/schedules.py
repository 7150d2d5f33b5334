"""The learning rate as a pure function of the step; no torch, so that a dry run can print it."""

from __future__ import annotations

import math

from nas.training.settings import TrainSettings

DECAY_FACTOR, DECAY_EPOCHS = 0.97, 2.4  # of the exponential schedule; source: EfficientNetV2, section 5.1


def learning_rate(step: float, total_steps: float, steps_per_epoch: float, settings: TrainSettings) -> float:
    """Give the learning rate of a step.

    Warm-up is linear from 0 and lies over the schedule rather than before it, as in the official code: the decay counts
    from step 0. Training that ends before warm-up would, warms up over its first half.

    Args:
        step: updates done so far, >= 0.
        total_steps: updates of the whole training, >= 1.
        steps_per_epoch: updates per epoch, > 0.
        settings: peak rate per 256 images, batch size, schedule, warm-up.
    Returns: the rate of this step; it starts above 0 (warm-up counts the step itself).
    """
    peak = settings.learning_rate * settings.batch_size / 256
    warmup_steps = min(settings.warmup_epochs * steps_per_epoch, total_steps / 2)
    if step < warmup_steps:
        return peak * min(1.0, (step + 1) / warmup_steps)
    return peak * _decay(step, total_steps, steps_per_epoch, settings.schedule)


def _decay(step: float, total_steps: float, steps_per_epoch: float, schedule: str) -> float:
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * min(1.0, step / total_steps)))
    if schedule == "exponential":
        return DECAY_FACTOR ** math.floor(step / (steps_per_epoch * DECAY_EPOCHS))
    return 1.0
