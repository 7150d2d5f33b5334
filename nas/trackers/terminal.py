"""What a running search shows: a live bar on a terminal, a line now and then in a pipe."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task
from rich.table import Column
from rich.text import Text

from nas.runs.text import duration
from nas.runs.trial import Trial
from nas.trackers.callback import Callback

if TYPE_CHECKING:
    from nas.trackers.callback import SearchInfo

_PIPE_INTERVAL_S = 30.0
_TOLD_FAILURES = 3  # of which the errors are shown; all are in the log


class _State(ProgressColumn):
    """Text that is made anew at each refresh, so that the time runs also while nothing finishes."""

    max_refresh = 0.5  # seconds

    def __init__(self, say: Callable[[], str]) -> None:
        super().__init__(Column(no_wrap=True, overflow="ellipsis"))
        self.say = say

    def render(self, task: Task) -> Text:
        """Give the text."""
        return Text(self.say())


class Display(Callback):
    """Shows how far a search is, its best reward so far, trials ok and failed, workers busy and the time left."""

    def __init__(self) -> None:
        # Ray's noise is kept off sys.stderr while the search runs; the display keeps the real one.
        self.console = Console(file=sys.stderr, highlight=False)
        self.total = 0
        self.progress: Progress | None = None
        self.statuses: Counter[str] = Counter()
        self.best: Trial | None = None
        self.best_reward = -math.inf
        self.running: set[int] = set()
        self.slots, self.began, self.done_before, self.last_line = 0, time.monotonic(), 0, 0.0

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, soft_wrap=True)

    def on_message(self, text: str) -> None:
        """Print a line."""
        self.say(text)

    def on_search_begin(self, search: SearchInfo) -> None:
        """Begin to show; trials of an earlier part of the search count as done."""
        self.total = search.budget
        self.slots, self.began, self.done_before = search.workers, time.monotonic(), len(search.trials)
        for trial in search.trials:
            self._count(trial)
        again = f", {self.done_before} done before" if self.done_before else ""
        self.say(f"{search.folder}: {self.total} trials, {self.slots} at once{again}")
        if self.console.is_terminal:
            bar = BarColumn(bar_width=24 if self.console.width >= 100 else 8)
            columns = (bar, MofNCompleteColumn(), _State(self.state))
            self.progress = Progress(*columns, console=self.console, redirect_stdout=False, redirect_stderr=False)
            self.progress.start()
            self.task = self.progress.add_task("", total=self.total, completed=self.done_before)

    def on_trial_begin(self, trial_id: int, proposal: Any) -> None:
        """Count a worker that is busy."""
        self.running.add(trial_id)
        self._show(False)

    def on_trial_lost(self, trial_id: int) -> None:
        """Count one that is not."""
        self.running.discard(trial_id)
        self._show(False)

    def on_trial_end(self, trial: Trial) -> None:
        """Show a finished trial."""
        self.running.discard(trial.trial_id)
        self._count(trial)
        if trial.status == "failed" and self.statuses["failed"] <= _TOLD_FAILURES:
            self.say(f"trial {trial.trial_id} failed: {trial.error}")
        self._show(True)

    def on_search_end(self, search: SearchInfo) -> None:
        """End the bar."""
        self.stop()

    def _show(self, ended: bool) -> None:
        if self.progress is not None:
            self.progress.update(self.task, completed=self.done)
        elif ended and time.monotonic() - self.last_line > _PIPE_INTERVAL_S:
            self.last_line = time.monotonic()
            self.say(f"{self.done}/{self.total} {self.state()}")

    def stop(self) -> None:
        """End the bar; again is harmless."""
        if self.progress is not None:
            self.progress.update(self.task, completed=self.done)
            self.progress.stop()
            self.progress = None
        elif self.slots:
            self.say(f"{self.done}/{self.total} {self.state()}")
        self.slots = 0

    @property
    def done(self) -> int:
        """Finished trials."""
        return self.statuses.total()

    def _count(self, trial: Trial) -> None:
        self.statuses[trial.status] += 1
        if trial.reward is not None and trial.reward > self.best_reward:
            self.best, self.best_reward = trial, trial.reward

    def state(self) -> str:
        """Say everything but the count."""
        parts: list[Any] = [f"ok {self.statuses['ok']}"]
        parts += [f"{status} {n}" for status, n in sorted(self.statuses.items()) if status != "ok"]
        if self.best is not None:
            parts.append(f"best {self.best_reward:.4f} (trial {self.best.trial_id})")
        parts.append(f"busy {len(self.running)}/{self.slots}")
        new, elapsed = self.done - self.done_before, time.monotonic() - self.began
        if new and self.done < self.total:
            parts.append(f"ETA {duration(elapsed / new * (self.total - self.done))}")
        parts.append(duration(elapsed))
        return ", ".join(parts)
