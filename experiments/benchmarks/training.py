"""Images per second of `nas.training` against the loop that most people write, taken in turns.

    python experiments/benchmarks/training.py [--device cpu|cuda] [--data TRAIN.parquet] [--rounds N] [--threads N]
    python experiments/benchmarks/training.py --device cpu --whole-machine ...

Each contestant trains in a process of its own (one sets up its allocator, the others must not profit) and all take
turns: while one runs, the others wait. A turn starts with untimed steps, which also use up what DataLoader workers
prepared while waiting. Same network, batch, augmentation (crop with padding, flip), optimiser. Data: scikit-learn's
digits in three channels, or a parquet file of images. Beside the speeds stands the share of what the device can do.

With --whole-machine ours trains a candidate on each core side by side, as a search does; the usual loop has torch's
default, all cores for one network, and as many DataLoader workers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from usual_loop import train_usually

from nas.cpus import available_cpus
from nas.data.batches import Batches
from nas.data.prepare import Prepared, load_split, prepare
from nas.data.settings import AugmentSettings, DataSettings
from nas.training.device import device_name, limit_threads, resolve_device, synchronize
from nas.training.settings import ExecutionSettings, TrainSettings
from nas.training.train import train
from search_space import cost
from search_space.architecture import Architecture
from search_space.families import published
from search_space.network import build_network
from search_space.space import SearchSpace
from search_space.spaces import efficientnetv2, small

CONTESTANTS = {
    "ours": "nas.training and nas.data",
    "ours, bf16": "the same with `precision: bf16`, on a CPU that computes in it (a GPU does so anyway)",
    "usual": "DataLoader workers, PIL transforms, eager, SGD",
    "usual, tuned": "the same with channels_last, on a GPU bf16 autocast",
}


NOTE = """Medians over the rounds, 10th to 90th percentile in brackets; ratios are taken round by round. Processor
seconds are those of the training process and its DataLoader workers: they are what counts where every core has a
candidate to train; by wall time DataLoader workers have a core of their own. Roofline: 3 x MACs x images/s (on a CPU,
per second of the training process) over the highest rate of multiply-accumulates measured on the device, of a large
matrix product or a large convolution."""


def processor_s() -> float:
    """Processor seconds of this process and the DataLoader workers it has started."""
    total = time.process_time()
    for worker in multiprocessing.active_children():
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{worker.pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
    return total


CLOCKS = (time.perf_counter, processor_s, time.process_time)


@dataclass(frozen=True)
class Workload:
    name: str
    architecture: Architecture
    image_size: int
    batch_size: int
    steps: int  # timed in a turn
    skipped: int  # before them


@dataclass(frozen=True)
class Options:
    data: str
    rounds: int
    threads: int
    workers: int
    side_by_side: int  # candidates that ours trains at once, `threads` each; the usual loop has all threads for one


def workloads(device: torch.device) -> list[Workload]:
    def drawn(space: SearchSpace, n: int = 1) -> list[Architecture]:
        rng = np.random.default_rng(0)
        return [space.sample(rng) for _ in range(n)]

    candidates = list(enumerate(drawn(small(), 3), start=1))
    v2_s = published("efficientnetv2_s")
    if device.type == "cuda":
        return [
            *(Workload(f"small space, candidate {n}, 32 px", each, 32, 512, 120, 40) for n, each in candidates),
            Workload("EfficientNetV2 space, 128 px", drawn(efficientnetv2())[0], 128, 256, 30, 30),
            Workload("EfficientNetV2-S, 128 px", v2_s, 128, 256, 30, 30),
        ]
    return [
        *(Workload(f"small space, candidate {n}, 32 px", each, 32, 128, 6, 3) for n, each in candidates),
        Workload("small space with stem stride 2, 128 px", drawn(small(stem_stride=2))[0], 128, 32, 5, 3),
        Workload("EfficientNetV2-S, 128 px", v2_s, 128, 16, 3, 3),
    ]


def contestants(device: torch.device) -> list[str]:
    bf16 = device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return [name for name in CONTESTANTS if name != "ours, bf16" or bf16]


class Turns:
    """Called before each step: waits for its turn, lets the untimed steps pass, reports the seconds of the others."""

    def __init__(self, connection: Connection, workload: Workload, device: torch.device) -> None:
        self.connection, self.workload, self.device = connection, workload, device
        self.step = 0  # of the turn
        self.starts: list[float] = []

    def __call__(self) -> None:
        workload = self.workload
        if self.step == workload.skipped + workload.steps:
            synchronize(self.device)
            self.connection.send([clock() - start for clock, start in zip(CLOCKS, self.starts, strict=True)])
            self.step = 0
        if self.step == 0:
            self.connection.recv()
        if self.step == workload.skipped:
            synchronize(self.device)
            self.starts = [clock() for clock in CLOCKS]
        self.step += 1


def contest(
    contestant: str, workload: Workload, prepared: Prepared, device_name: str, options: Options, connection: Connection
) -> None:
    """Train for ever, in a process of its own, when it is this contestant's turn."""
    usual = contestant.startswith("usual")
    limit_threads(options.threads * (options.side_by_side if usual else 1))
    device = resolve_device(device_name)
    torch.manual_seed(0)
    network = build_network(workload.architecture, prepared.num_classes, prepared.channels)
    turns = Turns(connection, workload, device)
    padding = round(4 * workload.image_size / 32)
    if usual:
        train_usually(
            network,
            prepared,
            batch_size=workload.batch_size,
            padding=padding,
            workers=options.workers,
            device=device,
            tuned=contestant == "usual, tuned",
            between_steps=turns,
        )
    augment = AugmentSettings(crop="pad", flip=True)
    batches = Batches(prepared, "train", batch_size=workload.batch_size, device=device, augment=augment)
    settings = TrainSettings(
        epochs=10**6,
        batch_size=workload.batch_size,
        learning_rate=0.02,
        eval_every=10**6,
    )
    execution = ExecutionSettings(precision="bf16" if contestant == "ours, bf16" else "auto")
    train(network, batches, batches, settings, execution=execution, device=device, between_steps=turns)


