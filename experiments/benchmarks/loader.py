"""Images a CPU core loads in a second: ours, decoded or as JPEGs, beside torch's DataLoader over files.

Everybody gives the same: training batches, cut out at random, mirrored, normalised, of the same files. Ours with arrays
in memory (warm) and thrown out of it before each epoch (cold; also with no row asked of the disk ahead), and with
JPEGs; the DataLoader in this process with Pillow, and with simplejpeg where that is installed. What counts is the time
of the processor, and beside it that of the clock, which on a cold disk is longer.

    python -m experiments.benchmarks.made_up_imagenet DATA --images 400 --classes 10
    python -m experiments.benchmarks.loader DATA/train --out experiments/results
"""

from __future__ import annotations

import argparse
import math
import os
import random
import statistics
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from experiments.benchmarks.augmentation import processor
from experiments.benchmarks.results import write
from nas.data.batches import Batches
from nas.data.geometry import resized_crop
from nas.data.prepare import Prepared, prepare
from nas.data.read_ahead import ReadAhead
from nas.data.settings import AugmentSettings, DataSettings

SIZES = (128, 192, 300)
AUGMENT = AugmentSettings(crop="resized", flip=True)
BATCH = 64


class Row(NamedTuple):
    """What one way of loading gives."""

    way: str
    image_size: int
    per_core_second: float  # images a second of the processor's time
    per_second: float  # images a second of the clock's
    disk_mb: float  # per thousand images


class Files(Dataset[Tensor]):
    """What a DataLoader over files usually does for an image."""

    def __init__(self, folder: Path, size: int, decode: Callable[[Path], Image.Image]) -> None:
        self.files, self.size, self.decode = sorted(folder.rglob("*.JPEG")), size, decode
        self.scale, self.shift = torch.full((3, 1, 1), 1 / 58.0), torch.full((3, 1, 1), -2.0)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> Tensor:
        image = self.decode(self.files[number])
        left, top, wide, tall = random_box(image.width, image.height)
        image = image.crop((left, top, left + wide, top + tall))
        image = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        return pixels.to(torch.float32).mul_(self.scale).add_(self.shift)


class Fast(Files):
    """The same with the decoder of libjpeg-turbo alone, scaled while it reads, and torch's resize."""

    def __getitem__(self, number: int) -> Tensor:
        import simplejpeg

        content = self.files[number].read_bytes()
        height, width, *_ = simplejpeg.decode_jpeg_header(content)
        left, top, wide, tall = random_box(width, height)
        least = {"min_height": math.ceil(self.size * height / tall), "min_width": math.ceil(self.size * width / wide)}
        pixels = torch.from_numpy(simplejpeg.decode_jpeg(content, "RGB", min_factor=1, **least))
        share = pixels.shape[0] / height
        box = [max(0, int(part * share)) for part in (top, left)] + [max(1, int(part * share)) for part in (tall, wide)]
        cut = resized_crop(pixels[None], torch.tensor(box)[:, None], self.size)[0]
        cut = cut.flip(1) if random.random() < 0.5 else cut
        return cut.permute(2, 0, 1).to(torch.float32).mul_(self.scale).add_(self.shift)


