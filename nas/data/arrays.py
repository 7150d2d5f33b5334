"""A source -> uint8 arrays, or JPEGs, on disk, made once."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import __version__ as PILLOW

from nas.data.chunks import Decoders, Part, Threads, decode_part, guess_channels, looked_at, usual_length
from nas.data.decode import Decoding
from nas.data.findings import about_labels, about_left_out, about_levels, same_images
from nas.data.making import CHUNK, AsJpegs
from nas.data.settings import DataSettings
from nas.data.sources.records import Images, Source
from nas.data.stores import ArrayStore, JpegStore, Store
from nas.data.wide import Range

Storage = Literal["arrays", "jpeg"]


@dataclass(frozen=True)
class ArraysInfo:
    """What is known of decoded arrays besides their pixels. Mean and deviation are of train, white = 1."""

    image_size: int  # largest that is wanted
    frame_size: int | None  # of the squares that whole images were squashed to; None = centres, of `image_size`
    channels: int
    num_classes: int
    class_names: tuple[str, ...] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: int  # images
    test: int
    digest: str  # of every pixel and label
    value_range: Range | None  # that became 0..255, where it was not 0..255 already
    left_out: tuple[str, ...]  # what lies there and is not used, a line a kind
    copies: tuple[str, ...]  # some of the images that are there more than once, pixel by pixel
    warnings: tuple[str, ...]  # what whoever uses the data should know, a line each
    storage: Storage = "arrays"


def write_images(
    source: Source,
    settings: DataSettings,
    image_size: int,
    folder: Path,
    progress: bool,
    frame_size: int | None = None,
    storage: Storage = "arrays",
    decoders: Decoders | None = None,
) -> ArraysInfo:
    """Keep the images of a source in `folder`: {train,test}_{images,labels,hashes,aspects}.npy, images (N, H, W, C).

    As JPEGs they are {train,test}_images.jpegs and {train,test}_images_index.npy instead; see nas/data/jpegs.py. What
    an earlier process left there half-done is gone on with. Images of more than 8 bits are read twice: once to find
    what is white.

    Raises: ValueError naming the images that cannot be read; ValueError if the disk has too little room, or the
        training images are all of one level.
    """
    plan = planned(source, settings, image_size, frame_size)
    frame_size, side, channels = plan.frame_size, plan.side, plan.channels
    sources = {"train": source.train} | ({"test": source.test} if source.test else {})
    needed = plan.array_bytes if storage == "arrays" else jpeg_bytes(source, settings, plan)
    _check_room(folder, needed, "decoded images" if storage == "arrays" else "JPEGs")
    _go_on_or_begin(folder, {"storage": storage, "side": side, "channels": channels, "chunk": CHUNK, "pillow": PILLOW})
    grey_only = settings.channels is None and channels == 1
    how = Decoding(side, channels, grey_only, settings.value_range, whole=frame_size is not None)
    digest = hashlib.blake2b(b"" if storage == "arrays" else storage.encode(), digest_size=16)
    parts: dict[str, Part] = {}
    for name, images in sources.items():
        store: Store
        if storage == "arrays":
            store = ArrayStore(folder, name, (len(images.labels), side, side, channels))
        else:
            store = JpegStore(folder, name, settings.jpeg_size or side, settings.jpeg_quality)
        leave_out = settings.unreadable == "leave_out"
        parts[name], how = decode_part(images, store, how, name, leave_out, progress, decoders or Threads())
        if name == "train" and len(present := np.unique(parts[name].labels)) < 2:
            raise ValueError(f"the images that can be read are all of one class, {_name(source, int(present[0]))}")
        _save(parts[name], folder, name)
        for part in (*parts[name].digests, parts[name].labels.tobytes(), _left_out_digest(parts[name])):
            digest.update(part)
        if how.whole:
            digest.update(parts[name].aspects.tobytes())
    info = _info(source, sources, parts, how, digest.hexdigest())
    return replace(info, image_size=image_size, frame_size=frame_size, storage=storage)


class Plan(NamedTuple):
    """How large the images of a source are kept."""

    frame_size: int | None  # of the squares that whole images are squashed to; None = centres
    side: int  # of either
    channels: int
    array_bytes: int  # that all of them take, decoded


def planned(source: Source, settings: DataSettings, image_size: int, frame_size: int | None) -> Plan:
    """Look at some images of a source and say how large all are kept."""
    if frame_size is not None:  # no image is kept larger than it is, but for what is wanted
        frame_size = max(image_size, min(frame_size, usual_length(source.train) or frame_size))
    side = frame_size or image_size
    channels = settings.channels or guess_channels(source.train)
    return Plan(frame_size, side, channels, _count(source) * side**2 * channels)


def jpeg_bytes(source: Source, settings: DataSettings, plan: Plan) -> int:
    """Estimate what the images of a source take as JPEGs, by making some."""
    how = Decoding(plan.side, plan.channels, given_range=settings.value_range, whole=plan.frame_size is not None)
    form = AsJpegs(settings.jpeg_size or plan.side, settings.jpeg_quality)
    made = list(looked_at(source.train, lambda data: len(form.make(data, how).content or b"")))
    return int(_count(source) * (np.mean(made) if made else 0))


def _count(source: Source) -> int:
    return len(source.train.labels) + (len(source.test.labels) if source.test else 0)


def _go_on_or_begin(folder: Path, plan: dict[str, Any]) -> None:
    """Empty a folder of what was begun in another way: by another version, say."""
    file = folder / "plan.json"
    if not file.exists() or file.read_text() != json.dumps(plan):
        for entry in folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        file.write_text(json.dumps(plan))


def _name(source: Source, label: int) -> str:
    return source.class_names[label] if source.class_names else str(label)


def _save(part: Part, folder: Path, name: str) -> None:
    np.save(folder / f"{name}_labels.npy", part.labels)
    np.save(folder / f"{name}_hashes.npy", part.hashes)
    np.save(folder / f"{name}_aspects.npy", part.aspects)


def _left_out_digest(part: Part) -> bytes:
    """What a fingerprint says of the images left out: nothing where there are none, so that it is as it always was."""
    return np.array(list(part.unreadable), np.int64).tobytes()


def _info(
    source: Source, sources: Mapping[str, Images], parts: Mapping[str, Part], how: Decoding, digest: str
) -> ArraysInfo:
    train, test = parts["train"], parts.get("test")
    value_range = how.given_range or how.found_range
    wide = {name: part.wide for name, part in parts.items()}
    mean, std = _moments(train.levels)
    left_out = (about_left_out(name, list(part.unreadable.values()), part.several) for name, part in parts.items())
    hashes = {name: part.hashes for name, part in parts.items()}
    copies = same_images(hashes, lambda name, i: sources[name].name(int(parts[name].numbers[i])))
    return ArraysInfo(
        image_size=how.image_size, frame_size=None, channels=how.channels, num_classes=source.num_classes,
        class_names=source.class_names, mean=mean, std=std, train=len(train.labels),
        test=0 if test is None else len(test.labels), digest=digest, value_range=value_range,
        left_out=(*source.left_out, *chain.from_iterable(left_out)), copies=tuple(copies),
        warnings=(
            *source.warnings,
            *about_levels(train.levels, wide, value_range),
            *about_labels(train.hashes, train.labels),
        ),
    )  # fmt: skip


def save_info(info: ArraysInfo, folder: Path) -> None:
    """Write `info` beside the arrays."""
    record = asdict(info)
    if info.storage == "arrays":  # so that earlier versions read them
        del record["storage"]
    (folder / "info.json").write_text(json.dumps(record, indent=1))


def load_info(folder: Path) -> ArraysInfo:
    """Read what `save_info` wrote."""
    record = json.loads((folder / "info.json").read_text())
    names = record["class_names"]
    value_range = record["value_range"]
    record |= {name: tuple(record[name]) for name in ("mean", "std", "left_out", "copies", "warnings")}
    record |= {"class_names": tuple(names) if names else None, "value_range": value_range and tuple(value_range)}
    return ArraysInfo(**record)


def _moments(levels: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    values, count = np.arange(256, dtype=np.float64), levels[0].sum()
    mean = levels @ values / count
    variance = levels @ values**2 / count - mean**2
    # A constant channel has no deviation; 1 leaves it centred instead of dividing by zero.
    std = np.where(variance > 1e-6, np.sqrt(np.maximum(variance, 0)), 255.0)
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def _check_room(folder: Path, needed: int, what: str) -> None:
    free = shutil.disk_usage(folder).free + sum(file.stat().st_blocks * 512 for file in folder.glob("*_images.*"))
    if needed > free:
        text = f"{what} need {needed / 1e9:.1f} GB in {folder.parent}, which has {free / 1e9:.1f} GB free"
        raise ValueError(f"{text}; make room, or say by data.cache_dir or NAS_CACHE where there is some")
