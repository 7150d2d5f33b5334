"""Fused-MBConv in the early stages of an EfficientNet-B4: what it costs, and what it does to the training speed.

Counted are the four networks of EfficientNetV2's table 3 (arXiv:2104.00298) in every reading of their construction that
the paper leaves open: whether fused blocks keep squeeze-and-excitation, B4's 5x5 kernels, and expansion 6. Timed are
those of one reading, each step in pairs with the step of the network without fused stages.

    python -m experiments.benchmarks.fused_stages --device cpu --out experiments/results     # a quarter of an hour
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from experiments.benchmarks.results import write
from nas.measure.settings import StepTimeSettings
from nas.measure.step_time import step_time
from nas.training.device import device_name, limit_threads, resolve_device, set_up
from nas.training.settings import TrainSettings
from search_space.architecture import Architecture, Stage
from search_space.cost import Cost, count
from search_space.families import published
from search_space.network import build_network

CLASSES, B4_SIZE = 1000, 380
TRAINING = TrainSettings()
# Pairs of single steps: a step takes seconds on a CPU, and what is looked for are tenths, not hundredths.
TIMING = StepTimeSettings(min_pairs=8, max_pairs=16, turn=1, warmup=1, interval=0.02)
SIZES = {"cpu": ((128, 8), (224, 4)), "cuda": ((224, 128), (380, 48))}  # pixels, images


@dataclass(frozen=True)
class Published:
    """A row of table 3."""

    fused: int  # stages with Fused-MBConv, from the first
    params_m: float
    gmacs: float
    tpu: float  # images per second and core
    v100: float  # images per second and GPU


TABLE_3 = {
    "none": Published(0, 19.3, 4.5, 262, 155),
    "1-3": Published(3, 20.0, 7.5, 362, 216),
    "1-5": Published(5, 43.4, 21.3, 327, 223),
    "1-7": Published(7, 132.0, 34.4, 254, 206),
}


@dataclass(frozen=True)
class Reading:
    """How a fused block is made of B4's MBConv."""

    se: bool = False  # squeeze-and-excitation is kept
    expansion: int = 6
    three_by_three: tuple[int, ...] = ()  # stages, counted from 1, whose 5x5 kernels become 3x3

    def stage(self, number: int, stage: Stage) -> Stage:
        """Give the fused stage."""
        return replace(
            stage,
            op="fused_mbconv",
            kernel_size=3 if number in self.three_by_three else stage.kernel_size,
            expansion=min(stage.expansion, self.expansion),
            se_ratio=stage.se_ratio if self.se else 0.0,
        )

    def network(self, fused: int) -> Architecture:
        """Give B4 with its first stages fused."""
        b4 = published("efficientnet_b4")
        stages = tuple(self.stage(n, s) if n <= fused else s for n, s in enumerate(b4.stages, start=1))
        return replace(b4, stages=stages)

    def cost(self, fused: int) -> Cost:
        """Count the network."""
        return count(self.network(fused), B4_SIZE, CLASSES)


READINGS = {
    "B4's kernels, no SE": Reading(),
    "B4's kernels, SE": Reading(se=True),
    "3x3 in stage 3, no SE": Reading(three_by_three=(3,)),
    "3x3 everywhere, no SE": Reading(three_by_three=tuple(range(1, 8))),
    "B4's kernels, no SE, expansion 4": Reading(expansion=4),
}


def timed(reading: Reading, device: torch.device, keep: Path | None) -> list[dict[str, Any]]:
    """Time every network beside the one without fused stages; what `keep` has is not timed again."""
    kept = json.loads(keep.read_text()) if keep and keep.exists() else []
    done = {(row["fused"], row["image_size"]) for row in kept}
    plain = reading.network(0)
    for image_size, batch_size in SIZES[device.type]:
        for name, row in TABLE_3.items():
            if (name, image_size) in done:
                continue
            measured = step_time(
                build_network(reading.network(row.fused), CLASSES, drop_path=TRAINING.drop_path),
                build_network(plain, CLASSES, drop_path=TRAINING.drop_path),
                TIMING,
                TRAINING,
                image_size=image_size,
                in_channels=3,
                num_classes=CLASSES,
                batch_size=batch_size,
                device=device,
            )
            kept.append({"fused": name, **asdict(measured)})
            print(f"{image_size} px, fused {name}: {measured.ratio:.3f} of the step without", flush=True)
            if keep:
                keep.write_text(json.dumps(kept))
    return kept


