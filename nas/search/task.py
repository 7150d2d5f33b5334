"""What a search gives to every trial, and what every host must have for it."""

from __future__ import annotations

import math
from dataclasses import replace

from nas.config.search import Config
from nas.data.prepare import Prepared
from nas.trials import installed
from nas.trials.task import Task


def task_of(config: Config, prepared: Prepared | None = None) -> Task:
    """Give what all trials of a search share.

    Args:
        prepared: the data set on the driver: no node keeps its images otherwise, and no trial prepares it again; None =
            as the settings say, by whoever comes first.
    """
    settings = config.search
    return Task(
        data=config.data if prepared is None else replace(config.data, storage=prepared.storage),
        augment=config.augment,
        training=config.training,
        execution=config.execution,
        step_time=config.step_time,
        reward=config.reward,
        reference=config.reference,
        image_size=config.image_size,
        device=config.device,
        threads=max(1, math.floor(settings.cpus_per_trial)),
        time_limit_s=settings.time_limit_s,
        device_share=settings.gpus_per_trial or settings.cpus_per_trial,
        seeding=config.seeding,
        measure=config.measure,
        prepared=prepared,
    )


def packages_of(config: Config) -> tuple[str, ...]:
    """Give the user's packages that trials of a search use, by plug-in or as `module:Name`."""
    training = config.training
    named = (config.search.evaluator, config.reward.name, training.objective, training.optimizer, config.data.source)
    return installed.packages_of(config.plugins, (*named, *config.measure))
