"""Image folders: one folder of images a class."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
from PIL import Image

from nas.data.settings import DataSettings
from nas.data.sources.layout import about_folders, check_classes
from nas.data.sources.leftovers import is_leftover
from nas.data.sources.records import Images, Source, nearby, printable, some, stamp

# What Pillow opens by an ending of its own but is no picture, or needs another program.
_NO_PICTURES = frozenset({"BUFR", "EPS", "FLI", "GRIB", "HDF5", "IPTC", "MPEG", "PDF", "WMF"})


def suffixes() -> frozenset[str]:
    """The endings of image files that this machine's Pillow can read, in lower case."""
    known = Image.registered_extensions()
    return frozenset(end for end, kind in known.items() if kind in Image.OPEN and kind not in _NO_PICTURES)


@dataclass(frozen=True)
class _Listing:
    """What lies in a folder of classes."""

    files: dict[str, list[str]]  # class -> its images; classes in the alphabet's order
    beside: list[str]  # images beside the folders of classes
    others: list[str]  # files in the folders of classes that are no images
    leftovers: list[str]  # files and folders that tools left
    inner: list[frozenset[str]]  # the folders with images in each class's


def identity(settings: DataSettings) -> dict[str, Any]:
    """Tell which files there are. Raises: ValueError if there are none."""
    parts = _parts(settings)
    return {
        part: [stamp(file for group in each.files.values() for file in group), len(each.beside), len(each.others)]
        for part, each in parts.items()
    }


def read(settings: DataSettings, scratch: Path, progress: bool) -> Source:
    """List the images of every class. Raises: ValueError if a folder is missing or empty, or classes do not match."""
    parts = _parts(settings)
    names = tuple(parts["train"].files)
    if unknown := sorted(set(parts["test"].files) - set(names)) if "test" in parts else []:
        raise ValueError(f"{settings.test_path} has classes that {settings.path} has not: {some(unknown)}")
    images = {part: _images(each, names) for part, each in parts.items()}
    left_out = tuple(line for part, each in parts.items() for line in _left_out(part, each))
    warnings = tuple(line for part, each in parts.items() for line in about_folders(part, each.inner))
    return Source(len(names), names, images["train"], images.get("test"), left_out, warnings)


def _parts(settings: DataSettings) -> dict[str, _Listing]:
    parts = {"train": _listing(settings.path, 2)}
    return parts | ({"test": _listing(settings.test_path, 1)} if settings.test_path else {})


def _listing(path: str, least: int) -> _Listing:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise ValueError(f"no folder {path!r}{nearby(folder)}")
    known = suffixes()
    found = _Listing({}, [], [], [], [])
    direct: dict[str, int] = {}
    for entry in sorted(folder.iterdir()):
        if is_leftover(entry.name):
            found.leftovers.append(str(entry))
        elif entry.is_dir():
            files = list(_files(str(entry), known, found))
            direct[entry.name] = sum(os.path.dirname(file) == str(entry) for file in files)  # noqa: PTH120
            below = (file[len(str(entry)) + 1 :].partition(os.sep) for file in files)
            found.inner.append(frozenset(folder for folder, deeper, _ in below if deeper))
            found.files.setdefault(_class_name(entry), []).extend(files)
        elif entry.is_symlink() and not entry.exists():
            raise ValueError(f"{printable(entry)} is a link to nothing: mend it, or remove it")
        elif _is_image(entry.name, known):
            found.beside.append(str(entry))
    if not direct:
        raise ValueError(f"{path} has no folders: one folder of images a class is expected")
    check_classes(folder, direct, least)
    for name, files in found.files.items():
        if not files:
            others = [file for file in found.others if file.startswith(f"{folder / name}{os.sep}")]
            raise ValueError(f"{folder / name} has no image files{f', but {_kinds(others)}' if others else ''}")
    return replace(found, files=dict(sorted(found.files.items())))


def _class_name(folder: Path) -> str:
    """The name of a class: letters with accents are spelt in one way, for macOS spells them in another."""
    try:
        folder.name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the name of the folder {printable(folder)} is no UTF-8: give it another") from None
    return normalize("NFC", folder.name)


def _files(folder: str, known: frozenset[str], found: _Listing) -> list[str]:
    """The image files below a folder of a class, links followed; what is none is noted in `found`."""

    def refuse(error: OSError) -> None:
        raise ValueError(f"cannot read the folder {printable(error.filename)}: {error.strerror}")

    files, seen = [], set()
    for root, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        status = os.stat(root)  # noqa: PTH116
        if (status.st_dev, status.st_ino) in seen:  # a ring of links, or a second way to the same folder
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        paths = {name: os.path.join(root, name) for name in (*folders, *names)}  # noqa: PTH118
        found.leftovers.extend(path for name, path in paths.items() if is_leftover(name))
        folders[:] = [name for name in folders if not is_leftover(name)]
        mine = [name for name in names if not is_leftover(name)]
        files += [paths[name] for name in mine if _is_image(name, known)]
        for path in (paths[name] for name in mine if not _is_image(name, known)):
            if not os.path.exists(path):  # noqa: PTH110
                raise ValueError(f"{printable(path)} is a link to nothing: mend it, or remove it")
            found.others.append(path)
    return sorted(files)


def _is_image(name: str, known: frozenset[str]) -> bool:
    return os.path.splitext(name)[1].lower() in known  # noqa: PTH122 - a Path for each of a million takes long


def _images(listing: _Listing, names: Sequence[str]) -> Images:
    groups = [listing.files.get(name, []) for name in names]
    files = [file for group in groups for file in group]
    labels = np.repeat(np.arange(len(names), dtype=np.int64), [len(group) for group in groups])
    return Images(labels, lambda start, stop: [Path(file) for file in files[start:stop]], lambda i: printable(files[i]))


def _left_out(part: str, listing: _Listing) -> Iterator[str]:
    """Say what of a part is not used, a line a kind."""
    if listing.beside:
        yield f"{part}: {len(listing.beside)} images beside the folders of classes: {_names(listing.beside)}"
    if listing.others:
        yield f"{part}: {len(listing.others)} files of other kinds ({_kinds(listing.others)}): {_names(listing.others)}"
    if listing.leftovers:
        yield f"{part}: {len(listing.leftovers)} files and folders that tools left: {_names(listing.leftovers)}"


def _kinds(files: Sequence[str]) -> str:
    endings = Counter(Path(file).suffix.lower() or "without an ending" for file in files)
    return ", ".join(f"{count} {printable(ending)}" for ending, count in endings.most_common(8))


def _names(paths: Sequence[str]) -> str:
    return some([printable(Path(path).name) for path in paths])
