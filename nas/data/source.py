"""Where images come from."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from nas.data.settings import READERS, DataSettings
from nas.data.sources.records import Images, Source, some
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


def read_source(settings: DataSettings, scratch: Path, progress: bool) -> Source:
    """Open a data set for reading, whatever its source, and check that it can be one of classes.

    Raises: ValueError as its reader does; if there are fewer than two classes, or labels that are none.
    """
    source = reader(settings).read(settings, scratch, progress)
    where = f"{settings.source} {settings.path}".strip()
    for part, images in {"train": source.train, "test": source.test}.items():
        if images is not None:
            _check_labels(images, source.num_classes, f"the {part} part of {where}")
    present = np.unique(source.train.labels)
    if len(present) < 2:
        names = source.class_names[present[0]] if source.class_names else present[0]
        raise ValueError(f"the train part of {where} has fewer than two classes: all its images are of class {names}")
    if source.class_names is not None and len(source.class_names) != source.num_classes:
        raise ValueError(f"{where} has {source.num_classes} classes, but names for {len(source.class_names)}")
    return source


def _check_labels(images: Images, num_classes: int, what: str) -> None:
    labels = images.labels
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(f"{what} has labels of shape {labels.shape}, {labels.dtype}: whole numbers (N,) are needed")
    if len(labels) == 0:
        raise ValueError(f"{what} has no images")
    wrong = np.unique(labels[(labels < 0) | (labels >= num_classes)])
    if len(wrong):
        raise ValueError(
            f"{what} has labels that are none of its {num_classes} classes, 0..{num_classes - 1}: {some(wrong)}"
        )