def counted() -> list[dict[str, Any]]:
    """Count every network in every reading."""
    return [
        {"reading": name, "fused": fused, **reading.cost(row.fused)._asdict()}
        for name, reading in READINGS.items()
        for fused, row in TABLE_3.items()
    ]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    device = resolve_device(arguments.device)
    limit_threads(1)
    set_up(device)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device_name(device),
        "torch": torch.__version__,
        "counted": counted(),
        "reading": arguments.reading,
        "timed": timed(READINGS[arguments.reading], device, arguments.keep),
    }


# ---- the tables


def against(value: float, published: float) -> str:
    return f"{value:.4g} ({100 * (value / published - 1):+.1f} %)"


def counts_table(record: dict[str, Any]) -> list[str]:
    lines = ["| reading | fused | params, 10^6 | published | MACs, 10^9 | published |", "|---|---|--:|--:|--:|--:|"]
    for row in record["counted"]:
        paper = TABLE_3[row["fused"]]
        params, macs = against(row["params"] / 1e6, paper.params_m), against(row["macs"] / 1e9, paper.gmacs)
        lines.append(f"| {row['reading']} | {row['fused']} | {params} | {paper.params_m} | {macs} | {paper.gmacs} |")
    errors = {name: worst(record["counted"], name) for name in READINGS}
    lines.append("")
    lines += [f"{name}: at most {100 * error:.1f} % off." for name, error in sorted(errors.items(), key=lambda e: e[1])]
    return lines


def worst(rows: list[dict[str, Any]], reading: str) -> float:
    """Give the largest relative error of a reading's params and MACs."""
    errors = []
    for row in rows:
        if row["reading"] == reading:
            paper = TABLE_3[row["fused"]]
            errors += [abs(row["params"] / 1e6 / paper.params_m - 1), abs(row["macs"] / 1e9 / paper.gmacs - 1)]
    return max(errors)


def speeds_table(record: dict[str, Any]) -> list[str]:
    lines = ["| px | batch | fused | images/s | speed over `none` (95 %) | MACs over `none` | TPU | V100 |"]
    lines.append("|--:|--:|---|--:|--:|--:|--:|--:|")
    none, reading = TABLE_3["none"], READINGS[record["reading"]]
    for row in record["timed"]:
        paper, size = TABLE_3[row["fused"]], row["image_size"]
        macs, plain = (count(reading.network(fused), size, CLASSES).macs for fused in (paper.fused, 0))
        speed = row["batch_size"] / row["step_time_s"]
        low, high = (1 / row[end] if row[end] else math.inf for end in ("ratio_high", "ratio_low"))
        ours = f"{1 / row['ratio']:.2f} ({low:.2f} to {high:.2f})"
        theirs = f"{paper.tpu / none.tpu:.2f} | {paper.v100 / none.v100:.2f}"
        lines.append(
            f"| {size} | {row['batch_size']} | {row['fused']} | {speed:.2f} | {ours} | {macs / plain:.2f} | {theirs} |"
        )
    return lines


def markdown(record: dict[str, Any]) -> str:
    lines = [f"# Fused stages of an EfficientNet-B4: {record['device']}", ""]
    lines += [f"`python -m experiments.benchmarks.fused_stages`, {record['date'][:10]}, torch {record['torch']}.", ""]
    lines += ["Counted, beside table 3 of arXiv:2104.00298:", "", *counts_table(record), ""]
    lines += [f"Training step timed in pairs with `none`'s; {record['reading']}. TPU and V100 as published.", ""]
    return "\n".join([*lines, *speeds_table(record), ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--reading", default="3x3 in stage 3, no SE", choices=list(READINGS), help="which is timed")
    parser.add_argument("--keep", type=Path, help="file of what was timed: what is in it is not timed again")
    parser.add_argument("--out", type=Path, help="folder for the results; default: print only")
    arguments = parser.parse_args()
    record = run(arguments)
    text = markdown(record)
    print(text)
    if arguments.out:
        write(arguments.out, "fused-stages", record, text)


if __name__ == "__main__":
    main()
