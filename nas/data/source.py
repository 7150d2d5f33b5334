"""Where images come from: the only file that imports the data set reader. Nothing is decoded here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.settings import DataSettings

IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class Images:
    """One part of a source, not decoded."""

    labels: NDArray[np.int64]  # (N,)
    read: Callable[[int], bytes | NDArray[np.uint8]]  # the encoded file, or the pixels (H, W) or (H, W, 3)
    name: Callable[[int], str]  # for messages: the file, or the row


@dataclass(frozen=True)
class Source:
    """A data set as it lies on disk."""

    num_classes: int
    class_names: tuple[str, ...] | None
    train: Images
    test: Images | None


def identity(settings: DataSettings) -> dict[str, Any]:
    """Tell which files a source consists of, cheaply: what must change for the images to have changed.

    Raises: ValueError if there are no such files.
    """
    if settings.source == "digits":
        return {"source": "digits", "test": _DIGITS_TEST}
    if settings.source == "hf":
        builder = _builder(settings)
        files: Any = [builder.dataset_name, builder.config.name, str(builder.config.version), builder.hash]
        names = [settings.image_column, settings.label_column, settings.train_split, settings.test_split]
    else:
        listing = _folder_files if settings.source == "folder" else _parquet_files
        files = [_stamp(file) for path in (settings.path, settings.test_path) if path for file in listing(path)]
        names = [settings.image_column, settings.label_column] if settings.source == "parquet" else []
        names += [settings.path, settings.test_path]
    return {"source": settings.source, "names": names, "files": files}


def open_source(settings: DataSettings, scratch: Path) -> Source:
    """Open a source for reading.

    Args:
        settings: which.
        scratch: folder for the reader's own files; may be deleted afterwards.
    Raises: ValueError if a file, folder, column, split or class is missing, or labels do not fit.
    """
    if settings.source == "digits":
        return _digits()
    if settings.source == "folder":
        return _folder(settings)
    return _tables(settings, scratch)


def _stamp(file: Path) -> list[Any]:
    status = file.stat()
    return [str(file.resolve()), status.st_size, status.st_mtime_ns]


# digits ---------------------------------------------------------------------------------------------------------------

_DIGITS_TEST = {"share": 0.2, "seed": 0}  # not the settings' seed: test is the same images whatever is searched


def _digits() -> Source:
    from sklearn.datasets import load_digits

    from nas.data.splits import stratified

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # (N, 8, 8), of 0..16
    labels = digits.target.astype(np.int64)
    test = stratified(labels, round(_DIGITS_TEST["share"] * len(labels)), int(_DIGITS_TEST["seed"]))
    train = np.setdiff1d(np.arange(len(labels)), test)

    def part(rows: NDArray[np.int64]) -> Images:
        return Images(labels[rows], lambda i: pixels[rows[i]], lambda i: f"digit {rows[i]}")

    return Source(10, tuple(str(name) for name in digits.target_names), part(train), part(test))


# image folders --------------------------------------------------------------------------------------------------------


def _folder(settings: DataSettings) -> Source:
    names = _classes(settings.path)
    train = _folder_images(settings.path, names)
    test = None
    if settings.test_path:
        unknown = sorted(set(_classes(settings.test_path)) - set(names))
        if unknown:
            raise ValueError(f"{settings.test_path} has classes that {settings.path} has not: {_some(unknown)}")
        test = _folder_images(settings.test_path, names)
    return Source(len(names), names, train, test)


def _classes(path: str) -> tuple[str, ...]:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise ValueError(f"no folder {path!r}{_nearby(folder)}")
    names = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."))
    if not names:
        raise ValueError(f"{path} has no folders: one folder of images a class is expected")
    if {"train", "test", "val", "valid", "validation"} >= set(names):
        raise ValueError(f"{path} has the folders {_some(names)}: give those as path and test_path")
    return names


def _folder_files(path: str) -> list[Path]:
    folder = Path(path).expanduser()
    return [file for name in _classes(path) for file in _images_below(folder / name)]


def _images_below(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
    if not files:
        raise ValueError(f"{folder} has no image files ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return files


def _folder_images(path: str, names: Sequence[str]) -> Images:
    present = set(_classes(path))
    files, labels = [], []
    for label, name in enumerate(names):
        if name in present:
            found = _images_below(Path(path).expanduser() / name)
            files += found
            labels += [label] * len(found)
    return Images(np.array(labels, np.int64), lambda i: files[i].read_bytes(), lambda i: str(files[i]))


# Hugging Face data sets and parquet -------------------------------------------------------------------------------------


def _parquet_files(path: str) -> list[Path]:
    given = Path(path).expanduser()
    files = [given] if given.is_file() else sorted(Path(file) for file in glob(str(given), recursive=True))
    if not files:
        raise ValueError(f"no parquet file {path!r}{_nearby(given)}")
    return files


def _builder(settings: DataSettings) -> Any:
    import datasets

    try:
        return datasets.load_dataset_builder(settings.path)
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot open data set {settings.path!r}: {_first_line(error)}") from None


def _tables(settings: DataSettings, scratch: Path) -> Source:
    train = _open_table(settings, settings.train_split if settings.source == "hf" else settings.path, scratch)
    test_name = settings.test_split if settings.source == "hf" else settings.test_path
    test = _open_table(settings, test_name, scratch) if test_name else None
    for table in (train, test):
        _check_columns(table, settings)
    names = _class_names(train, test, settings.label_column)
    train_labels = _labels(train, settings.label_column, names, "train")
    num_classes = len(names) if names else _count_classes(train_labels, settings.label_column)
    test_images = None
    if test is not None:
        labels = _labels(test, settings.label_column, names, "test")
        if labels.max(initial=0) >= num_classes:
            raise ValueError(f"label {labels.max()} of test is not among train's, 0..{num_classes - 1}")
        test_images = _rows(test, labels, settings.image_column, test_name)
    train_name = settings.train_split if settings.source == "hf" else settings.path
    return Source(num_classes, names, _rows(train, train_labels, settings.image_column, train_name), test_images)


def _open_table(settings: DataSettings, part: str, scratch: Path) -> Any:
    import datasets

    if settings.source == "hf":
        known = datasets.get_dataset_split_names(settings.path)
        if part not in known:
            raise ValueError(f"data set {settings.path!r} has no split {part!r}; it has: {', '.join(known)}")
        return datasets.load_dataset(settings.path, split=part)
    files = [str(file) for file in _parquet_files(part)]
    try:
        return datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(scratch))
    except (datasets.exceptions.DatasetGenerationError, OSError, ValueError) as error:
        raise ValueError(f"cannot read {part!r} as parquet: {_first_line(error.__cause__ or error)}") from None


def _check_columns(table: Any, settings: DataSettings) -> None:
    if table is None:
        return
    for key, column in (("image_column", settings.image_column), ("label_column", settings.label_column)):
        if column not in table.column_names:
            raise ValueError(f"no {key} {column!r}; the columns are: {', '.join(table.column_names)}")


def _class_names(train: Any, test: Any, column: str) -> tuple[str, ...] | None:
    names = getattr(train.features[column], "names", None)
    if names:
        other = getattr(test.features[column], "names", None) if test is not None else None
        if other and list(other) != list(names):
            raise ValueError(f"train and test name their classes differently: {_some(names)} / {_some(other)}")
        return tuple(names)
    values = train.unique(column)
    return tuple(sorted(values)) if values and all(isinstance(value, str) for value in values) else None


def _labels(table: Any, column: str, names: tuple[str, ...] | None, part: str) -> NDArray[np.int64]:
    values = np.asarray(table.with_format("numpy")[column][:])
    if values.dtype.kind in "UOT" and names:
        unknown = sorted({str(value) for value in values} - set(names))
        if unknown:
            raise ValueError(f"labels of {part} in column {column!r} are not among train's: {_some(unknown)}")
        index = {name: label for label, name in enumerate(names)}
        return np.array([index[str(value)] for value in values], np.int64)
    if values.ndim != 1 or values.dtype.kind not in "iub":
        raise ValueError(
            f"column {column!r} of {part} holds {table.features[column]}: one whole number or name is needed"
        )
    labels = values.astype(np.int64)
    if len(labels) == 0:
        raise ValueError(f"{part} has no rows")
    if labels.min() < 0 or (names and labels.max() >= len(names)):
        top = f"..{len(names) - 1}" if names else " and up"
        raise ValueError(f"column {column!r} of {part} holds {labels.min()}..{labels.max()}: labels are 0{top}")
    return labels


def _count_classes(labels: NDArray[np.int64], column: str) -> int:
    count = int(labels.max()) + 1
    missing = np.setdiff1d(np.arange(count), labels)
    if len(missing):
        raise ValueError(f"column {column!r} counts to {count - 1} but has no {_some(missing)}: count labels from 0")
    return count


def _rows(table: Any, labels: NDArray[np.int64], column: str, part: str) -> Images:
    import datasets

    encoded = table.select_columns([column]).cast_column(column, datasets.Image(decode=False))

    def read(i: int) -> bytes:
        image = encoded[i][column]
        return image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()

    return Images(labels, read, lambda i: f"row {i} of {part}")


def _some(names: Sequence[Any] | NDArray[Any]) -> str:
    shown = ", ".join(str(name) for name in names[:8])
    return f"{shown}, ... ({len(names)} in all)" if len(names) > 8 else shown


def _nearby(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"; nor is there a folder {str(folder)!r}"
    return f"; {folder} has: {_some(sorted(entry.name for entry in folder.iterdir())) or 'nothing'}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
