"""Where progress is shown without a notebook: a live bar on a terminal, a line now and then in a pipe."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.table import Column
from rich.text import Text

Look = Callable[[], tuple[float, str]]  # gives the work done and the line that says how far that is

_PIPE_INTERVAL_S = 30.0


class Bar:
    """A bar below the lines of a terminal; the time in it runs also while nothing happens."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress: Progress | None = None

    def say(self, text: str) -> None:
        """Print a line, broken between words; paths and error messages are no markup."""
        self.console.print(wrapped(text, self.console.width), soft_wrap=True, markup=False, emoji=False)

    def start(self, total: float, look: Look) -> None:
        """Show the bar, of which `look` says how far it is."""
        bar = BarColumn(bar_width=24 if self.console.width >= 100 else 8)
        self.look = look
        self.progress = Progress(bar, _Line(look), console=self.console, redirect_stdout=False, redirect_stderr=False)
        self.progress.start()
        self.task = self.progress.add_task("", total=total)
        self.show(worth_a_line=False)

    def show(self, *, worth_a_line: bool) -> None:
        """Show what changed."""
        if self.progress is not None:
            self.progress.update(self.task, completed=self.look()[0])

    def stop(self, *, worth_a_line: bool) -> None:
        """End the bar; again is harmless."""
        if self.progress is not None:
            self.show(worth_a_line=worth_a_line)
            self.progress.stop()
            self.progress = None


class Lines:
    """A line when something worth it happened, but for every half minute at most, and one at the end."""

    def __init__(self, console: Console) -> None:
        self.console, self.last_line, self.said = console, 0.0, ""
        self.look: Look | None = None

    def say(self, text: str) -> None:
        """Print a line, as it is and however long: a log is searched by lines."""
        self.console.print(text, soft_wrap=True, markup=False, emoji=False)

    def start(self, total: float, look: Look) -> None:
        """Begin to watch what `look` says."""
        self.look = look

    def show(self, *, worth_a_line: bool) -> None:
        """Print how far it is, if that is worth a line and it is time for one."""
        if self.look is not None and worth_a_line and time.monotonic() - self.last_line > _PIPE_INTERVAL_S:
            self.last_line, self.said = time.monotonic(), self.look()[1]
            self.say(self.said)

    def stop(self, *, worth_a_line: bool) -> None:
        """Print how far it came, unless that was the last line; again is harmless."""
        if self.look is not None and worth_a_line and (line := self.look()[1]) != self.said:
            self.say(line)
        self.look = None


PIPE_COLUMNS = 80  # where nothing else is said


def wrapped(text: str, width: int, indent: int = 0) -> str:
    """Break text between words, so that each line of it fits; a word that is longer, such as a path, stays whole.

    Args:
        width: characters a line.
        indent: blanks before the lines that a line is continued on.
    """
    wrapper = textwrap.TextWrapper(
        max(width, indent + 20), subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(part for line in text.split("\n") for part in wrapper.wrap(line) or [""])


def pipe_columns() -> int:
    """How wide what is printed may be where no terminal says so: the variable COLUMNS, as other programs take it."""
    said = os.environ.get("COLUMNS", "")
    return int(said) if said.isdecimal() and int(said) else PIPE_COLUMNS


class OpenConsole(Console):
    """A console whose reader may go away: rich would close standard output, whichever stream it was, and exit."""

    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError, which rich has just caught."""
        raise


def error_console() -> Console:
    """Give the console of standard error as it is now: whoever redirects it later does not redirect this one."""
    return OpenConsole(file=sys.stderr, highlight=False)


class _Line(ProgressColumn):
    """Text that is made anew at each refresh, so that the time runs also while nothing finishes."""

    max_refresh = 0.5  # seconds

    def __init__(self, look: Look) -> None:
        super().__init__(Column(no_wrap=True, overflow="ellipsis"))
        self.look = look

    def render(self, task: Task) -> Text:
        """Give the text."""
        return Text(self.look()[1])
