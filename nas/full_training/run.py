"""One full training in its folder: begins or goes on, ends with a result."""

from __future__ import annotations

from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch

from nas.config.train import Stage, TrainConfig, training_stages
from nas.data.batches import Batches
from nas.data.prepare import Prepared, SplitName
from nas.data.settings import AugmentSettings
from nas.full_training.folder import (
    METRICS,
    About,
    begin,
    best_epoch,
    keep,
    kept_state,
    read_result,
    start_from,
    write_result,
)
from nas.full_training.record import Metrics, TrainDisplay
from nas.training.checkpoint import TrainingState
from nas.training.device import device_name, limit_threads, resolve_device
from nas.training.evaluate import evaluate
from nas.training.objective import make_objective
from nas.training.progressive import Strengths, at
from nas.training.result import EpochResult, TrainResult
from nas.training.step import autocast_dtype
from nas.training.train import Progression, train
from nas.training.workers import ALONE, Workers
from search_space.network import Network, build_network


def run(folder: Path, config: TrainConfig, prepared: Prepared, test: bool) -> int:
    """Train in a folder of which this process holds the lock; give the exit status.

    Raises: ValueError if the folder holds a training that `config` or the data would change, or a device is not there.
    """
    device = resolve_device(config.device)
    kept = kept_state(folder, config, prepared)
    with TrainDisplay(
        folder, training_stages(config), prepared.train, 0 if kept is None else len(kept[0].curve)
    ) as shown:
        shown.begin(device_name(device))
        result = train_in(folder, config, prepared, test, device, kept, display=shown)
    return conclude(folder, result, test, shown)


def train_in(
    folder: Path,
    config: TrainConfig,
    prepared: Prepared,
    test: bool,
    device: torch.device,
    kept: tuple[TrainingState, About] | None,
    *,
    workers: Workers = ALONE,
    display: TrainDisplay | None = None,
) -> TrainResult:
    """Train, or go on from what the folder keeps; the first worker writes checkpoints, metrics and the result.

    Args:
        test: evaluate the final weights on the test split, unless that was done before.
        kept: what `kept_state` gave.
        workers: those that train together: each calls this.
        display: is told how far the training is.
    """
    if config.execution.threads is not None:
        limit_threads(config.execution.threads)
    first = workers.rank == 0
    state, about = kept or (None, {})
    if state is None and first:
        name = device_name(device)
        about = begin(folder, config, prepared, name if workers.count == 1 else f"{workers.count} x {name}")
    torch.manual_seed(config.seed)
    network = build_network(
        config.architecture, prepared.num_classes, prepared.channels, drop_path=config.training.drop_path
    )
    if state is None and config.start_from:
        about["started_from"] = start_from(network, Path(config.start_from))
    batches = partial(_batches, config, prepared, device, workers)
    with closing(Metrics(folder / METRICS, state.curve if state else ())) if first else nullcontext() as metrics:

        def on_state(state: TrainingState) -> None:
            if first:
                keep(folder, state, about, config.checkpoint_every, config.training.epochs)

        def on_epoch(epoch: EpochResult) -> None:
            if metrics is not None:
                metrics.append(epoch)
            if display is not None:
                display.on_epoch(epoch.to_dict())

        result = train(
            network,
            _source(config, batches),
            batches("minival"),
            config.training,
            execution=config.execution,
            device=device,
            seed=config.seed,
            on_epoch=on_epoch,
            between_steps=None if display is None else display.on_step,
            on_state=on_state,
            resume=state,
            workers=workers,
        )
    if result.status == "ok":
        tested = read_result(folder).get("test")
        if test and tested is None:
            tested = _test(config, network, batches("test"), workers)
        if first:
            write_result(folder, result, tested)
    return result


def conclude(folder: Path, result: TrainResult, test: bool, display: TrainDisplay) -> int:
    """Say what came out; give the exit status."""
    if result.status != "ok":
        display.say(f"ended after {result.epochs_done} epochs: {result.error}. The checkpoints are in {folder}")
        return 1
    best = best_epoch(result)
    display.say(
        f"minival accuracy {result.accuracy:.4f} after {result.epochs_done} epochs; "
        f"best {best['accuracy']:.4f} after {best['epoch'] + 1}"
    )
    if test:
        tested = read_result(folder)["test"]
        scores = f"test accuracy {tested['accuracy']:.4f}, loss {tested['loss']:.4f}"
        display.say(f"{scores}, {tested['images']} images: of the final weights, once")
    return 0


def _source(config: TrainConfig, batches: partial[Batches]) -> Batches | Progression:
    stages = training_stages(config)

    def of(stage: Stage) -> Batches:
        return batches("train", stage.batch_size, stage.strengths.image_size, stage.augment)

    progressive = config.progressive
    if progressive is None:
        return of(stages[0])
    by_strengths = {stage.strengths: stage for stage in stages}

    def schedule(progress: float) -> Strengths:
        return at(progressive, progress)

    return Progression(schedule, lambda strengths: of(by_strengths[strengths]))


def _batches(
    config: TrainConfig,
    prepared: Prepared,
    device: torch.device,
    workers: Workers,
    split: SplitName,
    batch_size: int | None = None,
    image_size: int | None = None,
    augment: AugmentSettings | None = None,
) -> Batches:
    """Give a worker's share of a split's batches; batch and image size default to those of evaluation."""
    return Batches(
        prepared,
        split,
        batch_size=batch_size or config.training.batch_size,
        device=device,
        augment=augment,
        image_size=image_size or config.eval_image_size,
        seed=config.seed,
        channels_last=config.execution.channels_last,
        share=(workers.rank, workers.count),
    )


def _test(config: TrainConfig, network: Network, batches: Batches, workers: Workers) -> dict[str, Any]:
    evaluated = evaluate(
        network,
        batches.epoch(0),
        dtype=autocast_dtype(config.execution, batches.device),
        channels_last=config.execution.channels_last,
        workers=workers,
        objective=make_objective(config.training),
    )
    return {**evaluated.to_dict(), "image_size": config.eval_image_size, "weights": "final, after the last epoch"}
