"""Train one architecture in full, in its own folder: a call that begins, or goes on after whatever stopped it."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.architectures import What, find_architecture
from nas.config.train import (
    TrainConfig,
    clamped,
    load_training,
    parse_training,
    training_stages,
)
from nas.full_training.data import check_data, prepare_for_training
from nas.full_training.folder import Weights, check_folder, check_start, check_weights
from nas.full_training.run import train_alone
from nas.full_training.winner import training_of_run
from nas.plugins import load as load_plugins
from nas.runs.folder import held
from nas.trackers import make_callbacks
from nas.trackers.callback import Callback, Callbacks, TrainingEnd
from nas.trackers.display import Display
from nas.training.settings import check_images_at_once
from nas.training.step import check_imports
from search_space.architecture import Architecture

logger = logging.getLogger(__name__)


def train(
    architecture: What,
    config: TrainConfig | Mapping[str, Any] | str | Path | None = None,
    *,
    folder: str | Path,
    workers: int = 1,
    address: str | None = None,
    test: bool = False,
    weights: Weights = "final",
    callbacks: Iterable[Callback | str | Mapping[str, Any]] = (),
    plugins: Sequence[str] | str = (),
    progress: bool = True,
) -> TrainingEnd:
    """Train an architecture; the same call again goes on with a training that was stopped or killed.

    The folder holds the resolved configuration (`train.yaml`), where it came from (`train.json`), a line of metrics an
    epoch (`metrics.jsonl`), the last and the best checkpoint (`last.pt`, `best.pt`) and, in the end, `result.json`.

    Args:
        architecture: itself, a run (its winner), or what else names one: see `find_architecture`.
        config: a TrainConfig, what a YAML file would hold, or the path of a YAML file. None = as the run trained, three
            times as long; then `architecture` must be a run.
        folder: of the training; made if it is not there.
        workers: processes that train together with Ray Train, each with its share of every batch.
        address: of a Ray cluster for them, such as `auto`; None = this machine.
        test: evaluate weights on the test split, unless that was done before.
        weights: which ones: final (after the last epoch, averaged where EMA is on), or best (on minival). They are
            what `export_model` exports by the same choice.
        callbacks: told what happens: callbacks, or what a configuration may name. Besides them those that the
            configuration names, and TensorBoard where tensorboardX is installed.
        plugins: modules to import here and in every worker, besides those that the configuration names.
        progress: whether to show a bar (lines, where that is no terminal or notebook) on standard error.
    Returns: what became of it; a loss that is not finite, memory that runs out and the time limit are statuses.
    Raises: ValueError for whatever the user can fix: another training in the folder, too little data, no such device.
    """
    plugins = [plugins] if isinstance(plugins, str) else plugins
    load_plugins(plugins)  # what is read next may name theirs
    resolved, folder = _with_plugins(resolve_training(config, architecture), plugins), Path(folder)
    check_weights(weights)
    listeners = listeners_of(resolved, [*([Display()] if progress else []), *callbacks])
    check_folder(folder)
    check_imports(resolved.training)
    if text := clamped(resolved):
        logger.warning("augment.randaugment_magnitude: %s", text)
    check_workers(workers, resolved)
    prepared = prepare_for_training(resolved, progress=True)
    check_data(prepared, resolved, test)
    check_start(folder, resolved, prepared)
    with held(folder, "training"):
        if workers == 1 and address is None:
            return train_alone(folder, resolved, prepared, weights if test else None, listeners)
        from nas.full_training.workers import train_together  # with Ray, which a training alone does not wait for

        return train_together(folder, resolved, prepared, weights if test else None, listeners, workers, address)


def resolve_training(given: TrainConfig | Mapping[str, Any] | str | Path | None, architecture: What) -> TrainConfig:
    """Give the training that is meant, of what `train` takes. Raises ValueError as that does."""
    if given is None:
        return training_of_run(architecture)
    if not isinstance(architecture, Architecture):
        architecture = find_architecture(architecture)
    if isinstance(given, str | Path):
        return load_training(Path(given), architecture, {})
    return parse_training(given.to_dict() if isinstance(given, TrainConfig) else given, architecture)


def _with_plugins(config: TrainConfig, names: Sequence[str]) -> TrainConfig:
    return replace(config, plugins=tuple(dict.fromkeys((*config.plugins, *names))))


def listeners_of(config: TrainConfig, callbacks: Iterable[Callback | str | Mapping[str, Any]]) -> Callbacks:
    """Make the callbacks of a training: TensorBoard where it is installed, the configuration's, and others."""
    default = ["tensorboard"] if importlib.util.find_spec("tensorboardX") else []
    return Callbacks(make_callbacks([*default, *config.callbacks, *callbacks]))


def check_workers(workers: int, config: TrainConfig) -> None:
    """Raise ValueError if so many processes cannot train together by this configuration."""
    if workers < 1:
        raise ValueError(f"workers must be >= 1, got {workers}")
    check_images_at_once(config.training, config.execution, workers)
    for stage in training_stages(config):
        if stage.batch_size % workers:
            raise ValueError(f"a batch of {stage.batch_size} cannot be shared evenly by {workers} workers")
    if workers > 1 and config.execution.time_limit_s is not None:
        raise ValueError("execution.time_limit_s is for one worker; several would not stop at the same step")
