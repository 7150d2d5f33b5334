"""How far many trainings are that run side by side: one line, on a terminal, in a pipe or in a notebook."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

from nas.runs.text import duration
from nas.trackers.display import Screen, fitting_screen
from nas.trackers.progress import Clock

_TOLD_FAILURES = 3  # of which the errors are shown; all are in what comes back


class TrainingsProgress:
    """Trainings by status, how many run, and the time left.

    Args:
        work: of each training, by name, in any unit that grows with the time that it takes.
        at_once: trainings that run side by side.
        clock: seconds.
    """

    def __init__(self, work: Mapping[str, float], at_once: int, clock: Clock = time.monotonic) -> None:
        self.work, self.at_once, self.clock = work, at_once, clock
        self.total = sum(work.values())
        self.worked: dict[str, float] = {}
        self.statuses: Counter[str] = Counter()
        self.running: set[str] = set()
        self.began = clock()
        self.first: tuple[float, float] | None = None  # when anything ran first, and the work done until then

    def start(self, name: str) -> None:
        """Take that a training begins, or goes on."""
        self.running.add(name)
        self.first = self.first or (self.clock(), sum(self.worked.values()))

    def count(self, name: str, share: float) -> None:
        """Take how much of a training is done, in [0, 1]."""
        self.worked[name] = self.work[name] * share

    def lose(self, name: str) -> None:
        """Take that a training's process went away."""
        self.running.discard(name)

    def end(self, name: str, status: str) -> None:
        """Take that a training is over; one that failed is no work any more."""
        self.running.discard(name)
        self.statuses[status] += 1
        self.worked[name] = self.work[name]

    def look(self) -> tuple[float, str]:
        """Give the work done, and the line."""
        ended, worked = self.statuses.total(), sum(self.worked.values())
        elapsed = self.clock() - self.began
        parts = [f"{ended}/{len(self.work)} trained"]
        parts += [f"{status} {n}" for status, n in sorted(self.statuses.items()) if status != "ok"]
        parts.append(f"running {len(self.running)}/{self.at_once}")
        if self.first is not None and ended < len(self.work) and worked > self.first[1]:
            rate = (worked - self.first[1]) / (self.clock() - self.first[0])
            parts.append(f"ETA {duration((self.total - worked) / rate)}")
        return worked, ", ".join([*parts, duration(elapsed)])


class TrainingsDisplay:
    """Shows how far many trainings are, and the errors of the first that failed.

    Args:
        screen: where; default: what fits where this runs.
    """

    def __init__(self, screen: Screen | None = None) -> None:
        self.screen = screen or fitting_screen()
        self.progress: TrainingsProgress | None = None
        self.failures = 0

    def say(self, text: str) -> None:
        """Show a line that stays."""
        self.screen.say(text)

    def begin(self, progress: TrainingsProgress) -> None:
        """Begin to show."""
        self.progress = progress
        self.screen.start(progress.total, progress.look)

    def show(self, *, worth_a_line: bool = False) -> None:
        """Take that something changed."""
        self.screen.show(worth_a_line=worth_a_line)

    def failed(self, name: str, status: str, error: str | None) -> None:
        """Show why a training came to nothing, of the first ones."""
        self.failures += 1
        if self.failures <= _TOLD_FAILURES:
            self.say(f"{name}: {status}: {error}")

    def end(self) -> None:
        """Show how far it came."""
        self.screen.stop(worth_a_line=True)
