"""One full training in its folder: begins or goes on, ends with a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from nas.config.train import Stage, TrainConfig, training_stages
from nas.cpus import available_cpus
from nas.data.batches import Batches
from nas.data.prepare import Prepared, SplitName
from nas.data.settings import AugmentSettings
from nas.full_training.folder import (
    BEST,
    METRICS,
    About,
    Weights,
    begin,
    best_epoch,
    keep,
    kept_state,
    mark,
    read_result,
    start_from,
    tested,
    write_config,
    write_result,
)
from nas.full_training.metrics import Metrics, whole_lines
from nas.runs.folder import provenance
from nas.runs.waiting import about_waiting
from nas.seeds import seed_of
from nas.trackers.callback import Callback, Callbacks, TrainingEnd, TrainingInfo
from nas.training.checkpoint import TrainingState, load_checkpoint
from nas.training.device import device_name, resolve_device, threads_limited
from nas.training.evaluate import evaluate
from nas.training.objective import make_objective
from nas.training.progressive import Strengths, at
from nas.training.result import EpochResult, TrainResult
from nas.training.step import autocast_dtype
from nas.training.train import Progression, train
from nas.training.workers import ALONE, Workers
from search_space.lookup import describe
from search_space.network import Network, build_network

Kept = tuple[TrainingState, About]


def train_alone(
    folder: Path, config: TrainConfig, prepared: Prepared, test: Weights | None, listeners: Callbacks
) -> TrainingEnd:
    """Train in this process, in a folder of which it holds the lock.

    Raises: ValueError if the folder holds a training that `config` or the data would change, or a device is not there.
    """
    device = resolve_device(config.device)
    kept = kept_state(folder, config, prepared)
    origin = origin_of(kept)
    info = training_info(folder, config, prepared, kept, origin, device_name(device))

    threads = threads_of(config, listeners, gpu=device.type == "cuda", workers=1)

    def work() -> TrainingEnd:
        with threads_limited(threads):
            result = train_in(folder, config, prepared, test, device, kept, origin, listener=listeners)
        if line := about_waiting([result.data_wait_s / result.seconds if result.seconds else None]):
            listeners.on_message(line)
        return training_end(folder, result.status, result.error, result.curve)

    mark(folder, origin)
    return told(listeners, info, work)


def threads_of(config: TrainConfig, listeners: Callbacks, *, gpu: bool, workers: int, here: bool = True) -> int:
    """Give the CPU threads of each worker, and say so where there could be more.

    On a CPU it is one unless the configuration says otherwise, as for a candidate: more threads than free cores wait
    for each other, and a training is many times slower on a busy machine. On a GPU they only bring the images.

    Args:
        here: whether the workers are on this machine; what others have is not known.
    """
    there = max(1, available_cpus() // workers) if here else 1
    if config.execution.threads is not None:
        return config.execution.threads
    if there > 1 and not gpu:
        listeners.on_message(f"training on one CPU thread; {there} could work: execution.threads says how many")
    return there if gpu else 1


def told(listeners: Callbacks, info: TrainingInfo, work: Callable[[], TrainingEnd]) -> TrainingEnd:
    """Do a training's work; tell before and after, also if it is interrupted or raises."""
    listeners.on_train_begin(info)
    try:
        end = work()
    except BaseException as error:
        status = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
        early = training_end(info.folder, status, describe(error), whole_lines(info.folder / METRICS))
        listeners.on_train_end(info, early)
        raise
    listeners.on_train_end(info, end)
    return end


def origin_of(kept: Kept | None) -> dict[str, Any]:
    """Give the provenance of a training that goes on, or a new one."""
    return provenance() if kept is None else dict(kept[1]["provenance"])


