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
from nas.whole_files import write_whole
from search_space.space import SearchSpace

FOLDER = "tensorboard"  # in the run's or the training's folder; `tensorboard --logdir` takes it
_TOLD = "epochs"  # a file there: how many of a training's epochs were written


class TensorBoard(Callback):
    """Event files in `tensorboard` of the run folder.

    Of a search each trial is a run of its own, `trial-0007`, written when it is finished: its epochs under `epoch/`
    (step = epochs done), what was measured under `final/` and its decisions as hyperparameters, which the tab HPARAMS
    sets beside each other. `search` has the reward and the best so far by the number of finished trials. A trial's
    folder appears whole; a search that goes on writes those that are missing, and `search` anew.

    A full training's epochs are in the folder itself, what came out in `result`. One that goes on hides what was
    written after its checkpoint, and adds what a kill kept back.

    Raises: ValueError if tensorboardX is not installed.
    """

    live, alone = False, True

    def __init__(self) -> None:
        need("tensorboardX", "tensorboardX", "tensorboard")

    # ---- a search

    def on_search_begin(self, search: SearchInfo) -> None:
        """Make the files agree with the trials that there are."""
        self.folder, self.space = search.folder / FOLDER, SearchSpace.from_dict(search.config["space"])
        shutil.rmtree(self.folder / "search", ignore_errors=True)
        self.events, self.done, self.best = _Events(self.folder / "search"), 0, float("-inf")
        for trial in search.trials:
            self._add(trial)
        self.events.flush()

    def on_trial_end(self, trial: Trial) -> None:
        """Write a finished trial."""
        self._add(trial)
        self.events.flush()

    def on_search_end(self, search: SearchInfo) -> None:
        """Close the files."""
        self.events.close()

    def _add(self, trial: Trial) -> None:
        self.done += 1
        reward = score(trial)
        if reward is not None:
            self.best = max(self.best, reward)
            self.events.add({"search/reward": reward, "search/best_reward": self.best}, self.done)
        run = self.folder / f"trial-{trial.trial_id:04}"
        if not run.exists():
            chosen = decisions(self.space, trial.architecture)
            _write_run(run, {**chosen, "status": trial.status, "arch_id": trial.arch_id}, numbers(trial), trial.curve)

    # ---- a full training

    def on_train_begin(self, training: TrainingInfo) -> None:
        """Make the files agree with the epochs that there are: hide what was written after, add what is missing."""
        self.folder, done = training.folder / FOLDER, len(training.curve)
        begun, told = any(self.folder.glob("events.*")), self.folder / _TOLD
        # Files of earlier versions were written by the training itself and have all that it kept.
        written = min(done, int(told.read_text()) if told.exists() else done) if begun else 0
        self.events = _Events(self.folder, hidden_from=written + 1 if begun else None)
        for epoch in training.curve[written:]:
            self.on_epoch(epoch)

    def on_epoch(self, epoch: Mapping[str, Any], trial_id: int | None = None) -> None:
        """Write an epoch."""
        step = epoch["epoch"] + 1
        self.events.add(epoch_numbers(epoch), step)
        self.events.flush()
        write_whole(self.folder / _TOLD, f"{step}\n")

    def on_train_end(self, training: TrainingInfo, result: TrainingEnd) -> None:
        """Write what came out, in place of what is there, and close the files."""
        self.events.close()
        tested = {f"test_{name}": value for name, value in (result.test or {}).items()}
        came_out = {"accuracy": result.accuracy, "loss": result.loss, "best_accuracy": result.best_accuracy} | tested
        metrics = {name: float(value) for name, value in came_out.items() if is_number(value)}
        run = training.folder / FOLDER / "result"
        shutil.rmtree(run, ignore_errors=True)
        _write_run(run, {**dict(flat(training.config)), "status": result.status}, metrics, ())


class _Events:
    """An event file. Its writer is tensorboardX's innermost one: the others' `flush` does not wait for their queue.

    Args:
        folder: in which it is made.
        hidden_from: step from which on events of older files in the folder are hidden.
    """

    def __init__(self, folder: Path, hidden_from: int | None = None) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2

        folder.mkdir(parents=True, exist_ok=True)
        # Two files of the same second would have the same name, and the second would overwrite the first.
        self.file = EventsWriter(str(folder / "events"), filename_suffix=f".{time.time_ns()}")
        self.make = event_pb2.Event
        if hidden_from is not None:
            session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self.file.write_event(self.make(step=hidden_from, session_log=session))

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Add scalars of a step."""
        from tensorboardX.summary import scalar

        for name, value in values.items():
            self.add_summary(scalar(name, value), step)

    def add_summary(self, summary: Any, step: int = 0) -> None:
        self.file.write_event(self.make(wall_time=time.time(), step=step, summary=summary))

    def flush(self) -> None:
        """Wait until everything is on disk."""
        self.file.flush()

    def close(self) -> None:
        self.file.close()


def _write_run(
    folder: Path, settings: Mapping[str, Any], metrics: Mapping[str, float], curve: Sequence[Mapping[str, Any]]
) -> None:
    """Write a run whole: a process that is killed leaves none."""
    from tensorboardX.summary import hparams

    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    events = _Events(unfinished)
    plain = {
        name: value if isinstance(value, str | bool | int | float) else str(value) for name, value in settings.items()
    }
    for summary in hparams(plain, {f"final/{name}": value for name, value in metrics.items()}):
        events.add_summary(summary)
    for epoch in curve:
        events.add({f"epoch/{name}": value for name, value in epoch_numbers(epoch).items()}, epoch["epoch"] + 1)
    events.add({f"final/{name}": value for name, value in metrics.items()}, len(curve))
    events.close()
    unfinished.rename(folder)