def interleaved(
    workload: Workload, prepared: Prepared, device: torch.device, options: Options
) -> dict[str, list[tuple[float, float, float]]]:
    """Images per second, by each of `CLOCKS`, of each contestant, one figure a round."""
    spawn = multiprocessing.get_context("spawn")
    running: dict[str, list[tuple[Any, Connection]]] = {}
    for contestant in contestants(device):
        running[contestant] = []
        for _ in range(1 if contestant.startswith("usual") else options.side_by_side):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=contest, args=(contestant, workload, prepared, str(device), options, theirs))
            process.start()
            theirs.close()  # or a contestant that fails would be waited for
            running[contestant].append((process, ours))
    try:
        rates: dict[str, list[tuple[float, float, float]]] = {contestant: [] for contestant in running}
        for number in range(options.rounds + 1):
            for contestant, team in running.items():
                for _, connection in team:
                    connection.send("go")
                seconds = [connection.recv() for _, connection in team]
                if number:  # the first round warms up
                    rates[contestant].append(together(seconds, workload.steps * workload.batch_size))
        return rates
    finally:
        for process, _ in (member for team in running.values() for member in team):
            process.terminate()
            process.join()


def together(seconds: list[list[float]], images: int) -> tuple[float, float, float]:
    """Images per second of processes that trained `images` each at once; by wall time as if all took the slowest's."""
    wall, processor, alone = zip(*seconds, strict=True)
    total = images * len(seconds)
    return total / max(wall), total / sum(processor), total / sum(alone)