def random_box(width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, width and height of a crop, drawn as torchvision's RandomResizedCrop draws it; else the image."""
    low, high = (math.log(ratio) for ratio in AUGMENT.crop_ratio)
    for _ in range(10):
        area, ratio = width * height * random.uniform(*AUGMENT.crop_scale), math.exp(random.uniform(low, high))
        wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < tall <= height:
            return random.randint(0, width - wide), random.randint(0, height - tall), wide, tall
    return 0, 0, width, height


def with_pillow(file: Path) -> Image.Image:
    """Decode a whole file."""
    with file.open("rb") as opened:
        return Image.open(opened).convert("RGB")


def timed(epoch: Callable[[], Iterable[Any]], seconds: float) -> tuple[float, float]:
    """Give images a second of the processor and of the clock: medians over epochs that take `seconds` in all.

    Args:
        epoch: gives the batches of one more epoch; what it does itself is not counted.
    """
    found: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while len(found) < 3 or time.perf_counter() < end:
        batches = epoch()
        clock, cpu = time.perf_counter(), time.process_time()
        images = sum(len(batch[0] if isinstance(batch, tuple) else batch) for batch in batches)
        found.append((images / (time.process_time() - cpu), images / (time.perf_counter() - clock)))
    return statistics.median(each[0] for each in found), statistics.median(each[1] for each in found)


def forget(prepared: Prepared) -> None:
    """Have the system throw the images out of its memory."""
    for file in Path(prepared.folder).glob("*_images.*"):
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def ours(folder: Path, cache: Path, size: int, seconds: float) -> Iterable[Row]:
    """Load with our batches."""
    for storage in ("arrays", "jpeg"):
        settings = DataSettings("folder", str(folder), storage=storage, minival=0, cache_dir=str(cache))  # type: ignore[arg-type]
        prepared = prepare(settings, size, frame_size=AUGMENT.frame_size(size))
        disk = sum(file.stat().st_size for file in Path(prepared.folder).glob("train_images.*"))
        for way in ("warm", "cold", *["cold, not ahead"] * (storage == "arrays")):
            with mock.patch.object(ReadAhead, "ask") if way == "cold, not ahead" else nullcontext():
                found = timed(_Epochs(prepared, cold=way != "warm").next, seconds)
            yield Row(f"{storage}, {way}", size, *found, disk / prepared.train / 1e3)


class _Epochs:
    """One epoch after the other of a data set."""

    def __init__(self, prepared: Prepared, cold: bool) -> None:
        self.prepared, self.cold, self.number = prepared, cold, 0
        self.batches = self._opened()

    def next(self) -> Iterable[Any]:
        """Give the next one's batches, the files out of the system's memory if they are to be cold."""
        if self.cold:
            del self.batches  # what is mapped stays in memory
            forget(self.prepared)
            self.batches = self._opened()
        self.number += 1
        return self.batches.epoch(self.number)

    def _opened(self) -> Batches:
        return Batches(self.prepared, "train", batch_size=BATCH, device=torch.device("cpu"), augment=AUGMENT)


def theirs(folder: Path, size: int, seconds: float) -> Iterable[Row]:
    """Load with torch's DataLoader, in this process."""
    ways: dict[str, Dataset[Tensor]] = {"DataLoader, Pillow": Files(folder, size, with_pillow)}
    try:
        import simplejpeg  # noqa: F401

        ways["DataLoader, simplejpeg"] = Fast(folder, size, with_pillow)
    except ImportError:
        pass
    disk = statistics.mean(file.stat().st_size for file in folder.rglob("*.JPEG"))
    for name, files in ways.items():
        loader = DataLoader(files, BATCH, shuffle=True, drop_last=True)
        yield Row(name, size, *timed(lambda loader=loader: loader, seconds), disk / 1e3)  # type: ignore[misc]


def table(rows: list[Row]) -> str:
    """Rows as markdown, each beside the DataLoader with Pillow."""
    base = {row.image_size: row.per_core_second for row in rows if row.way == "DataLoader, Pillow"}
    lines = ["| px | way | images a CPU second | beside DataLoader, Pillow | images a second | MB a thousand images |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for row in sorted(rows, key=lambda row: (row.image_size, row.way)):
        beside = row.per_core_second / base[row.image_size]
        numbers = f"{row.per_core_second:,.0f} | {beside:.1f} | {row.per_second:,.0f} | {row.disk_mb:,.0f}"
        lines.append(f"| {row.image_size} | {row.way} | {numbers} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure every way at every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=lambda text: [int(part) for part in text.split(",")], default=SIZES)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each way at each size")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    with TemporaryDirectory(dir=given.folder.parent) as cache:
        for size in given.sizes:
            rows += [*ours(given.folder, Path(cache), size, given.seconds), *theirs(given.folder, size, given.seconds)]
            print(table([row for row in rows if row.image_size == size]), flush=True)
    if given.out is not None:
        record = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "device": processor(),
            "torch": torch.__version__,
            "load": os.getloadavg()[0],
        }
        on = f"{processor()}, torch {torch.__version__}, one thread, load {os.getloadavg()[0]:.0f}"
        head = f"# Images that a core loads in a second\n\n{on}.\n\n"
        record["rows"] = [row._asdict() for row in rows]  # type: ignore[assignment]
        write(given.out, "loader", record, head + table(rows))


if __name__ == "__main__":
    main()
