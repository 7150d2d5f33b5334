"""Progressive learning on CIFAR-10: one image size, growing sizes, and sizes that grow together with regularisation.

The three arms of the paper's ablation (EfficientNetV2, section 5.3) for one small network: the same epochs, seeds and
final strengths; only what changes during training differs. Each arm is a `nas train`: if killed it goes on.

    python -m experiments.benchmarks.progressive --data FOLDER --out experiments/results    # about 20 minutes, 2 cores

FOLDER holds train.parquet and test.parquet with columns image and label, as Hugging Face lays CIFAR-10 out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from nas.training.device import device_name, resolve_device
from search_space import yaml_text
from search_space.architecture import Architecture
from search_space.block_strings import from_block_strings
from search_space.cost import count

BLOCKS = ("r1_k3_s1_e1_i16_o16_c1", "r2_k3_s2_e1_i16_o32_c1", "r2_k3_s2_e4_i32_o64_se0.25")
SIZES, STAGES = (16, 32), 4
FINAL = {"randaugment_magnitude": 5.0, "mixup_alpha": 0.1, "dropout": 0.2, "drop_path": 0.1}
FIRST = {"randaugment_magnitude": 0.0, "mixup_alpha": 0.0, "dropout": 0.0, "drop_path": 0.0}
ARMS = {
    "fixed size": {"image_size": [SIZES[1]] * 2} | {name: [value] * 2 for name, value in FINAL.items()},
    "growing size": {"image_size": list(SIZES)} | {name: [value] * 2 for name, value in FINAL.items()},
    "growing size and regularisation": {"image_size": list(SIZES)}
    | {name: [FIRST[name], value] for name, value in FINAL.items()},
}


def network() -> Architecture:
    return from_block_strings(BLOCKS, stem_channels=16, stem_stride=1, head_channels=256)


def recipe(arm: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "data": {
            "source": "parquet",
            "path": str(arguments.data / "train.parquet"),
            "test_path": str(arguments.data / "test.parquet"),
            "minival": 2000,
            "subset": arguments.images,
        },
        "augment": {"crop": "pad", "flip": True},
        "training": {
            "epochs": arguments.epochs,
            "batch_size": 128,
            "learning_rate": 0.4,
            "weight_decay": 1.0e-4,
            "ema_decay": 0.99,
            "eval_every": arguments.epochs,
        },
        "progressive": {"stages": STAGES, **ARMS[arm]},
        "eval_image_size": SIZES[1],
        "device": arguments.device,
        "seed": seed,
    }


def run(arm: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one arm with one seed; give what came out and what it cost."""
    folder = arguments.runs / f"{arm.replace(' ', '-')}-{seed}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    config = folder.with_suffix(".yaml")
    config.write_text(yaml_text.dump(recipe(arm, seed, arguments)))
    architecture = folder.with_suffix(".json")
    architecture.write_text(network().to_json())
    command = [sys.executable, "-m", "nas.cli", "train", str(architecture), str(config), "--out", str(folder), "--test"]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    result = json.loads((folder / "result.json").read_text())
    epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        "arm": arm,
        "seed": seed,
        "test_accuracy": result["test"]["accuracy"],
        "minival_accuracy": result["accuracy"],
        "train_loss": epochs[-1]["train_loss"],
        "training_s": sum(epoch["seconds"] for epoch in epochs),  # wall time without evaluation
        "cpu_s": used.ru_utime + used.ru_stime,  # of the whole process
    }


def table(runs: list[dict[str, Any]]) -> list[str]:
    """One line an arm: means and deviations over seeds, times beside the first arm's of the same seed."""
    first = {r["seed"]: r for r in runs if r["arm"] == next(iter(ARMS))}
    lines = [
        "| arm | test accuracy | minival | wall s | wall / fixed | CPU s | CPU / fixed |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    for arm in ARMS:
        mine = [r for r in runs if r["arm"] == arm]
        shown = [
            f"{mean(r[key] for r in mine):.4f} ± {stdev(r[key] for r in mine):.4f}"
            for key in ("test_accuracy", "minival_accuracy")
        ]
        for key in ("training_s", "cpu_s"):
            ratio = mean(r[key] / first[r["seed"]][key] for r in mine)
            shown += [f"{mean(r[key] for r in mine):.0f}", f"{ratio:.2f}"]
        lines.append(f"| {arm} | {' | '.join(shown)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=25_000, help="training images")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at once, a thread each")
    parser.add_argument("--runs", type=Path, default=Path("runs/progressive"))
    parser.add_argument("--out", type=Path, help="folder for the results; default: print only")
    arguments = parser.parse_args()
    began, start = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    jobs = [(arm, seed) for seed in range(arguments.seeds) for arm in ARMS]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        runs = list(pool.map(lambda job: run(*job, arguments), jobs))
    device, cost = device_name(resolve_device(arguments.device)), count(network(), SIZES[1], 10)
    options = " ".join(f"--{name} {getattr(arguments, name)}" for name in ("images", "epochs", "seeds", "jobs"))
    text = "\n".join(
        [
            f"# Progressive learning on CIFAR-10, {device}, {began[:10]}",
            "",
            f"`python -m experiments.benchmarks.progressive {options}`,",
            f"torch {torch.__version__}, {time.monotonic() - start:.0f} s. A network of {cost.params:,} parameters and",
            f"{cost.macs / 1e6:.1f}M MACs at {SIZES[1]} px; {STAGES} stages, {SIZES[0]} to {SIZES[1]} px. All end with",
            ", ".join(f"{name} {value:g}" for name, value in FINAL.items()) + ".",
            f"{arguments.seeds} seeds: mean and standard deviation.",
            "",
            *table(runs),
            "",
        ]
    )
    print(text)
    if arguments.out:
        path = arguments.out / f"{began[:10]}-progressive-cifar10"
        path.with_suffix(".md").write_text(text)
        path.with_suffix(".json").write_text(
            json.dumps({"date": began, "device": device, "runs": runs}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
