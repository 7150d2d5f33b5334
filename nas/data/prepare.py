"""Any data set -> a folder of decoded arrays or JPEGs, made once by whichever process comes first, and its splits."""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nas import faults
from nas.data.arrays import ArraysInfo, Storage, load_info, save_info, write_images
from nas.data.build import alone, build
from nas.data.chunks import Decoders
from nas.data.findings import about_classes, about_copies
from nas.data.jpegs import Jpegs
from nas.data.settings import AugmentSettings, DataSettings
from nas.data.source import reader
from nas.data.sources.records import Images, Source
from nas.data.splits import split_train, stratified

logger = logging.getLogger(__name__)
FORMAT = 4  # of the arrays and of how images are decoded; a change makes every cache entry new
SplitName = Literal["train", "minival", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "minival", "test")


@dataclass(frozen=True)
class Prepared:
    """A data set ready to be trained on; small enough to be sent to every worker."""

    folder: str  # of the decoded arrays
    splits: str  # file of the indices
    image_size: int  # largest that is wanted
    channels: int
    num_classes: int
    class_names: tuple[str, ...] | None
    mean: tuple[float, ...]  # of the source's training part, per channel, white = 1
    std: tuple[float, ...]
    train: int  # images in each split
    minival: int
    test: int
    fingerprint: str  # of every pixel, label and split: same data, same fingerprint, on any host
    frame_size: int | None = None  # of squares that hold whole images, squashed; None = centres of `image_size`
    storage: Storage = "arrays"
    asked: str = field(default="", compare=False)  # what it was made for: see `_asked`


class Split(NamedTuple):
    """One split, its pixels still on disk: image i is `images[indices[i]]`, its class `labels[i]`."""

    images: NDArray[np.uint8]  # (N, H, W, C), mapped; may hold more images than the split
    labels: NDArray[np.int64]  # (M,)
    indices: NDArray[np.int64]  # (M,)
    aspects: NDArray[np.float32] | None = None  # (M,) width over height before squashing; None = images are centres


class JpegSplit(NamedTuple):
    """One split whose images are kept as JPEGs: image i is record `indices[i]`, its class `labels[i]`."""

    images: Jpegs  # may hold more images than the split
    labels: NDArray[np.int64]  # (M,)
    indices: NDArray[np.int64]  # (M,)
    aspects: NDArray[np.float32] | None = None  # (M,) as in `Split`


class Found(NamedTuple):
    """What preparing a data set found besides its images."""

    value_range: tuple[float, float] | None  # of black and white, where they were not 0 and 255
    left_out: tuple[str, ...]  # what lies there and is not used, a line a kind
    copies: tuple[str, ...]  # some of the images that are there more than once, pixel by pixel
    warnings: tuple[str, ...]

    def lines(self) -> list[str]:
        """What is to be said, each in one line."""
        return ([f"left out: {'; '.join(self.left_out)}"] if self.left_out else []) + list(self.warnings)


def prepare(
    settings: DataSettings,
    image_size: int,
    progress: bool = False,
    say: Callable[[str], None] = logger.warning,
    frame_size: int | None = None,
    *,
    known: Prepared | None = None,
    decoders: Decoders | None = None,
) -> Prepared:
    """Decode a data set unless that was done before, and split it.

    Any number of processes may call this at the same moment: one decodes, the others wait for it. A process killed
    half-way leaves nothing that is taken for whole.

    Args:
        settings: which data set, how split.
        image_size: largest height and width wanted, pixels.
        progress: whether somebody looks on: a bar is drawn on a terminal, and what was found is said every time.
        say: is told what was found, a line each: `Found.lines`; when these splits are made, or somebody looks on.
        frame_size: pixels of the squares that whole images are squashed to, for crops out of them; less where images
            are smaller, but not below `image_size`; see `AugmentSettings.frame_size`. None = centres are cut out at
            `image_size`. The settings' own `decode_size` goes before.
        known: what this gave for the same, here or on another host: where it lies here its source is not looked at
            again, else what was prepared here is taken, and nothing is decoded.
        decoders: who decodes; None = threads of this process.
    Raises: ValueError if the source is missing or wrong, an image cannot be read, or a split would be empty;
        `nas.faults.Gone` if what is known is not there.
    """
    if image_size < 1:
        raise ValueError(f"image_size must be at least 1, got {image_size}")
    asked = _asked(settings, image_size, frame_size)
    if known is not None and known.asked != asked:
        known = None
    if known is not None and Path(known.splits).exists():
        return known
    images = {"format": FORMAT, "source": settings.source, "size": image_size, "channels": settings.channels}
    frame_size = settings.decode_size or frame_size
    images |= {"value_range": settings.value_range, "unreadable": settings.unreadable, "frame_size": frame_size}
    images |= reader(settings).identity(settings)
    root = settings.cache
    folders = _folders(settings, images)
    if known is not None and _made(folders) is None:
        raise faults.gone(root)
    with _of_cache(root):
        root.mkdir(parents=True, exist_ok=True)
        folder = _made(folders)
        if folder is None:
            with alone(next(iter(folders.values())), say if progress else logger.info):
                folder = _made(folders) or build(settings, image_size, frame_size, folders, progress, decoders)
        prepared, is_new = _split(settings, folder, load_info(folder))
    if is_new or progress:
        for line in found(prepared).lines():
            say(line)
    return replace(prepared, asked=asked)


