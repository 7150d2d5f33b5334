"""One architecture, evaluated in this process as a trial of a search would be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from nas.data.prepare import prepare_for_search
from nas.runs.trial import Trial
from nas.search.checks import check_data
from nas.search.given import Given, config_of
from nas.search.task import task_of
from nas.training.device import threads_limited
from nas.training.settings import check_images_at_once
from nas.trials.answer import answer, find_evaluator, so_far
from search_space.architecture import Architecture


def evaluate(
    architecture: Architecture,
    config: Given,
    *,
    seed: int | None = None,
    on_epoch: Callable[[Trial], bool | None] = lambda trial: None,
) -> Trial:
    """Time and train one architecture as the search of `config` would, and score it.

    Args:
        architecture: need not be of the configuration's space.
        config: a Config, what a YAML file would hold (`run.config`), the path of a YAML file, or a run folder.
        seed: of initial weights, data order and augmentation; default: the configuration's. To see how much of a
            run's result is luck, give one that its trial had not: `trial.seed`.
        on_epoch: given the trial so far after every evaluated epoch; returning False ends it.
    Returns: the trial; what the candidate does wrong is its status. It belongs to no run: it has no id.
    Raises: ValueError for what fits no candidate: a data set that is missing, a device that is not there.
    """
    config = config_of(config)
    check_images_at_once(config.training, config.execution)
    chosen = config.seed if seed is None else seed
    prepared = prepare_for_search(config)
    check_data(prepared, config)

    def report(fields: Mapping[str, Any]) -> bool:
        return on_epoch(so_far(architecture, fields)) is not False

    evaluator = find_evaluator(config.search.evaluator)
    with threads_limited(torch.get_num_threads()):  # a trial limits them further, for itself
        return replace(answer(architecture, chosen, task_of(config, prepared), evaluator, report), seed=chosen)
