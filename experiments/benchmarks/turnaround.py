"""How long a worker that lives for many trials needs from the end of one trial to the first step of the next.

A real search, one worker, its process reused; the evaluator is the search's own with a note of three moments: called,
first step, done. Goal: below 0.2 s on a CPU.

    python -m experiments.benchmarks.turnaround --out experiments/results        # about a minute
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch

from nas.training.device import device_name
from nas.training.step import TrainingStep
from nas.trials.answer import Report
from nas.trials.evaluate import evaluate
from nas.trials.task import Task
from search_space.architecture import Architecture

MOMENTS = "NAS_BENCHMARK_MOMENTS"  # environment: the file that moments are appended to
CONFIG = """
space: {name: small, image_size: 16}
image_size: 16
data: {source: digits, minival: 0.2}
augment: {crop: pad, crop_padding: 4}
training: {epochs: 2, batch_size: 64}
step_time: {max_pairs: 10}
algorithm: {name: ALGORITHM}
search: {trials: TRIALS, workers: 1, fresh_process: false, evaluator: "experiments.benchmarks.turnaround:observed"}
device: cpu
"""


def observed(architecture: Architecture, seed: int, task: Task, report: Report) -> dict[str, Any]:
    """Evaluate as a search does, and note when this was called, took its first step and was done."""
    moments = {"pid": os.getpid(), "called": time.monotonic()}
    step = TrainingStep.__call__

    def first_step(self: TrainingStep, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        moments["first_step"] = time.monotonic()
        TrainingStep.__call__ = step  # type: ignore[method-assign]
        return step(self, images, labels)

    TrainingStep.__call__ = first_step  # type: ignore[method-assign]
    result = evaluate(architecture, seed, task, report)
    moments["done"] = time.monotonic()
    with Path(os.environ[MOMENTS]).open("a") as file:
        file.write(json.dumps(moments) + "\n")
    return result


def gaps(moments: list[Mapping[str, float]]) -> list[dict[str, float]]:
    """From each trial's end to the first step of the next in the same process, and the parts of it, seconds."""
    return [
        {
            "gap_s": after["first_step"] - before["done"],
            "until_called_s": after["called"] - before["done"],
            "until_first_step_s": after["first_step"] - after["called"],
        }
        for before, after in itertools.pairwise(moments)
        if before["pid"] == after["pid"]
    ]


def run(algorithm: str, trials: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        config, file = Path(folder, "config.yaml"), Path(folder, "moments.jsonl")
        config.write_text(CONFIG.replace("TRIALS", str(trials)).replace("ALGORITHM", algorithm))
        command = [sys.executable, "-m", "nas.cli", "search", str(config), "--out", str(Path(folder, "run"))]
        path = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {MOMENTS: str(file), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        subprocess.run(command, env=environment, check=True, capture_output=True)
        found = gaps([json.loads(line) for line in file.read_text().splitlines()])
    return {"algorithm": algorithm, "gaps": found, **{key: median(gap[key] for gap in found) for key in found[0]}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", nargs="+", default=["random", "predictor"])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--out", type=Path, help="folder for the results; default: print only")
    arguments = parser.parse_args()
    began, device = datetime.now(UTC).isoformat(timespec="seconds"), device_name(torch.device("cpu"))
    runs = [run(algorithm, arguments.trials) for algorithm in arguments.algorithms]
    rows = [
        f"| {r['algorithm']} | {len(r['gaps'])} | {r['gap_s']:.3f} | {max(g['gap_s'] for g in r['gaps']):.3f} |"
        f" {r['until_called_s']:.3f} | {r['until_first_step_s']:.3f} |"
        for r in runs
    ]
    head = f"# From the end of one trial to the first step of the next, {device}, {began[:10]}"
    about = (
        f"`python -m experiments.benchmarks.turnaround`, torch {torch.__version__}, {os.cpu_count()} CPUs. Goal: 0.2 s."
    )
    columns = "| algorithm | gaps | median s | largest s | of it Ray and proposal | building and preparing |"
    text = "\n".join([head, "", about, "", columns, "|---|--:|--:|--:|--:|--:|", *rows, ""])
    print(text)
    if arguments.out:
        path = arguments.out / f"{began[:10]}-turnaround-cpu"
        path.with_suffix(".md").write_text(text)
        path.with_suffix(".json").write_text(
            json.dumps({"date": began, "device": device, "runs": runs}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
