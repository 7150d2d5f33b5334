"""What a training tells: the curve, and what became of it. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["ok", "nan", "oom", "timeout", "pruned"]


@dataclass(frozen=True)
class EpochResult:
    """One epoch: a line of the training curve. None = not evaluated in this epoch."""

    epoch: int  # counted from 0
    train_loss: float  # mean over the epoch's batches, as trained: with label smoothing and augmentation
    loss: float | None  # on the evaluation batches
    accuracy: float | None  # top-1 on the evaluation batches, [0, 1]
    learning_rate: float  # of the last update
    image_size: int  # pixels
    seconds: float  # training alone, without the evaluation and pauses
    images_per_s: float
    metrics: Mapping[str, float] = field(default_factory=dict)  # what else the objective measures

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `EpochResult(**record)` gives it back. `metrics` only where there are any."""
        record = asdict(self)
        if not record["metrics"]:
            del record["metrics"]
        return record


@dataclass(frozen=True)
class TrainResult:
    """What became of a training. The last evaluated epoch gives accuracy and loss; None where none was evaluated."""

    status: Status
    error: str | None  # the reason, where the status is not ok
    accuracy: float | None  # top-1, [0, 1]; of the averaged weights if EMA is on
    loss: float | None
    metrics: Mapping[str, float]  # what else the objective measures, in the same epoch; empty with classification
    curve: tuple[dict[str, Any], ...]  # the fields of EpochResult, per finished epoch
    epochs_done: int
    micro_batch: int  # images per forward; below the batch size, batch norm saw fewer images than the update
    seconds: float  # wall time of everything, evaluation included
    data_wait_s: float  # of it, waiting for the next batch
    peak_memory_mb: float | None  # most that tensors took of the GPU, MiB; None on a CPU, where nothing counts it
    precision: str
    memory_format: str
