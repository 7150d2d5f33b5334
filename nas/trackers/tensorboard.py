"""Writes TensorBoard's event files, with tensorboardX, which Ray Tune brings: its only door."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.runs.ranking import score
from nas.runs.trial import Trial
from nas.trackers.callback import Callback, SearchInfo, TrainingEnd, TrainingInfo
from nas.trackers.record import decisions, epoch_numbers, flat, is_number, need, numbers
from search_space.space import SearchSpace

FOLDER = "tensorboard"  # in the run's or the training's folder; `tensorboard --logdir` takes it


class TensorBoard(Callback):
    """Event files in `tensorboard` of the run folder.

    Of a search each trial is a run of its own, `trial-0007`, written when it is finished: its epochs under `epoch/`
    (step = epochs done), what was measured under `final/` and its decisions as hyperparameters, which the tab HPARAMS
    sets beside each other. `search` has the reward and the best so far by the number of finished trials. A trial's
    folder appears whole; a search that goes on writes those that are missing, and `search` anew.

    A full training's epochs are in the folder itself, what came out in `result`. One that goes on hides what was
    written after its checkpoint.

    Raises: ValueError if tensorboardX is not installed.
    """

    live = False

    def __init__(self) -> None:
        need("tensorboardX", "tensorboardX", "tensorboard")

    # ---- a search

    def on_search_begin(self, search: SearchInfo) -> None:
        """Make the files agree with the trials that there are."""
        self.folder, self.space = search.folder / FOLDER, SearchSpace.from_dict(search.config["space"])
        shutil.rmtree(self.folder / "search", ignore_errors=True)
        self.writer, self.done, self.best = _writer(self.folder / "search"), 0, float("-inf")
        for trial in search.trials:
            self._add(trial)
        self.writer.flush()

    def on_trial_end(self, trial: Trial) -> None:
        """Write a finished trial."""
        self._add(trial)
        self.writer.flush()

    def on_search_end(self, search: SearchInfo) -> None:
        """Close the files."""
        self.writer.close()

    def _add(self, trial: Trial) -> None:
        self.done += 1
        reward = score(trial)
        if reward is not None:
            self.best = max(self.best, reward)
            self.writer.add_scalar("search/reward", reward, self.done)
            self.writer.add_scalar("search/best_reward", self.best, self.done)
        run = self.folder / f"trial-{trial.trial_id:04}"
        if not run.exists():
            chosen = decisions(self.space, trial.architecture)
            _write_run(run, {**chosen, "status": trial.status, "arch_id": trial.arch_id}, numbers(trial), trial.curve)

    # ---- a full training

    def on_train_begin(self, training: TrainingInfo) -> None:
        """Open the files; hide what was written after the checkpoint that the training goes on from."""
        folder, done = training.folder / FOLDER, len(training.curve)
        begun = any(folder.glob("events.*"))
        self.writer = _writer(folder, purge_step=done + 1 if begun else None)
        if not begun:
            for epoch in training.curve:
                self._add_epoch(epoch)
        self.writer.flush()

    def on_epoch(self, epoch: Mapping[str, Any], trial_id: int | None = None) -> None:
        """Write an epoch."""
        self._add_epoch(epoch)
        self.writer.flush()

    def on_train_end(self, training: TrainingInfo, result: TrainingEnd) -> None:
        """Write what came out, in place of what is there, and close the files."""
        self.writer.close()
        tested = {f"test_{name}": value for name, value in (result.test or {}).items()}
        came_out = {"accuracy": result.accuracy, "loss": result.loss, "best_accuracy": result.best_accuracy} | tested
        metrics = {name: float(value) for name, value in came_out.items() if is_number(value)}
        run = training.folder / FOLDER / "result"
        shutil.rmtree(run, ignore_errors=True)
        _write_run(run, {**dict(flat(training.config)), "status": result.status}, metrics, ())

    def _add_epoch(self, epoch: Mapping[str, Any]) -> None:
        for name, value in epoch_numbers(epoch).items():
            self.writer.add_scalar(name, value, epoch["epoch"] + 1)


def _writer(folder: Path, purge_step: int | None = None) -> Any:
    from tensorboardX import SummaryWriter

    # Two files of the same second would have the same name, and the second would overwrite the first.
    return SummaryWriter(str(folder), purge_step=purge_step, filename_suffix=f".{time.time_ns()}")


def _write_run(
    folder: Path, settings: Mapping[str, Any], metrics: Mapping[str, float], curve: Sequence[Mapping[str, Any]]
) -> None:
    """Write a run whole: a process that is killed leaves none."""
    from tensorboardX.summary import hparams

    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    writer = _writer(unfinished)
    plain = {
        name: value if isinstance(value, str | bool | int | float) else str(value) for name, value in settings.items()
    }
    for summary in hparams(plain, {f"final/{name}": value for name, value in metrics.items()}):
        writer.file_writer.add_summary(summary)
    for epoch in curve:
        for name, value in epoch_numbers(epoch).items():
            writer.add_scalar(f"epoch/{name}", value, epoch["epoch"] + 1)
    for name, value in metrics.items():
        writer.add_scalar(f"final/{name}", value, len(curve))
    writer.close()
    unfinished.rename(folder)
