"""What a full training leaves and shows while it runs: metrics as JSON lines and for TensorBoard, a bar or lines."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn

from nas.commands.terminal import console, duration
from nas.config.train import Stage
from nas.runs.folder import write_whole
from nas.runs.log import JsonLines
from nas.training.result import EpochResult

_PIPE_INTERVAL_S = 30.0
_SCALARS = ("train_loss", "loss", "accuracy", "learning_rate", "image_size", "images_per_s")


class Metrics:
    """Writes down each epoch: a JSON line, and for TensorBoard if tensorboardX is installed.

    Args:
        path: of the JSON lines; TensorBoard's files go into `tensorboard` beside it.
        curve: epochs that are done already: the file is made to hold these, no more and no less.
    """

    def __init__(self, path: Path, curve: Sequence[Mapping[str, Any]]) -> None:
        write_whole(path, "".join(json.dumps(epoch, separators=(",", ":")) + "\n" for epoch in curve))
        self.lines = JsonLines(path)
        self.board = _board(path.parent / "tensorboard", len(curve))

    def append(self, epoch: EpochResult) -> None:
        """Write down an epoch that is done, and its checkpoint written."""
        self.lines.append(epoch.to_dict())
        if self.board is not None:
            for name in _SCALARS:
                if getattr(epoch, name) is not None:
                    self.board.add_scalar(name, getattr(epoch, name), epoch.epoch + 1)
            self.board.flush()

    def close(self) -> None:
        """Close the files."""
        self.lines.close()
        if self.board is not None:
            self.board.close()


class TrainDisplay:
    """Shows how far a training is: a bar with the time left, or lines where there is no terminal.

    The time left counts pixels: an epoch of twice the image size takes four times as long.

    Args:
        folder: of the training.
        stages: of the training.
        images: training images an epoch.
        done: epochs that are done already.
    """

    def __init__(self, folder: Path, stages: Sequence[Stage], images: int, done: int) -> None:
        self.folder, self.done = folder, done
        by_epoch = [stage for stage in stages for _ in range(stage.epochs)]
        self.work = [stage.strengths.image_size**2 for stage in by_epoch]  # of each epoch
        self.steps = [max(1, images // stage.batch_size) for stage in by_epoch]
        self.console = console(stderr=True)
        self.state, self.step = "", 0
        self.began, self.last_line, self.before = time.monotonic(), 0.0, self._worked()
        self.first_step: float | None = None  # when; what comes before it says nothing of the rest
        columns = (BarColumn(bar_width=24), TextColumn("{task.fields[state]}"))
        self.bar = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self.task = self.bar.add_task("", total=sum(self.work), state="")

    def __enter__(self) -> TrainDisplay:
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bar.stop()

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, soft_wrap=True)

    def begin(self, device: str) -> None:
        """Say what is about to happen."""
        again = f", {self.done} done before" if self.done else ""
        self.say(f"{self.folder}: {len(self.work)} epochs on {device}{again}")

    def on_step(self) -> None:
        """Count a step that begins."""
        self.step += 1
        self._started(0.0)
        self._show()

    def on_epoch(self, epoch: Mapping[str, Any]) -> None:
        """Show an epoch that is done, the fields of EpochResult."""
        self.done, self.step = epoch["epoch"] + 1, 0
        self._started(epoch["seconds"])
        accuracy = "" if epoch["accuracy"] is None else f", accuracy {epoch['accuracy']:.4f}"
        self.state = f"train loss {epoch['train_loss']:.4f}{accuracy}, {epoch['image_size']} px"
        self._show()
        if self.console.is_terminal:
            return
        if time.monotonic() - self.last_line > _PIPE_INTERVAL_S or self.done == len(self.work):
            self.last_line = time.monotonic()
            self.say(self._line())

    def _show(self) -> None:
        if self.console.is_terminal:
            self.bar.update(self.task, completed=self._worked(), state=self._line())

    def _started(self, ago_s: float) -> None:
        if self.first_step is None:
            self.first_step = time.monotonic() - ago_s

    def _worked(self) -> float:
        """Work done: of whole epochs, and of the steps of this one."""
        whole = sum(self.work[: self.done])
        if self.done == len(self.work):
            return whole
        return whole + self.work[self.done] * min(1.0, self.step / self.steps[self.done])

    def _line(self) -> str:
        elapsed, worked = time.monotonic() - self.began, self._worked()
        parts = [f"epoch {self.done}/{len(self.work)}", self.state]
        if self.first_step is not None and sum(self.work[: self.done]) > self.before and self.done < len(self.work):
            rate = (worked - self.before) / (time.monotonic() - self.first_step)
            parts.append(f"ETA {duration((sum(self.work) - worked) / rate)}")
        return ", ".join(part for part in (*parts, duration(elapsed)) if part)


def _board(folder: Path, done: int) -> Any:
    """A writer of TensorBoard's event files that hides what was written after the checkpoint, or None."""
    if importlib.util.find_spec("tensorboardX") is None:
        return None
    from tensorboardX import SummaryWriter

    return SummaryWriter(str(folder), purge_step=done + 1 if done else None)
