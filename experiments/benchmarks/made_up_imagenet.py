"""A folder of made-up JPEGs with the sizes of ImageNet's: to prepare, search and train on, where there is no ImageNet.

Textures whose spectrum falls as photographs' does are cut, mirrored and coloured by class, so that files take
some 77 kB (ImageNet's 110) and classes can be learnt. What is there already is not written again.

    python -m experiments.benchmarks.made_up_imagenet OUT --images 100000 --classes 1000
    nas data prepare CONFIG   # with data: {source: folder, path: OUT/train, test_path: OUT/val}
"""

from __future__ import annotations

import argparse
import io
import os
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.cpus import available_cpus
from nas.data.progress import tracking

TEXTURES, SIDES = 12, (900, 1200)  # of textures, height and width
SIZES = ((375, 500), (500, 375), (333, 500), (500, 500), (400, 600), (240, 320), (768, 1024))  # height, width
SHARES = (0.5, 0.15, 0.15, 0.1, 0.05, 0.04, 0.01)
QUALITY = 95
PER_TASK = 200


@cache
def texture(number: int) -> NDArray[np.uint8]:
    """(H, W, 3): noise whose amplitude falls with the frequency, as it does in photographs."""
    rng, (height, width) = np.random.default_rng(number), SIDES
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    falling = 1 / np.maximum(np.hypot(down, across), 1 / width)
    grey = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(height, width))) * falling, (height, width))
    planes = [grey + 0.5 * np.fft.irfft2(np.fft.rfft2(rng.normal(size=(height, width))) * falling**1.5, (height, width))
              for _ in range(3)]  # fmt: skip
    scaled = [(plane - plane.mean()) / plane.std() * 52 + 118 for plane in planes]
    return np.stack(scaled, -1).clip(0, 255).astype(np.uint8)


def photograph(label: int, number: int) -> bytes:
    """A JPEG of a class, the same for the same number."""
    rng, of_class = np.random.default_rng((label, number)), np.random.default_rng(label)
    height, width = SIZES[rng.choice(len(SIZES), p=SHARES)]
    made = texture(int(rng.integers(TEXTURES)))
    top, left = rng.integers(0, SIDES[0] - height), rng.integers(0, SIDES[1] - width)
    part = made[top : top + height, left : left + width, of_class.permutation(3)]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    gains, shifts = of_class.uniform(0.7, 1.1, 3), of_class.uniform(-30, 30, 3)
    tables = [
        ((np.arange(256) - 118) * gain + 118 + shift).clip(0, 255) for gain, shift in zip(gains, shifts, strict=True)
    ]
    coloured = np.stack([table.astype(np.uint8)[part[..., c]] for c, table in enumerate(tables)], -1)
    file = io.BytesIO()
    Image.fromarray(coloured).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def write(folder: Path, classes: int, first: int, stop: int) -> int:
    """Write images first..stop - 1 of a split; image i is of class i % classes. Gives how many bytes are there."""
    written = 0
    for number in range(first, stop):
        label = number % classes
        file = folder / f"n{label:08d}" / f"{number:07d}.JPEG"
        if not file.exists():
            unfinished = file.with_suffix(f".{os.getpid()}.tmp")
            unfinished.write_bytes(photograph(label, number))
            unfinished.replace(file)
        written += file.stat().st_size
    return written


def main() -> None:
    """Write the splits train and val."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=100_000, help="of train; val has a twentieth")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=available_cpus())
    given = parser.parse_args()
    with ProcessPoolExecutor(given.processes) as pool:
        for split, count, offset in (
            ("train", given.images, 0),
            ("val", max(given.classes, given.images // 20), 10**6),
        ):
            folder = given.out / split
            for label in range(given.classes):
                (folder / f"n{label:08d}").mkdir(parents=True, exist_ok=True)
            firsts = range(offset, offset + count, PER_TASK)
            tasks = [pool.submit(write, folder, given.classes, i, min(i + PER_TASK, offset + count)) for i in firsts]
            total = 0
            with tracking(count, split, True) as advance:
                for i, task in zip(firsts, tasks, strict=True):
                    total += task.result()
                    advance(min(PER_TASK, offset + count - i))
            print(f"{split}: {count:,} images, {total / count / 1e3:.0f} kB each")


if __name__ == "__main__":
    main()
