"""A training's state, so that one that was killed goes on as if it had not been; and the files it is kept in."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from nas.training.step import TrainingStep
from nas.whole_files import written_whole

FORMAT = 2  # of the files


@dataclass(frozen=True)
class TrainingState:
    """Everything that the next epoch depends on, after a whole epoch; batches and dropout depend on seed and epoch."""

    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    ema: dict[str, Tensor] | None  # the averaged network, None without EMA
    ema_updates: int
    micro_batch: int | None
    curve: tuple[dict[str, Any], ...]  # the fields of EpochResult, per finished epoch
    seconds: float  # of training and evaluation so far
    data_wait_s: float

    @property
    def weights(self) -> dict[str, Tensor]:
        """What evaluation speaks of: the averaged network if there is one."""
        return self.network if self.ema is None else self.ema


def state_of(
    step: TrainingStep, curve: tuple[dict[str, Any], ...], seconds: float, data_wait_s: float
) -> TrainingState:
    """Take the state of a training between two epochs. Its tensors are the training's own: use it before going on."""
    return TrainingState(
        network=step.network.state_dict(),
        optimizer=step.optimizer.state_dict(),
        ema=None if step.ema is None else step.ema.network.state_dict(),
        ema_updates=0 if step.ema is None else step.ema.updates,
        micro_batch=step.micro_batch,
        curve=curve,
        seconds=seconds,
        data_wait_s=data_wait_s,
    )


def restore(step: TrainingStep, state: TrainingState) -> None:
    """Put a step, new and of the same settings, into a state; also on another device than the state is from.

    Raises: ValueError if the state is of another network or has an average where the settings have none, or the other
        way round.
    """
    if (step.ema is None) != (state.ema is None):
        raise ValueError(f"the checkpoint was trained {'without' if state.ema is None else 'with'} EMA")
    # Rate and flags of the optimiser are those of this device; what it has learned comes from the state, also what some
    # keep in their groups.
    options = [{k: v for k, v in group.items() if k != "params"} for group in step.optimizer.param_groups]
    try:
        step.network.load_state_dict(state.network)
        step.optimizer.load_state_dict(state.optimizer)
        if step.ema is not None and state.ema is not None:
            step.ema.network.load_state_dict(state.ema)
            step.ema.updates = state.ema_updates
    except RuntimeError as error:
        raise ValueError(f"the checkpoint is of another network: {error}".splitlines()[0]) from None
    for group, own in zip(step.optimizer.param_groups, options, strict=True):
        group.update({name: value for name, value in own.items() if name in _OF_DEVICE or name not in group})
    step.micro_batch = state.micro_batch


_OF_DEVICE = {"lr", "lr_factor", "param_names", "fused", "foreach", "capturable"}  # options of an optimiser's group


def save_checkpoint(path: Path, state: TrainingState, about: Mapping[str, Any]) -> None:
    """Write a state; whoever is killed meanwhile leaves the file as it was.

    Args:
        about: what else is known, plain data: resolved configuration, provenance.
    """
    record = {"format": FORMAT, "state": {f.name: getattr(state, f.name) for f in fields(state)}, "about": dict(about)}
    write_torch(path, record)


def write_torch(path: Path, record: Mapping[str, Any]) -> None:
    """Write a whole file of torch's, or nothing. Raises: OSError where the disk cannot take it."""
    with written_whole(path, one_writer=True) as file:
        sink = _Sink(file)
        torch.save(record, sink)  # type: ignore[arg-type]
        if sink.error is not None:
            raise sink.error


class _Sink:
    """Takes what torch writes and keeps the first error: one that it saw, in C++, would abort the process."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write, unless that failed before."""
        if self.error is None:
            try:
                self.file.write(data)
            except OSError as error:
                self.error = error
        return len(data)

    def flush(self) -> None:
        """Nothing: the file is flushed when all is written."""


def load_checkpoint(path: Path) -> tuple[TrainingState, dict[str, Any]]:
    """Read a state and what is known about it; its tensors are on the CPU. No code in the file is run.

    Raises: ValueError if the file cannot be read, is no checkpoint of ours or of another format.
    """
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):  # torch would take it for a pickle and fail in any way
                raise ValueError(f"{path} is no checkpoint")
        record = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is no checkpoint: {str(error).splitlines()[0]}") from None
    if not isinstance(record, dict) or not {"format", "state", "about"} <= set(record):
        raise ValueError(f"{path} is no checkpoint of `nas train`")
    if record["format"] != FORMAT:
        raise ValueError(f"{path} has format {record['format']!r}, this version reads {FORMAT}")
    return TrainingState(**record["state"]), record["about"]
