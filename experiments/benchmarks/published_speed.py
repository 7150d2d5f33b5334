"""Our step times of the published EfficientNets beside the training speeds that timm measured of them on one GPU.

Every network is timed at the image size of timm's table, its step in pairs with the step of EfficientNet-B0 at 224 px,
all with the same number of images: S here is a ratio of times per image. timm took for each network the batch that
filled its GPU, so small networks are a little faster there than at one batch for all.

    python -m experiments.benchmarks.published_speed --device cpu --out experiments/results     # half an hour

Source of the published figures: `results/benchmark-train-amp-nhwc-pt112-cu113-rtx3090.csv` of timm.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau, spearmanr

from experiments.benchmarks.results import write
from nas.measure.settings import StepTimeSettings
from nas.measure.step_time import step_time
from nas.training.device import device_name, limit_threads, resolve_device, set_up
from nas.training.settings import TrainSettings
from search_space.cost import count
from search_space.families import published
from search_space.network import build_network

CLASSES = 1000
REFERENCE, REFERENCE_SIZE = "efficientnet_b0", 224
TRAINING = TrainSettings()
TIMING = StepTimeSettings(min_pairs=4, max_pairs=8, block_pairs=2, turn=1, warmup=1, interval=0.05)
BATCH = {"cpu": 2, "cuda": 8}

# Network: image size in pixels, images per second on an RTX 3090 with mixed precision. Those with symmetric padding,
# as ours have, where there are both; V2-B0 to B3 are published with SAME padding alone.
TIMM = {
    "efficientnet_b0": (224, 1751.72),
    "efficientnet_b1": (224, 1325.85),
    "efficientnet_b2": (256, 978.68),
    "efficientnet_b3": (288, 572.18),
    "efficientnet_b4": (320, 354.99),
    "efficientnet_b5": (456, 113.63),
    "efficientnet_b6": (528, 64.08),
    "efficientnet_b7": (600, 37.97),
    "efficientnetv2_b0": (192, 3428.08),
    "efficientnetv2_b1": (192, 2548.95),
    "efficientnetv2_b2": (208, 1951.52),
    "efficientnetv2_b3": (240, 1041.71),
    "efficientnetv2_s": (288, 559.15),
    "efficientnetv2_m": (320, 246.55),
    "efficientnetv2_l": (384, 98.76),
    "efficientnetv2_xl": (384, 62.18),
}


def timed(name: str, batch_size: int, device: torch.device) -> dict[str, Any]:
    """Time one network at its size beside the reference at its own."""
    size, speed = TIMM[name]
    networks = (build_network(published(n), CLASSES, drop_path=TRAINING.drop_path) for n in (name, REFERENCE))
    measured = step_time(
        *networks,
        TIMING,
        TRAINING,
        image_size=size,
        in_channels=3,
        num_classes=CLASSES,
        batch_size=batch_size,
        device=device,
        reference_image_size=REFERENCE_SIZE,
    )
    cost = count(published(name), size, CLASSES)
    theirs = TIMM[REFERENCE][1] / speed
    return {"network": name, "published_ratio": theirs, "macs": cost.macs, "params": cost.params, **asdict(measured)}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    device = resolve_device(arguments.device)
    limit_threads(1)
    set_up(device)
    kept = json.loads(arguments.keep.read_text()) if arguments.keep and arguments.keep.exists() else []
    done = {row["network"] for row in kept}
    for name in arguments.networks:
        if name not in done:
            kept.append(timed(name, arguments.batch_size or BATCH[device.type], device))
            print(f"{name}: S {kept[-1]['ratio']:.3f}, published {kept[-1]['published_ratio']:.3f}", flush=True)
            if arguments.keep:
                arguments.keep.write_text(json.dumps(kept))
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device_name(device),
        "torch": torch.__version__,
        "rows": [row for row in kept if row["network"] in arguments.networks],
        "agreement": agreement(kept),
    }


def agreement(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Give the rank correlations of the published times per image with ours, and with costs that need no device."""
    theirs = np.array([row["published_ratio"] for row in rows])
    found = {}
    for name in ("ratio", "macs", "params"):
        values = np.array([row[name] for row in rows], dtype=np.float64)
        logs = np.log(values / values[0]) - np.log(theirs / theirs[0])
        found[name] = {
            "kendall_tau": float(kendalltau(values, theirs).statistic),
            "spearman_rho": float(spearmanr(values, theirs).statistic),
            "spread": float(np.std(logs)),  # of the logarithm of ours over theirs
        }
    return found


def markdown(record: dict[str, Any]) -> str:
    rows = record["rows"]
    lines = [f"# S beside published training speeds: {record['device']}", ""]
    command = "`python -m experiments.benchmarks.published_speed`"
    lines += [f"{command}, {record['date'][:10]}, torch {record['torch']}, {rows[0]['batch_size']} images a step.", ""]
    lines += [
        f"Times per image over those of {REFERENCE} at {REFERENCE_SIZE} px: S on this device, and on an RTX 3090",
        "",
    ]
    lines[-2] += " (timm, mixed precision)."
    lines += ["| network | px | S (95 %) | RTX 3090 | ours / theirs | MACs, 10^9 |", "|---|--:|--:|--:|--:|--:|"]
    for row in sorted(rows, key=lambda r: r["published_ratio"]):
        s = f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"
        theirs = row["published_ratio"]
        ratio, gmacs = row["ratio"] / theirs, row["macs"] / 1e9
        lines.append(f"| {row['network']} | {row['image_size']} | {s} | {theirs:.2f} | {ratio:.2f} | {gmacs:.2f} |")
    lines += ["", "| with the published times | Kendall's tau | Spearman's rho | spread of log ratio |"]
    lines.append("|---|--:|--:|--:|")
    for name, label in (("ratio", "S on this device"), ("macs", "MACs"), ("params", "params")):
        a = record["agreement"][name]
        lines.append(f"| {label} | {a['kendall_tau']:.3f} | {a['spearman_rho']:.3f} | {a['spread']:.2f} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--networks", nargs="+", default=list(TIMM), choices=list(TIMM))
    parser.add_argument("--batch-size", type=int, help="images a step; default: 2 on a CPU, 8 on a GPU")
    parser.add_argument("--keep", type=Path, help="file of what was timed: what is in it is not timed again")
    parser.add_argument("--out", type=Path, help="folder for the results; default: print only")
    arguments = parser.parse_args()
    record = run(arguments)
    text = markdown(record)
    print(text)
    if arguments.out:
        write(arguments.out, "published-speed", record, text)


if __name__ == "__main__":
    main()
