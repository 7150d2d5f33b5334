"""Whether trainings wait for their data: what the loader gives beside what the training step takes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.config.train import TrainConfig, training_stages
from nas.data.batches import Batches
from nas.data.prepare import Prepared, prepare_for_search
from nas.data.settings import AugmentSettings
from nas.full_training.data import prepare_for_training
from nas.full_training.run import threads_of
from nas.full_training.train import resolve_training
from nas.runs.waiting import MUCH
from nas.search.given import Given, config_of
from nas.trackers.callback import Callbacks
from nas.training.device import device_name, resolve_device, set_up, synchronize, threads_limited
from nas.training.settings import ExecutionSettings, TrainSettings
from nas.training.train import train
from nas.trials.evaluate import build
from search_space.architecture import Architecture

_FIRST = 2  # steps and batches that are not counted: memory is taken, kernels are chosen
_FOREVER = 1 << 20  # epochs: the time ends the training


@dataclass(frozen=True)
class DataProfile:
    """What loading gives and training takes, of one network at one size."""

    storage: str  # arrays or jpeg
    resident: bool  # whether the images are held on the device
    image_size: int  # pixels
    batch_size: int
    threads: int  # of a training
    loader: float  # images a second: loaded, augmented and normalised on the device, with nothing else to do
    loader_core: float  # images a second of the processor's time
    step: float  # images a second that the training step takes, of a batch that is there
    ahead: bool  # whether batches are made while the device computes
    device_name: str
    threads_setting: str = "search.cpus_per_trial"  # that says how many threads there are

    @property
    def wait_share(self) -> float:
        """Share of a training's time waiting for data, expected."""
        load, step = 1 / self.loader, 1 / self.step
        return max(0.0, 1 - step / load) if self.ahead else load / (load + step)

    @property
    def threads_needed(self) -> int:
        """CPU threads with which loading keeps up with the step, at least 1."""
        return max(1, math.ceil(self.step / self.loader_core))

    def advice(self) -> str:
        """Say which bounds which, and what to change."""
        share = f"waiting for data is {self.wait_share:.0%} of a training"
        if self.wait_share <= MUCH:
            return f"the step bounds: {share}"
        if not self.ahead:
            remedy = (
                "augment less, or smaller images" if self.storage == "arrays" else "data.storage: arrays, if it fits"
            )
        elif self.threads_needed > self.threads:
            remedy = f"{self.threads_setting}: {self.threads_needed}"
            remedy += " or data.storage: arrays" if self.storage == "jpeg" else " or augment less"
        else:
            remedy = "a faster disk, or more memory for the images"
        return f"the data bound: {share}; try {remedy}"


def profile_data(config: Given, seconds: float = 10.0) -> DataProfile:
    """Measure how many images a second loading gives and the training step of a search's reference network takes.

    The data set is prepared first, unless that was done.

    Args:
        config: of a search: a Config, what a YAML file would hold, the path of one, or a run folder.
        seconds: for both together; a step that takes longer is done to its end.
    Raises: ValueError as preparing does, or if no step could be done.
    """
    config = config_of(config)
    prepared = prepare_for_search(config, progress=True)
    stage = _Stage(config.reference, config.training, config.augment, config.image_size, config.execution)
    threads = config.execution.threads or max(1, math.floor(config.search.cpus_per_trial))
    return _profiled(stage, prepared, _set_up(config.device), threads, seconds)


def profile_training_data(
    architecture: Architecture | Path | str, config: TrainConfig | Mapping[str, Any] | str | Path, seconds: float = 40.0
) -> list[DataProfile]:
    """Measure the same for a full training, at every size that its progressive schedule has.

    Args:
        architecture, config: as `nas.train` takes them.
        seconds: for all of it.
    Returns: one for each stage whose size, batch or augmentation is another, in their order.
    Raises: ValueError as `profile_data` does.
    """
    config = resolve_training(config, architecture)
    prepared, device = prepare_for_training(config, progress=True), _set_up(config.device)
    stages = dict.fromkeys(
        _Stage(
            config.architecture,
            replace(config.training, batch_size=stage.batch_size),
            stage.augment,
            stage.strengths.image_size,
            config.execution,
        )
        for stage in training_stages(config)
    )
    threads = threads_of(config, Callbacks(()), gpu=device.type == "cuda", workers=1)
    found = [_profiled(stage, prepared, device, threads, seconds / len(stages)) for stage in stages]
    return [replace(each, threads_setting="execution.threads") for each in found]


@dataclass(frozen=True)
class _Stage:
    """What is trained, on what."""

    architecture: Architecture
    training: TrainSettings
    augment: AugmentSettings
    image_size: int
    execution: ExecutionSettings


def _set_up(name: str) -> torch.device:
    device = resolve_device(name)
    set_up(device)
    return device


def _profiled(stage: _Stage, prepared: Prepared, device: torch.device, threads: int, seconds: float) -> DataProfile:
    with threads_limited(threads):
        batches = Batches(
            prepared,
            "train",
            batch_size=min(stage.training.batch_size, prepared.train),
            device=device,
            augment=stage.augment,
            image_size=stage.image_size,
            channels_last=stage.execution.channels_last,
        )
        loader, loader_core = _loaded(batches, device, seconds / 2)
        step = _stepped(stage, prepared, batches, device, seconds / 2)
    return DataProfile(
        storage=prepared.storage, resident=batches.resident, image_size=stage.image_size,
        batch_size=batches.batch_size, threads=threads, loader=loader, loader_core=loader_core, step=step,
        ahead=batches.ahead, device_name=device_name(device),
    )  # fmt: skip


def _loaded(batches: Batches, device: torch.device, seconds: float) -> tuple[float, float]:
    """Give images a second of the clock and of the processor."""
    images, number = 0, 0
    start = cpu = 0.0
    while True:
        for each, _ in _epochs(batches):
            if number == _FIRST:
                synchronize(device)
                start, cpu, images = time.perf_counter(), time.process_time(), 0
            images, number = images + len(each), number + 1
            if number > _FIRST + 1 and time.perf_counter() - start > seconds:
                synchronize(device)
                return images / (time.perf_counter() - start), images / (time.process_time() - cpu)


def _epochs(batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    number = 0
    while True:
        yield from batches.epoch(number)
        number += 1


class _Same:
    """One batch, again and again: what training takes if nothing has to be loaded."""

    def __init__(self, batch: tuple[Tensor, Tensor]) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return 1 << 10

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        return (self.batch for _ in range(len(self)))


def _stepped(stage: _Stage, prepared: Prepared, batches: Batches, device: torch.device, seconds: float) -> float:
    """Give the images a second that training takes, of a batch that is on the device."""
    ticks: list[float] = []

    def tick() -> None:
        synchronize(device)
        ticks.append(time.perf_counter())

    same = _Same(next(batches.epoch(0)))
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        network = build(stage.architecture, stage.training, stage.execution, prepared, device)
        training = replace(stage.training, epochs=_FOREVER, eval_every=_FOREVER)
        execution = replace(stage.execution, time_limit_s=seconds)
        result = train(network, same, same, training, execution=execution, device=device, between_steps=tick)
        tick()
    steps = np.diff(ticks)[_FIRST if len(ticks) > 2 * _FIRST else 0 :]
    if not len(steps):
        raise ValueError(f"the network could not be trained: {result.status} {result.error or ''}".rstrip())
    return float(batches.batch_size / np.median(steps))