class SearchData(Protocol):
    """What is known of the data of a search, in its configuration as in what its workers get."""

    @property
    def data(self) -> DataSettings:
        """Which data set, how split."""

    @property
    def image_size(self) -> int:
        """Height and width that candidates are trained at, pixels."""

    @property
    def augment(self) -> AugmentSettings:
        """What is done to training images."""


def prepare_for_search(of: SearchData, **told: Any) -> Prepared:
    """Prepare the data of a search.

    Args:
        told: `progress`, `say`, `known` and `decoders`, as `prepare` has them.
    Raises: as `prepare` does.
    """
    return prepare(of.data, of.image_size, frame_size=of.augment.frame_size(of.image_size), **told)


def _asked(settings: DataSettings, image_size: int, frame_size: int | None) -> str:
    """What `prepare` is asked for, however the images are kept, as text: settings cannot be hashed."""
    return repr((replace(settings, storage="auto"), image_size, frame_size))


def _folders(settings: DataSettings, images: dict[str, Any]) -> dict[Storage, Path]:
    """Give where the images lie, or will, by the ways of keeping them that the settings allow."""
    how: dict[Storage, dict[str, Any]] = {  # arrays have no more in their key than ever
        "arrays": {},
        "jpeg": {"storage": "jpeg", "jpeg_size": settings.jpeg_size, "jpeg_quality": settings.jpeg_quality},
    }
    return {
        name: settings.cache / _key(images | more) for name, more in how.items() if settings.storage in ("auto", name)
    }


def _made(folders: Mapping[Storage, Path]) -> Path | None:
    return next((folder for folder in folders.values() if folder.is_dir()), None)


@contextmanager
def _of_cache(root: Path) -> Iterator[None]:
    """Say of errors of the system on the cache's own files which setting says where they lie."""
    try:
        yield
    except Exception as error:
        said, at = faults.line(error), Path(faults.file_of(error).partition(" -> ")[0]).absolute()
        named = type(error) is ValueError  # by what read the image: it is not the cache's
        if named or said is None or not (at.is_relative_to(root) or root.is_relative_to(at)):
            raise
        where = "data.cache_dir, or NAS_CACHE, says where it is"
        raise ValueError(f"the cache of decoded images: {said} ({where})") from error


def found(prepared: Prepared) -> Found:
    """Give what preparing a data set found that its user should know."""
    info = load_info(Path(prepared.folder))
    of_splits = json.loads(Path(prepared.splits).with_suffix(".json").read_text())
    return Found(info.value_range, info.left_out, info.copies, info.warnings + tuple(of_splits))


def load_split(prepared: Prepared, name: SplitName) -> Split:
    """Map one split into memory.

    Raises: ValueError if there is no such split or it has no images, or they are kept as JPEGs.
    """
    _check_split(prepared, name)
    if prepared.storage != "arrays":
        raise ValueError("these images are kept as JPEGs; set data.storage to arrays")
    images = np.load(Path(prepared.folder) / f"{_part(name)}_images.npy", mmap_mode="c")
    return Split(images, *_rows(prepared, name))


def load_jpegs(prepared: Prepared, name: SplitName) -> JpegSplit:
    """Open one split of images that are kept as JPEGs.

    Raises: ValueError if there is no such split or it has no images.
    """
    _check_split(prepared, name)
    return JpegSplit(Jpegs(Path(prepared.folder) / f"{_part(name)}_images.jpegs"), *_rows(prepared, name))


