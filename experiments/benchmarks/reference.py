"""Crops, RandAugment, Mixup, CutMix, erasing, RMSProp, EMA and schedules beside independent computations of the same.

Independent: Pillow for what moves or changes pixels, numpy and closed formulas in float64 for the rest, written from
the publications and not from our code. Of each the largest difference is printed, with what it may be. Photographs are
taken from a parquet file where one is given, else made: as fine as photographs are, down to the single pixel.

    python -m experiments.benchmarks.reference --data DATA.parquet --out experiments/results
"""

from __future__ import annotations

import argparse
import io
import math
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as parquet
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from experiments.benchmarks import reference_augmentation as augmentation
from experiments.benchmarks.augmentation import processor
from experiments.benchmarks.results import write
from nas.training.ema import ExponentialMovingAverage
from nas.training.optimizers import RMSProp
from nas.training.schedules import learning_rate
from nas.training.settings import TrainSettings

Array = NDArray[np.float64]


class Row(NamedTuple):
    """One comparison."""

    what: str
    beside: str
    difference: float  # the largest
    unit: str
    bound: float  # that it may reach


# ---- training


def rmsprop(steps: int) -> Iterator[Row]:
    """TensorFlow's RMSProp, from its formulas, on given gradients with weight decay and a rate that changes."""
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=64), rng.normal(size=(steps, 64)) * np.exp(rng.normal(size=64) * 3)
    rates = 0.1 * 0.9 ** np.arange(steps)
    decay, momentum, eps, weight_decay = 0.9, 0.9, 1e-3, 1e-2
    weights, mean_square, velocity = start.copy(), np.ones(64), np.zeros(64)
    for gradient, rate in zip(gradients, rates, strict=True):
        whole = gradient + weight_decay * weights
        mean_square = decay * mean_square + (1 - decay) * whole**2
        velocity = momentum * velocity + rate * whole / np.sqrt(mean_square + eps)
        weights = weights - velocity
    for foreach in (False, True):
        parameter = nn.Parameter(torch.from_numpy(start.copy()))
        optimizer = RMSProp([parameter], lr=0.0, weight_decay=weight_decay, foreach=foreach)
        for gradient, rate in zip(gradients, rates, strict=True):
            optimizer.param_groups[0]["lr"] = float(rate)
            parameter.grad = torch.from_numpy(gradient.copy())
            optimizer.step()
        difference = np.abs(parameter.detach().numpy() - weights).max() / np.abs(weights).max()
        form = "many tensors a kernel" if foreach else "tensor by tensor"
        yield Row(f"RMSProp, {form}, {steps} steps", "TensorFlow's formulas", difference, "of the largest weight", 1e-6)


def ema(steps: int) -> Iterator[Row]:
    """TensorFlow's moving average with num_updates, as a sum of all earlier weights times products of decays."""
    rng, decay = np.random.default_rng(1), 0.99
    weights = rng.normal(size=(steps + 1, 32))
    decays = [min(decay, (1 + n) / (10 + n)) for n in range(steps)]
    shares = np.array([math.prod(decays[n:]) * (1 - (decays[n - 1] if n else 0)) for n in range(steps + 1)])
    network = nn.Linear(32, 1, bias=False).double()
    network.weight.data = torch.from_numpy(weights[:1].copy())
    average = ExponentialMovingAverage(network, decay)
    for each in weights[1:]:
        network.weight.data = torch.from_numpy(each[None].copy())
        average._sources = [network.weight]
        average.advance()
        average.update()
    ours = average.network.weight.detach().numpy()[0]  # type: ignore[union-attr, operator]
    yield Row(f"EMA, {steps} updates", "closed sum", float(np.abs(ours - shares @ weights).max()), "weight", 1e-6)


def schedules(epochs: int) -> Iterator[Row]:
    """The rate of each step: peak by batch size, linear warm-up, then the formula."""
    per_epoch, warmup = 7, 3
    total, warm = epochs * per_epoch, warmup * per_epoch
    step = np.arange(total)
    shapes: dict[str, Array] = {
        "cosine": (1 + np.cos(np.pi * step / total)) / 2,
        "exponential": 0.97 ** np.floor(step / per_epoch / 2.4 + 1e-12),
        "constant": np.ones(total),
    }
    for name, shape in shapes.items():
        settings = TrainSettings(
            epochs=epochs,
            batch_size=512,
            learning_rate=0.1,
            warmup_epochs=warmup,
            schedule=name,  # type: ignore[arg-type]
        )
        ours = [learning_rate(n, total, per_epoch, settings) for n in range(total)]
        wanted = 0.1 * 512 / 256 * np.where(step < warm, (step + 1) / warm, shape)
        yield Row(f"learning rate, {name}", "formula", float(np.abs(ours - wanted).max()), "rate, of 0.2", 1e-9)


