"""Which page of the documentation helps with an error: that of the part of the toolkit which found it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

# Of the deepest part that an error came through; the longest name that fits counts.
PAGES = {
    "nas.data": "docs/data.md",
    "nas.plugins": "experiments/plugins/README.md",
    "nas.trackers": "docs/callbacks.md",
    "search_space.lookup": "experiments/plugins/README.md",
}


def page_of(error: BaseException) -> str | None:
    """Give the page that helps with an error, None where there is none."""
    found = None
    for module in _modules(_first(error)):
        fitting = [name for name in PAGES if module == name or module.startswith(f"{name}.")]
        found = PAGES[max(fitting, key=len)] if fitting else found
    return found


def _first(error: BaseException) -> BaseException:
    """The error that it was raised from, or while it was handled, and so on: where it was found."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    return error


def _modules(error: BaseException) -> Iterator[str]:
    yield from (str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__))
