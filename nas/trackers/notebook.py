"""Where progress is shown in Jupyter: lines and a bar below a cell, in one output that changes. IPython's only door."""

from __future__ import annotations

import html
import sys
import time
import uuid
from typing import Any

from nas.trackers.terminal import Look

_INTERVAL_S = 0.5  # between two changes: each is a message to the browser
_LINES = 50  # that are kept


class NotebookBar:
    """Lines and a bar as an HTML output; standard output and error may go elsewhere meanwhile."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.look: Look | None = None
        self.total, self.identity, self.shown, self.last = 0.0, f"nas-{uuid.uuid4().hex}", False, 0.0

    def say(self, text: str) -> None:
        """Add a line."""
        self.lines = [*self.lines, text][-_LINES:]
        self._draw()

    def start(self, total: float, look: Look) -> None:
        """Show the bar, of which `look` says how far it is."""
        self.total, self.look = total, look
        self._draw()

    def show(self, *, worth_a_line: bool) -> None:
        """Show what changed, unless that was just done."""
        if time.monotonic() - self.last >= _INTERVAL_S:
            self._draw()

    def stop(self, *, worth_a_line: bool) -> None:
        """Leave the bar as it is in the end; again is harmless."""
        if self.look is not None:
            _, text = self.look()
            self._draw()
            self.look = None
            self.lines.append(text)  # what is said from now on stands below it

    def _draw(self) -> None:
        from IPython.display import display

        self.last = time.monotonic()
        display(self._pictures(), raw=True, display_id=self.identity, update=self.shown)
        self.shown = True

    def _pictures(self) -> dict[str, str]:
        """The same as HTML and, where no HTML is shown, as text."""
        rows = [f"<div>{html.escape(line)}</div>" for line in self.lines]
        plain = list(self.lines)
        if self.look is not None:
            done, text = self.look()
            bar = f'<progress value="{done:g}" max="{self.total:g}"></progress>'
            rows.append(f"<div>{bar} {html.escape(text)}</div>")
            plain.append(text)
        style = "font-family: monospace; white-space: pre-wrap"
        return {"text/html": f'<div style="{style}">{"".join(rows)}</div>', "text/plain": "\n".join(plain)}


def in_notebook() -> bool:
    """Whether this process is a Jupyter kernel. IPython is not imported to find out: a kernel has imported it."""
    ipython: Any = sys.modules.get("IPython")
    return ipython is not None and type(ipython.get_ipython()).__name__ == "ZMQInteractiveShell"
