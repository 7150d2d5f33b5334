"""Images a second that augmentation handles: ours, kornia's and Pillow's, in turns, one thread.

Every way starts from images that are already in memory in the form it likes best: ours from uint8 batches, kornia from
float batches, Pillow from Pillow images (its results are turned into one uint8 batch). Ours and Pillow draw operations
for each image; kornia draws one for a whole batch, which is the lighter task. On a CPU times are of the processor, so
that other work on the machine does not count; the wall clock stands beside them.

    pip install --no-deps kornia kornia_rs
    python -m experiments.benchmarks.augmentation --out experiments/results
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from nas.data.augment import augment
from nas.data.settings import AugmentSettings

MAGNITUDE = 10
BATCHES = 12  # in a round: enough for kornia, which draws one operation a batch, to draw most of them
GREY = (128, 128, 128)

CASES = {
    "randaugment": AugmentSettings(randaugment_magnitude=MAGNITUDE),
    "pad, crop, flip": AugmentSettings(crop="pad", flip=True),
    "resized crop, flip": AugmentSettings(crop="resized", flip=True),
    "erasing 0.25": AugmentSettings(erasing=0.25),
    "mixup": AugmentSettings(mixup_alpha=0.2),
    "cutmix": AugmentSettings(cutmix_alpha=1.0),
    "all": AugmentSettings(
        crop="pad", flip=True, randaugment_magnitude=MAGNITUDE, erasing=0.25, mixup_alpha=0.2, cutmix_alpha=1.0
    ),
}
Way = Callable[[], object]


def pictures(n: int, size: int) -> Tensor:
    """(N, H, W, 3) uint8 smooth pictures with some noise."""
    rng = np.random.default_rng(0)
    coarse = [
        Image.fromarray(c).resize((size, size), Image.Resampling.BICUBIC)
        for c in rng.integers(0, 256, (n, 9, 9, 3), dtype=np.uint8)
    ]
    noisy = np.stack([np.asarray(image) for image in coarse]) + rng.normal(0, 6, (n, size, size, 3))
    return torch.from_numpy(noisy.clip(0, 255).astype(np.uint8))


# ---- ours


def ours(name: str, pixels: Tensor) -> Way:
    """Our augmentation of a channels-last uint8 batch."""
    images = pixels.permute(0, 3, 1, 2)
    labels = torch.arange(len(images), device=images.device) % 10
    return lambda: augment(images, labels, CASES[name], None, 10)


# ---- kornia


def kornias(name: str, pixels: Tensor) -> Way | None:
    """kornia's augmentation of a float batch, each image with its own draw where kornia has that."""
    import kornia.augmentation as K
    from kornia.augmentation.auto import RandAugment

    images = pixels.permute(0, 3, 1, 2).to(torch.float32).div_(255).contiguous()
    labels = torch.arange(len(images), device=images.device) % 10
    size = images.shape[-1]
    cut = {"same_on_batch": False}
    steps: dict[str, list[Any]] = {
        "randaugment": [RandAugment(n=2, m=MAGNITUDE)],
        "pad, crop, flip": [K.RandomCrop((size, size), padding=size // 8, **cut), K.RandomHorizontalFlip()],
        "resized crop, flip": [K.RandomResizedCrop((size, size), **cut), K.RandomHorizontalFlip()],
        "erasing 0.25": [K.RandomErasing(p=0.25)],
        "mixup": [K.RandomMixUpV2(data_keys=["input", "class"])],
        "cutmix": [K.RandomCutMixV2(data_keys=["input", "class"])],
    }
    if name not in steps:
        return None
    if name in ("mixup", "cutmix"):
        return lambda: steps[name][0](images, labels)

    def run() -> Tensor:
        done = images
        for step in steps[name]:
            done = step(done)
        return done

    return run


# ---- Pillow


def pillows(name: str, pixels: Tensor) -> Way | None:
    """The usual loop over Pillow images; its result is one uint8 batch."""
    if name not in ("randaugment", "pad, crop, flip"):
        return None
    images = [Image.fromarray(image) for image in pixels.cpu().numpy()]
    change = randaugmented if name == "randaugment" else cropped
    return lambda: torch.from_numpy(np.stack([np.asarray(change(image)) for image in images]))


def cropped(image: Image.Image) -> Image.Image:
    """Pad, crop and flip one image."""
    size, padding = image.width, image.width // 8
    x, y = random.randint(0, 2 * padding), random.randint(0, 2 * padding)
    image = ImageOps.expand(image, padding).crop((x, y, x + size, y + size))
    return ImageOps.mirror(image) if random.random() < 0.5 else image


def randaugmented(image: Image.Image) -> Image.Image:
    """Two random operations of the same set and strength as ours."""
    for _ in range(2):
        sign = random.choice((-1, 1))
        image = PIL_OPERATIONS[random.randrange(len(PIL_OPERATIONS))](image, sign)
    return image


def _affine(image: Image.Image, *matrix: float) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, fillcolor=GREY)


def _enhanced(kind: Any) -> Callable[[Image.Image, int], Image.Image]:
    return lambda image, sign: kind(image).enhance(1 + 0.9 * sign)


PIL_OPERATIONS: list[Callable[[Image.Image, int], Image.Image]] = [
    lambda image, sign: ImageOps.autocontrast(image),
    lambda image, sign: ImageOps.equalize(image),
    lambda image, sign: ImageOps.invert(image),
    lambda image, sign: ImageOps.posterize(image, 4),
    lambda image, sign: ImageOps.solarize(image, 0),
    lambda image, sign: image.point([min(255, i + 110) if i < 128 else i for i in range(256)] * 3),
    lambda image, sign: image.rotate(30 * sign, fillcolor=GREY),
    lambda image, sign: _affine(image, 1, 0.3 * sign, 0, 0, 1, 0),
    lambda image, sign: _affine(image, 1, 0, 0, 0.3 * sign, 1, 0),
    lambda image, sign: _affine(image, 1, 0, 0.45 * sign * image.width, 0, 1, 0),
    lambda image, sign: _affine(image, 1, 0, 0, 0, 1, 0.45 * sign * image.height),
    *(
        _enhanced(kind)
        for kind in (ImageEnhance.Color, ImageEnhance.Contrast, ImageEnhance.Brightness, ImageEnhance.Sharpness)
    ),
]


# ---- measuring


def measure(name: str, size: int, batch: int, rounds: int, device: torch.device) -> list[dict[str, Any]]:
    """Time every way of one case in turns, after a round to warm up."""
    pixels = pictures(batch, size).to(device)
    makers = {"ours": ours, "pillow": pillows} | ({"kornia": kornias} if find_spec("kornia") else {})
    ways = {way: run for way, make in makers.items() if (run := make(name, pixels)) is not None}
    if device.type != "cpu":
        ways.pop("pillow", None)
    times: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(rounds + 1):
        for way, run in ways.items():
            times[way].append(timed(run, device))
    images = batch * BATCHES
    return [
        {
            "case": name, "image_size": size, "batch_size": batch, "way": way, "rounds": rounds,
            **{f"images_per_{clock}_s{suffix}": images / pick([t[i] for t in times[way][1:]])
               for i, clock in enumerate(("cpu", "wall"))
               for suffix, pick in (("", statistics.median), ("_low", max), ("_high", min))},
        }
        for way in ways
    ]  # fmt: skip


def timed(run: Way, device: torch.device) -> tuple[float, float]:
    """Processor and wall-clock seconds of a round."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(BATCHES):
        run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.process_time() - cpu, time.perf_counter() - wall


def table(records: list[dict[str, Any]], clock: str) -> str:
    """Markdown: medians with range, and how ours compares."""
    lines = [f"| case | size | way | images per {clock} second | range | ours is |", "|---|---|---|---|---|---|"]
    key = f"images_per_{clock}_s"
    own = {(r["case"], r["image_size"]): r[key] for r in records if r["way"] == "ours"}
    for r in records:
        against = "" if r["way"] == "ours" else f"{own[r['case'], r['image_size']] / r[key]:.1f} x"
        span = f"{r[f'{key}_low']:,.0f} - {r[f'{key}_high']:,.0f}"
        lines.append(f"| {r['case']} | {r['image_size']} | {r['way']} | {r[key]:,.0f} | {span} | {against} |")
    return "\n".join(lines)


def machine(device: torch.device) -> dict[str, Any]:
    """What was measured on, with what."""
    versions = {"torch": torch.__version__, "pillow": Image.__version__}
    if find_spec("kornia"):
        import kornia

        versions["kornia"] = kornia.__version__
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    load = f"{os.getloadavg()[1]:.1f} on {os.cpu_count()} cores"
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "load": load,
        "python": platform.python_version(),
        **versions,
    }


def processor() -> str:
    """The processor's name, as Linux has it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    """Run and print; with --out also write the records and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="folder for DATE-augmentation-DEVICE.json and .md")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # kornia's, about itself
    torch.set_num_threads(1)
    device = torch.device(arguments.device)
    records = [
        r
        for size in arguments.sizes
        for name in arguments.cases
        for r in measure(name, size, arguments.batch, arguments.rounds, device)
    ]
    # After the run, so that the load is that of the machine during it.
    header = {"measured_at": datetime.now(UTC).isoformat(timespec="seconds"), **machine(device)}
    text = table(records, "cpu" if device.type == "cpu" else "wall")
    print(json.dumps(header), text, sep="\n\n")
    if arguments.out:
        stem = f"{header['measured_at'][:10]}-augmentation-{device.type}"
        (arguments.out / f"{stem}.json").write_text(json.dumps({**header, "records": records}, indent=1) + "\n")
        facts = ", ".join(f"{key} {value}" for key, value in header.items())
        (arguments.out / f"{stem}.md").write_text(f"# Augmentation, images a second\n\n{facts}\n\n{text}\n")


if __name__ == "__main__":
    main()
