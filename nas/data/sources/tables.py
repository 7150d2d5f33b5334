"""Hugging Face data sets and parquet files: the only file that imports the data set reader."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from nas.data.settings import DataSettings
from nas.data.sources.layout import is_held_out, is_train
from nas.data.sources.leftovers import is_leftover
from nas.data.sources.records import Encoded, Images, Source, first_line, nearby, some, stamp


def identity(settings: DataSettings) -> dict[str, Any]:
    """Tell which files there are, or which revision on the hub. Raises: ValueError if they are missing."""
    columns = [settings.image_column, settings.label_column]
    if settings.source == "hf":
        builder = _builder(settings)
        revision = [settings.path, builder.config.name, str(builder.config.version), builder.hash]
        return {"columns": columns, "revision": revision, "splits": [settings.train_split, settings.test_split]}
    paths = {"train": settings.path, "test": settings.test_path}
    files = {part: stamp(str(file) for file in _parquet_files(path)) for part, path in paths.items() if path}
    return {"columns": columns, "files": files}


def read(settings: DataSettings, scratch: Path, progress: bool) -> Source:
    """Open the tables, downloading them if need be; parquet is laid out in `scratch`.

    Raises: ValueError if a file, split or column is missing, or labels do not fit.
    """
    with _bars(progress):
        return _read(settings, scratch)


_LABELS = ("label", "labels", "class", "target", "category", "fine_label", "y")
_SPLITS = ("test", "validation", "valid", "val", "dev")


def with_columns(settings: DataSettings) -> DataSettings:
    """Give the settings with the columns of images and labels that a data set has, and the names of its splits.

    Found by kind, then by name; what cannot be found stays as it is, and is refused when it is read.
    """
    import datasets

    with _bars(False):
        if settings.source == "hf":
            features, names = _builder(settings).info.features or {}, _split_names(settings.path)
            test = next((name for name in _SPLITS if name in names), "")
            settings = replace(settings, test_split=test if names else settings.test_split)
        else:
            files = [str(file) for file in _parquet_files(settings.path)]
            features = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True).features or {}
    pictures = [name for name, kind in features.items() if _is_picture(kind)]
    classes = [name for name, kind in features.items() if getattr(kind, "names", None)]
    named = [name for name in _LABELS if name in features]
    return replace(
        settings,
        image_column=next((name for name in (settings.image_column, *pictures) if name in pictures), "image"),
        label_column=next((name for name in (settings.label_column, *classes, *named) if name in features), "label"),
    )


def _is_picture(kind: Any) -> bool:
    """Whether a column holds encoded images: as the reader's own type, as a record of bytes, or as bytes."""
    import datasets

    return (
        isinstance(kind, datasets.Image)
        or (isinstance(kind, dict) and "bytes" in kind)
        or getattr(kind, "dtype", "") in ("binary", "large_binary")
    )


def _split_names(path: str) -> list[str]:
    import datasets

    try:
        return list(datasets.get_dataset_split_names(path))
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot open data set {path!r}: {first_line(error)}") from None


def _parquet_files(path: str) -> list[Path]:
    given = Path(path).expanduser().absolute()
    if given.is_file():
        return [given]
    # What the pattern's own part finds: a folder that was named by hand may be called as it pleases.
    named = next((i for i, part in enumerate(given.parts) if set(part) & set("*?[")), len(given.parts))
    found = {file: file.parts[named:] for file in sorted(Path(given.anchor).glob(str(given.relative_to(given.anchor))))}
    files = [file for file, parts in found.items() if file.is_file() and not any(map(is_leftover, parts))]
    if not files:
        raise ValueError(f"no parquet file {path!r}{nearby(given)}")
    train, held_out = ([file for file in files if kind("/".join(found[file]))] for kind in (is_train, is_held_out))
    if train and held_out and not set(train) & set(held_out):
        raise ValueError(
            f"{path} takes in splits of a data set, {train[0].name} and {held_out[0].name}: give one as path, one as "
            "test_path"
        )
    return files


@contextmanager
def _bars(show: bool) -> Iterator[None]:
    """Keep the reader's progress bars off unless they are wanted, and there is a terminal for them."""
    import datasets

    if (show and sys.stderr.isatty()) or datasets.are_progress_bars_disabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()


def _builder(settings: DataSettings) -> Any:
    import datasets

    try:
        return datasets.load_dataset_builder(settings.path)
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot open data set {settings.path!r}: {first_line(error)}") from None


def _read(settings: DataSettings, scratch: Path) -> Source:
    hub = settings.source == "hf"
    column = settings.label_column
    train_name, test_name = (settings.train_split, settings.test_split) if hub else (settings.path, settings.test_path)
    own, left = _own_files(settings)
    train = _open_table(settings, train_name, own, scratch)
    test = _open_table(settings, test_name, own, scratch) if test_name else None
    names = _class_names(train, test, column)
    train_labels = _labels(train, column, names, train_name)
    num_classes = len(names) if names else _count_classes(train_labels, column)
    train_images = _rows(train, train_labels, settings.image_column, train_name)
    left_out = (f"{len(left)} files that tools left: {some([Path(file).name for file in left])}",) if left else ()
    if test is None:
        return Source(num_classes, names, train_images, None, left_out)
    labels = _labels(test, column, names, test_name)
    if labels.max() >= num_classes:
        raise ValueError(f"label {labels.max()} of {test_name} is not among train's, 0..{num_classes - 1}")
    return Source(num_classes, names, train_images, _rows(test, labels, settings.image_column, test_name), left_out)


