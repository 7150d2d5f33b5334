"""Where images come from."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from nas.data.settings import READERS, DataSettings
from nas.data.sources.records import Source
from search_space.lookup import find


class Reader(Protocol):
    """Reads one kind of data set: a module of nas.data.sources, or an object of your own."""

    def identity(self, settings: DataSettings) -> dict[str, Any]:
        """Tell, cheaply, what must change for the images to have changed: plain data, a part of the cache's key."""

    def read(self, settings: DataSettings, scratch: Path, progress: bool) -> Source:
        """Open a data set for reading.

        Args:
            scratch: a folder for files of its own, removed once the images are decoded.
            progress: whether to draw bars on a terminal.
        Raises: ValueError, one line, if it is missing or wrong.
        """


def reader(settings: DataSettings) -> Reader:
    """Give the reader of a data set. Raises ValueError if it cannot be imported, or is none."""
    found = find("data source", settings.source, READERS)
    found = import_module(found) if isinstance(found, str) else found
    if missing := [name for name in ("identity", "read") if not callable(getattr(found, name, None))]:
        raise ValueError(f"data source {settings.source!r} is no reader: it has no {' and no '.join(missing)}")
    return cast(Reader, found)
