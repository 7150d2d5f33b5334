"""Images that a CPU second prepares: by threads and by processes, kept as arrays and as JPEGs, beside Pillow alone.

Pillow's share is what cannot be saved: to decode each image in one thread, at the size at which libjpeg halves it, to
resize it, and where it is kept as a JPEG to encode it. Ours is the command of a user, with all that it starts; counted
from the first chunk to the end, so that starting Ray and reading the list of files are left out, though not what
workers import after that.

    python -m experiments.benchmarks.made_up_imagenet DATA --images 4000 --classes 10
    python -m experiments.benchmarks.preparation DATA/train --out experiments/results
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from PIL import Image, ImageOps

from experiments.benchmarks.augmentation import processor
from experiments.benchmarks.large_dataset import tree
from experiments.benchmarks.results import write
from nas.data.making import CHUNK
from nas.data.settings import DataSettings
from search_space import yaml_text

ALONE = 600  # images that Pillow does by itself


class Row(NamedTuple):
    """What one way of preparing gives."""

    image_size: int
    storage: str
    way: str
    per_core_second: float  # images a second of the processor's time
    per_second: float  # images a second of the clock's


def pillow(files: list[Path], size: int, storage: str) -> Row:
    """Do what has to be done of each image, and nothing else."""
    clock, cpu = time.perf_counter(), time.process_time()
    for file in files:
        image = Image.open(file)
        image.draft(None, (2 * size, 2 * size))
        image = image.convert("RGB")
        if storage == "arrays":
            ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
            continue
        share = size / min(image.size)
        if share < 1:
            image = image.resize((round(image.width * share), round(image.height * share)), Image.Resampling.BICUBIC)
        image.save(io.BytesIO(), "JPEG", quality=DataSettings().jpeg_quality)
    used, passed = time.process_time() - cpu, time.perf_counter() - clock
    return Row(size, storage, "Pillow alone", len(files) / used, len(files) / passed)


def ours(folder: Path, images: int, size: int, storage: str, *, processes: bool) -> Row:
    """Run `nas data prepare`."""
    with TemporaryDirectory(dir=folder.parent) as scratch:
        cache, config = Path(scratch) / "cache", Path(scratch) / "config.yaml"
        data = {"source": "folder", "path": str(folder), "storage": storage, "minival": 100, "cache_dir": str(cache)}
        config.write_text(
            yaml_text.dump({"space": {"name": "small", "image_size": size}, "image_size": size, "data": data})
        )
        command = [sys.executable, "-m", "nas.cli", "data", "prepare", str(config), *["--processes"] * processes]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        used: dict[int, float] = {}
        first: tuple[int, float, float] | None = None  # images, CPU seconds and time at the first look at chunks
        while process.poll() is None:
            used |= {pid: cpu_seconds(pid) or used.get(pid, 0.0) for pid in tree(process.pid)}
            done = len(list(cache.glob("*.part/train_chunks/*.npz")))
            if first is None and done:
                first = min(images, done * CHUNK), sum(used.values()), time.perf_counter()
            time.sleep(0.05)
        end = time.perf_counter()
    if process.returncode or first is None:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    left = images - first[0]
    way = "processes" if processes else "threads"
    return Row(size, storage, way, left / (sum(used.values()) - first[1]), left / (end - first[2]))


def cpu_seconds(pid: int) -> float:
    """Give the processor's time that a process took; 0 for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(folder: Path, sizes: list[int]) -> Iterator[Row]:
    """Measure every way at every size; Pillow alone before and after the others."""
    files = sorted(folder.rglob("*.JPEG"))
    for size in sizes:
        for storage in ("arrays", "jpeg"):
            before = pillow(files[:ALONE], size, storage)
            rows = [ours(folder, len(files), size, storage, processes=each) for each in (False, True)]
            after = pillow(files[:ALONE], size, storage)
            yield before._replace(per_core_second=(before.per_core_second + after.per_core_second) / 2)
            yield from rows


def table(rows: list[Row]) -> str:
    """Rows as markdown, each beside Pillow alone."""
    alone = {row[:2]: row.per_core_second for row in rows if row.way == "Pillow alone"}
    lines = [
        "| px | kept as | way | images a CPU second | beside Pillow alone | images a second |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        beside = row.per_core_second / alone[row[:2]]
        lines.append(
            f"| {row.image_size} | {row.storage} | {row.way} | {row.per_core_second:,.0f} | {beside:.2f} "
            f"| {row.per_second:,.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and print, or write, the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=lambda text: [int(part) for part in text.split(",")], default=[192, 384])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows = list(measured(given.folder, given.sizes))
    print(table(rows))
    if given.out is not None:
        load = os.getloadavg()[0]
        record = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "device": processor(),
                  "torch": torch.__version__, "load": load, "rows": [row._asdict() for row in rows]}  # fmt: skip
        head = f"# Images that a CPU second prepares\n\n{processor()}, torch {torch.__version__}, load {load:.0f}.\n\n"
        write(given.out, "preparation", record, head + table(rows))


if __name__ == "__main__":
    main()
