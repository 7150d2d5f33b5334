"""Where images come from."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from nas.data.settings import DataSettings
from nas.data.sources.records import Source


class Reader(Protocol):
    """Reads one kind of data set: a module of nas.data.sources."""

    def identity(self, settings: DataSettings) -> dict[str, Any]:
        """Tell, cheaply, what must change for the images to have changed."""

    def read(self, settings: DataSettings, scratch: Path, progress: bool) -> Source:
        """Open a data set for reading."""


# Modules by name, for each imports a heavy library that the others do not need.
READERS: Mapping[str, str] = {"digits": "digits", "hf": "tables", "folder": "folder", "parquet": "tables"}


def reader(settings: DataSettings) -> Reader:
    """The reader of a data set."""
    return cast(Reader, import_module(f"nas.data.sources.{READERS[settings.source]}"))
