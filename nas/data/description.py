"""What a data set holds, found by looking at it: its source, classes, counts, sizes and colour. Nothing is decoded."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from nas.data.chunks import guess_channels, looked_at
from nas.data.decode import shorter_side
from nas.data.settings import READERS, DataSettings
from nas.data.source import read_source, reader
from nas.data.sources.idx import held_out_beside, holds_idx, is_idx
from nas.data.sources.layout import find_splits, is_held_out, is_train
from nas.data.sources.records import Source, nearby

_NEED_A_PATH = ("folder", "parquet", "hf", "idx")

Given = DataSettings | Mapping[str, Any] | os.PathLike[str] | str | None


@dataclass(frozen=True)
class DataDescription:
    """What a data set holds."""

    settings: DataSettings  # that read it; nothing is held out
    class_names: tuple[str, ...] | None
    counts: tuple[int, ...]  # training images of each class, before any are held out
    test: int  # images
    channels: int  # 1 = grey, 3 = colour
    sizes: tuple[int, int, int]  # least, median and greatest shorter side of the images looked at, pixels; 0 = unknown
    left_out: tuple[str, ...]  # what lies there and is not used, a line a kind
    warnings: tuple[str, ...]  # a line each

    @property
    def images(self) -> int:
        """Training images."""
        return sum(self.counts)

    def lines(self) -> dict[str, str]:
        """Say what there is: heading -> text."""
        names, counts = self.class_names, np.array(self.counts)
        few, many = (int(order(counts)) for order in (np.argmin, np.argmax))

        def named(label: int) -> str:
            return f"{counts[label]:,}" + (f" ({names[label]})" if names else "")

        balance = f"{counts[few]:,} each" if counts[few] == counts[many] else f"from {named(few)} to {named(many)} each"
        low, median, high = self.sizes
        spread = f"{median} px" if low == high else f"{median} px, {low} to {high}"
        said = {
            "data": f"{self.settings.source} {self.settings.path}".strip(),
            "images": f"{self.images:,}" + (f", test {self.test:,}" if self.test else ", no test split"),
            "classes": f"{len(counts)}: {balance}",
            "pixels": f"{'grey' if self.channels == 1 else 'colour'}, shorter side {spread}",
        }
        if self.left_out:
            said["left out"] = "; ".join(self.left_out)
        return said


def describe_data(data: Given = None) -> DataDescription:
    """Say what a data set holds: it is listed, and of some images the head is read.

    Args:
        data: a folder (of classes, of splits of them, of parquet files, or of MNIST's files), a parquet file or a glob
            of them, an IDX file of images, a data set of the hub (`owner/name`), a source's name (`digits`,
            `module:Reader`); settings; None = digits.
    Raises: ValueError, one line, if it is missing or wrong.

    >>> found = describe_data()
    >>> found.images, len(found.counts), found.channels, found.sizes
    (1438, 10, 1, (8, 8, 8))
    """
    with tempfile.TemporaryDirectory() as scratch:
        return describe_source(*open_data(data, Path(scratch)))


def open_data(data: Given, scratch: Path) -> tuple[DataSettings, Source]:
    """Open a data set for reading, and say which settings did that.

    Args:
        data: as `describe_data` takes it.
        scratch: a folder that must be there while the source is read.
    """
    if isinstance(data, Mapping):
        data = DataSettings(**data)
    settings = data if isinstance(data, DataSettings) else _settings(os.fspath(data or "digits"))
    if settings.source in ("parquet", "hf") and not isinstance(data, DataSettings):
        from nas.data.sources.tables import with_columns

        settings = with_columns(settings)
    return settings, read_source(settings, scratch, False)


def describe_source(settings: DataSettings, source: Source) -> DataDescription:
    """Say what an open data set holds."""
    images = source.train
    sides = sorted(looked_at(images, shorter_side)) or [0]
    return DataDescription(
        settings=settings,
        class_names=source.class_names,
        counts=tuple(np.bincount(images.labels, minlength=source.num_classes).tolist()),
        test=0 if source.test is None else len(source.test.labels),
        channels=settings.channels or guess_channels(images),
        sizes=(sides[0], sides[len(sides) // 2], sides[-1]),
        left_out=source.left_out,
        warnings=source.warnings,
    )


def _settings(given: str) -> DataSettings:
    """Find out which source reads what is named, and where its test split lies."""
    path = Path(given).expanduser()
    if ".." in path.parts:  # which would stand in the middle of what is written
        path = path.resolve()
    if path.is_dir():
        return _of_folder(path)
    if path.is_file() or set(given) & set("*?["):
        if path.is_file() and is_idx(path):
            return DataSettings("idx", path=str(path.absolute()), test_path=held_out_beside(path.absolute()), minival=0)
        if path.is_file() and path.suffix.lower() not in (".parquet", ".pq"):
            raise ValueError(f"{given} is no data set: a folder of images, a parquet file or an IDX file is needed")
        return DataSettings("parquet", path=str(path.absolute()), test_path=_test_beside(path), minival=0)
    if (given in READERS and given not in _NEED_A_PATH) or (":" in given and os.sep not in given):
        return DataSettings(given, minival=0)
    if given.count("/") == 1 and not given.startswith((".", "/", "~")) and not path.parent.exists():
        return DataSettings("hf", path=given, minival=0)
    raise ValueError(f"no data set {given!r}{nearby(path.absolute())}")


def _of_folder(path: Path) -> DataSettings:
    tables = sorted(file for end in ("*.parquet", "*/*.parquet") for file in path.glob(end))
    if tables:
        train = [file for file in tables if is_train(file.stem)] or [
            file for file in tables if not is_held_out(file.stem)
        ]
        if not train:
            raise ValueError(f"{path} has parquet files, none of a training split: {', '.join(f.name for f in tables)}")
        return DataSettings("parquet", path=_glob(train), test_path=_glob_of_test(tables), minival=0)
    if holds_idx(path):
        return DataSettings("idx", path=str(path.absolute()), minival=0)
    settings = DataSettings("folder", path=str(path.absolute()), minival=0)
    try:
        reader(settings).identity(settings)
    except ValueError:
        below, test = find_splits(path)
        if below is None:
            raise
        return replace(settings, path=str(below.absolute()), test_path=str(test.absolute()) if test else "")
    beside = find_splits(path.absolute().parent) if is_train(path.name) else (None, None)
    return replace(settings, test_path=str(beside[1] or "")) if beside[0] == path.absolute() else settings


def _glob(files: list[Path]) -> str:
    """Name files by one path: their own, or a pattern that only they match as far as their names' beginning goes."""
    if len(files) == 1:
        return str(files[0].absolute())
    first, last = min(files).name, max(files).name  # between which all the others are
    start = "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    return str(files[0].parent.absolute() / f"{start}*.parquet")


def _glob_of_test(tables: list[Path]) -> str:
    tests = [file for file in tables if is_held_out(file.stem)]
    named = [file for file in tests if "test" in file.stem.lower()] or tests
    return _glob(named) if named else ""


def _test_beside(path: Path) -> str:
    """The test split's file beside one of the training split, if it is called so."""
    if not is_train(path.stem) or not path.is_file():
        return ""
    return _glob_of_test([file for file in sorted(path.parent.glob("*.parquet")) if file != path])