def _own_files(settings: DataSettings) -> tuple[dict[str, list[str]] | None, list[str]]:
    """Sort out what tools left in a data set of the hub's kind that lies in a folder.

    Returns: the files of each split, None where no file has to go; and the files that tools left.
    """
    folder = Path(settings.path).expanduser()
    if settings.source != "hf" or not folder.is_dir():
        return None, []
    found = {str(split): list(map(str, files)) for split, files in (_builder(settings).config.data_files or {}).items()}
    below = {file: os.path.relpath(file, folder.absolute()) for files in found.values() for file in files}
    for split, files in found.items():  # the reader knows `train`, not `Train`, and puts what it knows not into one
        tops = sorted({Path(below[file]).parts[0] for file in files if len(Path(below[file]).parts) > 1})
        train, held_out = ([top for top in tops if kind(top)] for kind in (is_train, is_held_out))
        if train and held_out and len(train) + len(held_out) == len(tops):
            raise ValueError(
                f"{settings.path}: the folders {some(tops)} would all be its split {split!r}; take source folder, one "
                "as path, one as test_path"
            )
    left = [file for file, place in below.items() if any(map(is_leftover, Path(place).parts))]
    own = {split: [file for file in files if file not in left] for split, files in found.items()}
    return {split: files for split, files in own.items() if files} if left else None, left


def _open_table(settings: DataSettings, part: str, own: dict[str, list[str]] | None, scratch: Path) -> Any:
    import datasets

    try:
        if settings.source == "hf":
            known = datasets.get_dataset_split_names(settings.path)
            if part not in known:
                raise ValueError(f"it has no split {part!r}, but: {', '.join(known)}")
            table = datasets.load_dataset(settings.path, split=part, **({"data_files": own} if own else {}))
        else:
            files = [str(file) for file in _parquet_files(part)]
            table = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(scratch))
    except (datasets.exceptions.DatasetGenerationError, OSError, ValueError) as error:
        raise ValueError(f"cannot read data set {settings.path!r}: {first_line(error.__cause__ or error)}") from error
    for key, column in (("image_column", settings.image_column), ("label_column", settings.label_column)):
        if column not in table.column_names:
            raise ValueError(f"{part} has no {key} {column!r}; its columns are: {', '.join(table.column_names)}")
    return table


def _class_names(train: Any, test: Any, column: str) -> tuple[str, ...] | None:
    names = getattr(train.features[column], "names", None)
    if names:
        other = getattr(test.features[column], "names", None) if test is not None else None
        if other and _spelt(other) != _spelt(names):
            raise ValueError(f"train and test name their classes differently: {some(names)} / {some(other)}")
        return _spelt(names)
    if getattr(train.features[column], "dtype", None) not in {"string", "large_string"}:
        return None
    values = train.unique(column)
    if None in values:
        raise ValueError(f"column {column!r} of train has rows without a label")
    return tuple(sorted(set(_spelt(values))))


def _spelt(names: Iterable[str]) -> tuple[str, ...]:
    """Class names with letters with accents spelt in one way."""
    return tuple(normalize("NFC", name) for name in names)


def _labels(table: Any, column: str, names: tuple[str, ...] | None, part: str) -> NDArray[np.int64]:
    values = np.asarray(table.with_format("numpy")[column][:])
    if values.dtype.kind in "UOT" and names:
        spelt = _spelt(str(value) for value in values)
        unknown = sorted(set(spelt) - set(names))
        if unknown:
            raise ValueError(f"labels of {part} in column {column!r} are not among train's: {some(unknown)}")
        index = {name: label for label, name in enumerate(names)}
        return np.array([index[name] for name in spelt], np.int64)
    if values.ndim != 1 or values.dtype.kind not in "iub":
        raise ValueError(
            f"column {column!r} of {part} holds {table.features[column]}: one whole number or name is needed"
        )
    labels = values.astype(np.int64)
    if len(labels) == 0:
        raise ValueError(f"{part} has no rows")
    if labels.min() < 0 or (names and labels.max() >= len(names)):
        top = f"..{len(names) - 1}" if names else " and up"
        raise ValueError(f"column {column!r} of {part} holds {labels.min()}..{labels.max()}: labels must be 0{top}")
    return labels


def _count_classes(labels: NDArray[np.int64], column: str) -> int:
    count = int(labels.max()) + 1
    missing = np.setdiff1d(np.arange(count), labels)
    if len(missing):
        raise ValueError(f"column {column!r} counts to {count - 1} but has no {some(missing)}: count labels from 0")
    return count


def _rows(table: Any, labels: NDArray[np.int64], column: str, part: str) -> Images:
    import datasets

    kind = table.features[column]
    try:
        encoded = table.select_columns([column]).cast_column(column, datasets.Image(decode=False))
    except (TypeError, ValueError, NotImplementedError):  # Arrow has its own kinds of all three
        raise ValueError(f"column {column!r} of {part} holds {kind}: encoded images are needed") from None

    def read(start: int, stop: int) -> list[Encoded]:
        return [_encoded(image) for image in encoded[start:stop][column]]

    return Images(labels, read, lambda i: f"row {i} of {part}")


def _encoded(image: dict[str, Any] | None) -> Encoded:
    if image is None or image["bytes"] is None:
        return Path(image["path"]) if image and image["path"] else b""
    content: bytes = image["bytes"]
    return content
