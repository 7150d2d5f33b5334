"""Image folders: one folder of images a class."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas.data.settings import DataSettings
from nas.data.sources.records import Images, Source, nearby, some, stamp

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def identity(settings: DataSettings) -> dict[str, Any]:
    """Tell which files there are. Raises: ValueError if there are none."""
    paths = {"train": settings.path, "test": settings.test_path}
    return {part: stamp(_files(path)) for part, path in paths.items() if path}


def read(settings: DataSettings, scratch: Path, progress: bool) -> Source:
    """List the images of every class. Raises: ValueError if a folder is missing or empty, or classes do not match."""
    names = _classes(settings.path)
    train = _images(settings.path, names)
    if not settings.test_path:
        return Source(len(names), names, train, None)
    unknown = sorted(set(_classes(settings.test_path)) - set(names))
    if unknown:
        raise ValueError(f"{settings.test_path} has classes that {settings.path} has not: {some(unknown)}")
    return Source(len(names), names, train, _images(settings.test_path, names))


def _classes(path: str) -> tuple[str, ...]:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise ValueError(f"no folder {path!r}{nearby(folder)}")
    names = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."))
    if not names:
        raise ValueError(f"{path} has no folders: one folder of images a class is expected")
    if {"train", "test", "val", "valid", "validation"} >= set(names):
        raise ValueError(f"{path} has the folders {some(names)}: give those as path and test_path")
    return names


def _files(path: str) -> Iterator[str]:
    return (file for name in _classes(path) for file in _images_below(path, name))


def _images_below(path: str, name: str) -> list[str]:
    folder = Path(path).expanduser() / name
    below = ((root, file) for root, _, files in os.walk(folder) for file in files)
    found = sorted(os.path.join(root, file) for root, file in below if file.lower().endswith(SUFFIXES))  # noqa: PTH118
    if not found:
        raise ValueError(f"{folder} has no image files ({', '.join(SUFFIXES)})")
    return found


def _images(path: str, names: Sequence[str]) -> Images:
    present = set(_classes(path))
    found = [_images_below(path, name) if name in present else [] for name in names]
    files = [file for group in found for file in group]
    labels = np.repeat(np.arange(len(names), dtype=np.int64), [len(group) for group in found])
    return Images(labels, lambda start, stop: [Path(file) for file in files[start:stop]], lambda i: files[i])
