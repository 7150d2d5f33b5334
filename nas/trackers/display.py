"""The display: shows a search or a full training while it runs, on a terminal, in a pipe or in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from nas.trackers.callback import Callback, SearchInfo, TrainingEnd, TrainingInfo
from nas.trackers.notebook import NotebookBar, in_notebook
from nas.trackers.progress import SearchProgress, TrainProgress
from nas.trackers.terminal import Bar, Lines, Look, error_console

if TYPE_CHECKING:
    from nas.algorithms import Proposal
    from nas.runs.trial import Trial

_TOLD_FAILURES = 3  # of which the errors are shown; all are in the log


class Screen(Protocol):
    """Where progress is shown."""

    def say(self, text: str) -> None:
        """Show a line that stays."""

    def start(self, total: float, look: Look) -> None:
        """Begin to show how far something is.

        Args:
            total: work in all.
            look: gives the work done and the line that says it.
        """

    def show(self, *, worth_a_line: bool) -> None:
        """Take that something changed; worth a line where lines are all there is, or not."""

    def stop(self, *, worth_a_line: bool) -> None:
        """Show how far it came, for the last time."""


def fitting_screen() -> Screen:
    """Give the screen that fits where this runs: a notebook, a terminal, or a pipe or file."""
    if in_notebook():
        return NotebookBar()
    console = error_console()
    return Bar(console) if console.is_terminal else Lines(console)


class Display(Callback):
    """Shows how far a search or a full training is, errors of its first failures, and messages.

    Args:
        screen: where; default: what fits where this runs. One that belongs to a terminal keeps the standard error of
            the moment it is made, whatever that is redirected to later.
    """

    live, alone = False, True

    def __init__(self, *, screen: Screen | None = None) -> None:
        self.screen = screen or fitting_screen()
        self.failures = 0

    def on_message(self, text: str) -> None:
        """Show a line."""
        self.screen.say(text)

    # ---- a search

    def on_search_begin(self, search: SearchInfo) -> None:
        """Begin to show; trials of an earlier part of the search count as done."""
        self.search = SearchProgress(search)
        self.failures = self.search.statuses["failed"]
        if self.search.done >= search.budget:
            self.screen.say(f"{search.folder}: finished, all {search.budget} trials are done; --trials extends it")
            return
        again = f", {self.search.done} done before" if self.search.done else ""
        self.screen.say(f"{search.folder}: {search.budget} trials, {search.workers} at once{again}")
        self.screen.start(search.budget, self.search.look)

    def on_timing(self, timing: Trial) -> None:
        """Count what is no trial."""
        self.search.timed += 1
        self.screen.show(worth_a_line=False)

    def on_trial_begin(self, trial_id: int, proposal: Proposal) -> None:
        """Count a worker that is busy, and show what has finished: just before, its place looked idle."""
        self.search.running.add(trial_id)
        self.screen.show(worth_a_line=self.search.done > self.search.done_before)

    def on_trial_lost(self, trial_id: int) -> None:
        """Count one that is not."""
        self.search.running.discard(trial_id)
        self.screen.show(worth_a_line=False)

    def on_trial_end(self, trial: Trial) -> None:
        """Show a finished trial, and what the first failures' errors were."""
        self.search.count(trial)
        if trial.status == "failed":
            self.failures += 1
            if self.failures <= _TOLD_FAILURES:
                self.screen.say(f"trial {trial.trial_id} failed: {trial.error}")
        all_began = self.search.done + len(self.search.running) >= self.search.total
        self.screen.show(worth_a_line=all_began)

    def on_search_end(self, search: SearchInfo) -> None:
        """Show how far it came."""
        self.screen.stop(worth_a_line=True)

    # ---- a full training

    def on_train_begin(self, training: TrainingInfo) -> None:
        """Begin to show; epochs done before count as done."""
        self.training = TrainProgress(training)
        again = f", {self.training.done} done before" if self.training.done else ""
        epochs = f"{training.epochs} {'epoch' if training.epochs == 1 else 'epochs'}"
        self.screen.say(f"{training.folder}: {epochs} on {training.device}{again}")
        self.screen.start(self.training.total, self.training.look)

    def on_step(self) -> None:
        """Count a step."""
        self.training.count_step()
        self.screen.show(worth_a_line=False)

    def on_epoch(self, epoch: Mapping[str, Any], trial_id: int | None = None) -> None:
        """Show an epoch that is done."""
        self.training.count(epoch)
        if self.training.done < len(self.training.work):  # the last line is that of the end
            self.screen.show(worth_a_line=True)

    def on_train_end(self, training: TrainingInfo, result: TrainingEnd) -> None:
        """Show how far it came."""
        self.screen.stop(worth_a_line=self.training.done > len(training.curve))