def training_info(
    folder: Path,
    config: TrainConfig,
    prepared: Prepared,
    kept: Kept | None,
    origin: Mapping[str, Any],
    device: str,
) -> TrainingInfo:
    """Say what is about to happen.

    Args:
        device: what it trains on, in words.
    """
    by_epoch = [stage for stage in training_stages(config) for _ in range(stage.epochs)]
    return TrainingInfo(
        folder=folder,
        run_id=str(origin["run_id"]),
        config=config.to_dict(),
        curve=() if kept is None else kept[0].curve,
        epochs=len(by_epoch),
        image_sizes=tuple(stage.strengths.image_size for stage in by_epoch),
        steps=tuple(max(1, prepared.train // stage.batch_size) for stage in by_epoch),
        device=device,
    )


def training_end(folder: Path, status: str, error: str | None, curve: Sequence[Mapping[str, Any]]) -> TrainingEnd:
    """Say what came out, from the epochs that are done."""
    evaluated = [epoch for epoch in curve if epoch["accuracy"] is not None]
    last, best = (evaluated[-1], best_epoch(evaluated)) if evaluated else ({}, {})
    return TrainingEnd(
        folder=folder,
        status=status,
        error=error,
        epochs_done=len(curve),
        accuracy=last.get("accuracy"),
        loss=last.get("loss"),
        best_accuracy=best.get("accuracy"),
        best_epoch=best.get("epoch"),
        test=read_result(folder).get("test") if status == "ok" else None,
    )


def train_in(
    folder: Path,
    config: TrainConfig,
    prepared: Prepared,
    test: Weights | None,
    device: torch.device,
    kept: Kept | None,
    origin: Mapping[str, Any],
    *,
    workers: Workers = ALONE,
    listener: Callback | None = None,
) -> TrainResult:
    """Train, or go on from what the folder keeps; the first worker writes checkpoints, metrics and the result.

    Args:
        test: weights to evaluate on the test split, unless that was done before.
        kept: what `kept_state` gave.
        origin: the provenance of a training that begins.
        workers: those that train together: each calls this.
        listener: is told of every step and epoch.
    """
    first = workers.rank == 0
    state, about = kept or (None, {})
    config = replace(config, seeding=about["config"]["seeding"]) if about else config
    if state is None and first:
        name = device_name(device)
        device_words = name if workers.count == 1 else f"{workers.count} x {name}"
        about = begin(folder, config, prepared, {**origin, "device_name": device_words})
    elif first:
        write_config(folder, about)
    torch.manual_seed(seed_of(config.seed, "weights", seeding=config.seeding))
    network = build_network(
        config.architecture, prepared.num_classes, prepared.channels, drop_path=config.training.drop_path
    )
    if state is None and config.start_from:
        about["started_from"] = start_from(network, Path(config.start_from), prepared.class_names)
    batches = partial(_batches, config, prepared, device, workers)
    with closing(Metrics(folder / METRICS, state.curve if state else ())) if first else nullcontext() as metrics:

        def on_state(state: TrainingState) -> None:
            if first:
                keep(folder, state, about, config.checkpoint_every, config.training.epochs)

        def on_epoch(epoch: EpochResult) -> None:
            if metrics is not None:
                metrics.append(epoch)
            if listener is not None:
                listener.on_epoch(epoch.to_dict())

        result = train(
            network,
            _source(config, batches),
            batches("minival"),
            config.training,
            execution=config.execution,
            device=device,
            seed=config.seed,
            seeding=config.seeding,
            on_epoch=on_epoch,
            between_steps=None if listener is None else listener.on_step,
            on_state=on_state,
            resume=state,
            workers=workers,
        )
    if result.status == "ok":
        known = read_result(folder).get("test")
        if test and (known is None or tested(known) != test):
            known = _test(folder, config, network, batches("test"), test, workers)
        if first:
            write_result(folder, result, known)
    return result


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
        seeding=config.seeding,
        channels_last=config.execution.channels_last,
        share=(workers.rank, workers.count),
    )


def _test(
    folder: Path, config: TrainConfig, network: Network, batches: Batches, choice: Weights, workers: Workers
) -> dict[str, Any]:
    """Evaluate weights on the test split.

    Args:
        network: holds the final weights; afterwards those that were tested.
    """
    epochs, which = config.training.epochs, "final, after the last epoch"
    if choice == "best":
        workers.wait()  # for the first, which writes it
        state, _ = load_checkpoint(folder / BEST)
        network.load_state_dict(state.weights)
        epochs, which = len(state.curve), f"best on minival, after epoch {len(state.curve)}"
    evaluated = evaluate(
        network,
        batches.epoch(0),
        dtype=autocast_dtype(config.execution, batches.device),
        channels_last=config.execution.channels_last,
        workers=workers,
        objective=make_objective(config.training),
    )
    about = {"image_size": config.eval_image_size, "weights": which, "choice": choice, "epochs": epochs}
    return evaluated.to_dict() | about
