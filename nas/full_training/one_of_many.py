"""What a worker of Ray's does with one of many trainings: trains in its folder, or goes on there. No ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.full_training.data import prepare_for_training
from nas.full_training.folder import Weights, kept_state
from nas.full_training.run import train_in
from nas.full_training.trainings import Training
from nas.runs.folder import locked, make
from nas.trackers.callback import Callback
from nas.training.device import resolve_device, threads_limited
from nas.trials.answer import Report
from search_space.architecture import Architecture

EVALUATOR = f"{__name__}:train_one"


@dataclass(frozen=True)
class Shared:
    """What all of many trainings are given."""

    folder: Path  # absolute; of the study
    trainings: Mapping[int, Training]  # by number
    origins: Mapping[int, Mapping[str, Any]]  # the provenance of each that begins
    threads: int  # CPU threads of each
    test: Weights | None  # weights to evaluate on the test split


def train_one(architecture: Architecture, number: int, shared: Shared, report: Report) -> dict[str, Any]:
    """Train, or go on from what the training's folder keeps.

    Args:
        number: of the training, in place of a candidate's seed.
        report: told after every epoch.
    Returns: status, error and curve, as fields of a Trial; the rest is in the folder.
    Raises: ValueError as `nas.full_training.train` does.
    """
    training = shared.trainings[number]
    config, folder = training.config, shared.folder / training.name
    if not shared.folder.is_dir():
        raise ValueError(f"{shared.folder} is not there; on a cluster it must be on storage that all nodes share")
    prepared = prepare_for_training(config)
    device = resolve_device(config.device)
    make(folder)
    # A worker whose driver was killed may live on for a moment: whoever comes next waits for it.
    with locked(folder, "training", wait=True), threads_limited(shared.threads):
        kept = kept_state(folder, config, prepared)
        listener = _Reporter(report, () if kept is None else kept[0].curve)
        result = train_in(
            folder, config, prepared, shared.test, device, kept, shared.origins[number], listener=listener
        )
    return {"status": result.status, "error": result.error, "curve": result.curve}


class _Reporter(Callback):
    """Reports the curve so far after every epoch."""

    def __init__(self, report: Report, curve: tuple[Mapping[str, Any], ...]) -> None:
        self.report, self.curve = report, [*curve]

    def on_epoch(self, epoch: Mapping[str, Any], trial_id: int | None = None) -> None:
        """Report."""
        self.curve.append(epoch)
        self.report({"curve": self.curve})