def _check_split(prepared: Prepared, name: SplitName) -> None:
    if name not in SPLITS:
        raise ValueError(f"unknown split {name!r}; known: {', '.join(SPLITS)}")
    if getattr(prepared, name) == 0:
        present = [other for other in SPLITS if getattr(prepared, other)]
        raise ValueError(f"the data set has no {name} images; it has: {', '.join(present)}")


def _part(name: SplitName) -> str:
    return "test" if name == "test" else "train"


def _rows(
    prepared: Prepared, name: SplitName
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32] | None]:
    """Labels, indices and aspects of a split."""
    folder, part = Path(prepared.folder), _part(name)
    labels = np.load(folder / f"{part}_labels.npy")
    if name == "test":
        indices = np.arange(len(labels))
    else:
        with np.load(prepared.splits) as splits:
            indices = splits[name]
    aspects = np.load(folder / f"{part}_aspects.npy")[indices] if prepared.frame_size else None
    return labels[indices], indices, aspects


def prepare_sample(
    settings: DataSettings, source: Source, image_size: int, folder: Path, *, images: int, frame_size: int | None = None
) -> Prepared:
    """Keep some training images of an open data set, a quarter of them for minival: to see what training takes.

    Args:
        settings: its `storage` says how they are kept; `auto` = as arrays.
        folder: empty; the images lie there, and not in the cache.
        images: how many, of all classes in proportion; all of them where there are fewer.
        image_size, frame_size: as `prepare` has them.
    Raises: ValueError as `prepare` does.
    """
    labels, read = source.train.labels, source.train.read
    drawn = stratified(labels, min(images, len(labels)), settings.seed, keep_one=True).tolist()
    some = Images(
        labels[drawn],
        lambda start, stop: [read(i, i + 1)[0] for i in drawn[start:stop]],
        lambda i: source.train.name(drawn[i]),
    )
    frame_size = settings.decode_size or frame_size
    storage: Storage = "jpeg" if settings.storage == "jpeg" else "arrays"
    part = replace(source, train=some, test=None)
    info = write_images(part, settings, image_size, folder, False, frame_size, storage)
    save_info(info, folder)
    return _split(replace(settings, minival=0.25, subset=None), folder, load_info(folder))[0]


def _split(settings: DataSettings, folder: Path, info: ArraysInfo) -> tuple[Prepared, bool]:
    """Give the splits, and whether they are new."""
    labels = np.load(folder / "train_labels.npy")
    train, minival = split_train(labels, settings.minival, settings.subset, settings.seed)
    indices = np.concatenate([train, minival])
    # Ascending, they would be those of a split without minival as well.
    border = np.array([len(train)] if len(minival) and np.all(np.diff(indices) > 0) else [], np.int64)
    drawn = hashlib.blake2b(indices.tobytes() + border.tobytes(), digest_size=16).hexdigest()
    file = folder / f"splits-{drawn}.npz"
    if is_new := not file.exists():
        lines = _about_splits(folder, info, {"train": train, "minival": minival})
        _write_splits(file, train, minival, lines)
    prepared = Prepared(
        folder=str(folder), splits=str(file), image_size=info.image_size, channels=info.channels,
        num_classes=info.num_classes, class_names=info.class_names, mean=info.mean, std=info.std,
        train=len(train), minival=len(minival), test=info.test,
        fingerprint=_key({"pixels": info.digest, "splits": drawn}), frame_size=info.frame_size,
        storage=info.storage,
    )  # fmt: skip
    return prepared, is_new


def _about_splits(folder: Path, info: ArraysInfo, drawn: Mapping[str, NDArray[np.int64]]) -> list[str]:
    def of_splits(what: str) -> dict[str, NDArray[Any]]:
        train = np.load(folder / f"train_{what}.npy")
        test = {"test": np.load(folder / f"test_{what}.npy")} if info.test else {}
        return {name: train[indices] for name, indices in drawn.items()} | test

    labels = of_splits("labels")
    classes = about_classes(labels.pop("train"), labels, info.num_classes, info.class_names)
    return [*classes, *about_copies(of_splits("hashes"))]


def _write_splits(file: Path, train: NDArray[np.int64], minival: NDArray[np.int64], lines: list[str]) -> None:
    """Write the indices and, before them, what is to be said of them."""
    unfinished = file.with_name(f"{uuid.uuid4().hex}.npz")
    unfinished.with_suffix(".json").write_text(json.dumps(lines))
    unfinished.with_suffix(".json").replace(file.with_suffix(".json"))
    np.savez(unfinished, train=train, minival=minival)
    unfinished.replace(file)


def _key(record: dict[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()