def fastest_macs_per_s(device: torch.device) -> float:
    """The higher of what a large matrix product and a large convolution reach, in the precision of `nas.training`."""
    on_gpu = device.type == "cuda"
    dtype, clock = (torch.bfloat16, time.perf_counter) if on_gpu else (torch.float32, time.process_time)
    size, channels, images = (8192, 256, 256) if on_gpu else (1024, 128, 16)
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    conv = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False, device=device, dtype=dtype)
    conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(images, channels, 28, 28, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    rates = []
    for work, macs in ((lambda: a @ b, size**3), (lambda: conv(x), images * 28 * 28 * channels**2 * 9)):
        for _ in range(10):
            start = clock()
            for _ in range(5):
                work()
            synchronize(device)
            rates.append(5 * macs / (clock() - start))
    return max(rates)


def measure(workload: Workload, device: torch.device, options: Options) -> dict[str, Any]:
    """All figures of one workload."""
    data = DataSettings(source="parquet", path=options.data) if options.data else DataSettings(channels=3)
    prepared = prepare(data, workload.image_size)
    macs = cost.count(workload.architecture, workload.image_size, prepared.num_classes, prepared.channels).macs
    with TemporaryDirectory() as folder:
        rates = interleaved(workload, long_epochs(prepared, workload.batch_size, folder), device, options)
    ceiling = fastest_macs_per_s(device)
    record: dict[str, Any] = {
        "workload": workload.name,
        "arch_id": workload.architecture.arch_id,
        "image_size": workload.image_size,
        "batch_size": workload.batch_size,
        "macs": macs,
        "fastest_macs_per_s": ceiling,
        "contestants": {},
    }
    for contestant in contestants(device):
        wall, processor, alone = zip(*rates[contestant], strict=True)
        wall_ratios, processor_ratios = (
            [mine[clock] / its[clock] for mine, its in zip(rates["ours"], rates[contestant], strict=True)]
            for clock in range(2)
        )
        busy = wall if device.type == "cuda" else alone
        record["contestants"][contestant] = {
            "images_per_s": spread(wall),
            "images_per_processor_s": spread(processor),
            "ours_over_it": spread(wall_ratios),
            "ours_over_it_processor": spread(processor_ratios),
            "roofline_share": 3 * macs * statistics.median(busy) / ceiling,  # backward costs two forwards
        }
    return record


def long_epochs(prepared: Prepared, batch_size: int, folder: str) -> Prepared:
    """Repeat the training images until an epoch has 100 batches, or its end would weigh more than it ever does."""
    indices = load_split(prepared, "train").indices
    indices = np.resize(indices, max(len(indices), 100 * batch_size))
    path = Path(folder) / "splits.npz"
    np.savez(path, train=indices)
    return replace(prepared, splits=str(path), train=len(indices))


def spread(samples: Sequence[float]) -> dict[str, float]:
    low, middle, high = np.quantile(samples, [0.1, 0.5, 0.9])
    return {"median": float(middle), "p10": float(low), "p90": float(high)}


def table(records: list[dict[str, Any]], header: dict[str, Any]) -> str:
    """The figures as a page of markdown."""
    lines = [f"# Training speed: {header['device_name']}", ""]
    lines += [f"* {name.replace('_', ' ')}: {value}" for name, value in header.items()]
    lines += [f"* {contestant}: {meaning}" for contestant, meaning in CONTESTANTS.items()]
    lines += ["", NOTE, ""]
    lines += [
        "| workload | batch | contestant | images/s | ours / it | images/processor-s | ours / it | roofline |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for record in records:
        for contestant, figures in record["contestants"].items():
            cells = [record["workload"], str(record["batch_size"]), contestant]
            cells += [cell(figures["images_per_s"], 0), cell(figures["ours_over_it"], 2)]
            cells += [cell(figures["images_per_processor_s"], 0), cell(figures["ours_over_it_processor"], 2)]
            lines.append(f"| {' | '.join(cells)} | {100 * figures['roofline_share']:.0f} % |")
    return "\n".join(lines) + "\n"


def cell(figure: dict[str, float], digits: int) -> str:
    return f"{figure['median']:.{digits}f} ({figure['p10']:.{digits}f}-{figure['p90']:.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--data", default="", help="parquet file of training images; default: scikit-learn's digits")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the training process")
    parser.add_argument("--workers", type=int, help="of the DataLoader; default: a core less than there are, or all")
    parser.add_argument("--whole-machine", action="store_true", help="ours: a candidate a core; usual: all for one")
    parser.add_argument("--only", default="", help="part of a workload's name")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "results")
    given = parser.parse_args()
    cores = available_cpus()
    workers = given.workers or (cores if given.whole_machine else max(1, cores - 1))
    options = Options(given.data, given.rounds, given.threads, workers, cores if given.whole_machine else 1)
    limit_threads(options.threads)
    device = resolve_device(given.device)
    header = {
        "device_name": device_name(device),
        "date": datetime.now(UTC).date().isoformat(),
        "torch_version": torch.__version__,
        **asdict(options),
        "data": "/".join(Path(options.data).parts[-2:]) if options.data else "scikit-learn digits",
    }
    given.out.mkdir(parents=True, exist_ok=True)
    name = f"{header['date']}-training-{device.type}{'-whole-machine' if given.whole_machine else ''}"
    records = []
    for workload in workloads(device):
        if given.only in workload.name:
            records.append(measure(workload, device, options))
            print(table(records[-1:], header))
            # Each time, for who stops this half-way.
            (given.out / f"{name}.json").write_text(json.dumps({**header, "records": records}, indent=1) + "\n")
            (given.out / f"{name}.md").write_text(table(records, header))


if __name__ == "__main__":
    main()