# ---- pictures


def made_pictures(n: int, seed: int = 0) -> list[Image.Image]:
    """Pictures of three shapes whose amplitudes fall with frequency, as those of photographs do."""
    rng = np.random.default_rng(seed)
    return [_made(rng, *((400, 300), (200, 300), (250, 250))[i % 3]) for i in range(n)]


def _made(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    down, along = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    falling = 1 / np.maximum(np.hypot(down, along), 1 / max(width, height))
    planes = [np.fft.ifft2(np.fft.fft2(rng.normal(size=(height, width))) * falling).real for _ in range(3)]
    levels = [(plane - plane.mean()) / plane.std() * 50 + 128 for plane in planes]
    return Image.fromarray(np.stack(levels, -1).clip(0, 255).astype(np.uint8))


def photographs(file: Path, n: int) -> list[Image.Image]:
    """Some images of a parquet file that has them encoded in a column `image`."""
    column = parquet.read_table(file, columns=["image"])["image"]
    chosen = np.linspace(0, len(column) - 1, n).astype(int)
    return [Image.open(io.BytesIO(column[int(i)].as_py()["bytes"])).convert("RGB") for i in chosen]


# ---- all


def compare(draws: int, images: int, steps: int, data: Sequence[Path] = ()) -> Iterator[Row]:
    """Do every comparison.

    Args:
        draws: of whatever is random.
        images: pictures that crops are compared on, of each kind.
        steps: of the optimiser and the average.
        data: parquet files of photographs.
    """
    for fact in augmentation.boxes(draws):
        yield Row(*fact)
    for name, pictures in {
        "made": made_pictures(images),
        **{f.parent.name: photographs(f, images) for f in data},
    }.items():
        for fact in augmentation.sharpness(name, pictures):
            yield Row(*fact)
    pictures = np.stack([np.asarray(picture.resize((128, 128))) for picture in made_pictures(6, seed=1)])
    pixels: Tensor = torch.from_numpy(pictures)
    for compared in (augmentation.resized, augmentation.operations):
        for fact in compared(pixels):
            yield Row(*fact)
    for compared_by_draws in (augmentation.mixed, augmentation.erased):
        for fact in compared_by_draws(draws):
            yield Row(*fact)
    yield from rmsprop(steps)
    yield from ema(steps)
    yield from schedules(30)


def table(rows: Sequence[Row]) -> str:
    """The comparisons as markdown."""
    lines = ["| what | beside | largest difference | may be | unit |", "|---|---|---|---|---|"]
    lines += [f"| {r.what} | {r.beside} | {r.difference:.2g} | {r.bound:g} | {r.unit} |" for r in rows]
    return "\n".join(lines)


def main() -> None:
    """Run, print, and with --out write the record; exit status 1 where a difference is larger than it may be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="parquet files of photographs")
    parser.add_argument("--draws", type=int, default=50_000)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--out", type=Path, help="folder for DATE-reference-DEVICE.json and .md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = list(compare(arguments.draws, arguments.images, arguments.steps, arguments.data))
    print(table(rows))
    if arguments.out:
        write(arguments.out, "reference", record(arguments, rows), text(arguments, rows))
    raise SystemExit(any(row.difference > row.bound for row in rows))


def record(arguments: argparse.Namespace, rows: Sequence[Row]) -> dict[str, Any]:
    """What was compared, with what."""
    versions = {"torch": torch.__version__, "pillow": Image.__version__, "numpy": np.__version__}
    counts = {name: getattr(arguments, name) for name in ("draws", "images", "steps")}
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return {"date": when, "device": processor(), "threads": 1, "cores": os.cpu_count(), **versions, **counts} | {
        "photographs": [file.parent.name for file in arguments.data],
        "rows": [row._asdict() for row in rows],
    }


def text(arguments: argparse.Namespace, rows: Sequence[Row]) -> str:
    """The result's page."""
    facts = ", ".join(f"{k} {v}" for k, v in record(arguments, rows).items() if k != "rows")
    return (
        "# Beside independent computations\n\nThe largest difference of each step of a training from Pillow, numpy or "
        f"a closed formula: `python -m experiments.benchmarks.reference`.\n\n{facts}\n\n{table(rows)}\n"
    )


if __name__ == "__main__":
    main()
