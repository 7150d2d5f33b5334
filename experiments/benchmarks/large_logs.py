"""How long runs of 100,000 trials take to read, to write up and to go on with, and how much memory that takes.

The log is made up, but line by line as a search of the paper's space writes it: ten epochs a curve, failures, trials
that were stopped early, events of each candidate. Every reading is a process of its own; times are of the processor.

    python -m experiments.benchmarks.large_logs --out experiments/results                # 100,000 trials, minutes
    python -m experiments.benchmarks.large_logs --trials 1000000 --reading load status
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.benchmarks.results import write
from nas.config.search import Config, parse
from nas.runs.folder import PROPOSALS, TRIALS, create
from nas.runs.trial import Trial
from search_space.cost import count

CONFIG = {
    "space": {"name": "efficientnetv2", "image_size": 224},
    "image_size": 224,
    "training": {"epochs": 10},
    "algorithm": {"name": "evolution"},
}
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
SHARES = {"ok": 0.85, "pruned": 0.09, "failed": 0.03, "oom": 0.02, "timeout": 0.01}
_LOAD = "from nas.analysis import load; load('RUN')"
_RESUME = """
from pathlib import Path
from nas.config.search import parse, with_numbers
from nas.runs.folder import read_config
from nas.search.checks import make_algorithm
from nas.search.continuation import as_begun, check_run, open_run
from nas.search.ledger import Ledger
run = Path('RUN')
config = as_begun(run, with_numbers(parse(read_config(run)), TRIALS + 1, None))
check_run(run, config, 'd41f9a')
algorithm = make_algorithm(config)
run_id = open_run(run, config, 'd41f9a')
ledger = Ledger(run, algorithm, run_id=run_id, seed=0, trials=TRIALS + 1, max_attempts=3)
assert len(ledger.trials) == TRIALS
"""


class Reading(NamedTuple):
    """A way to read a run: what Python is given, and the goals at 100,000 trials."""

    arguments: tuple[str, ...]
    cpu_s: float
    memory_mb: float | None = None


READINGS = {
    "status": Reading(("-m", "nas.cli", "status", "RUN"), 1),
    "best": Reading(("-m", "nas.cli", "best", "RUN"), 1),
    "load": Reading(("-c", _LOAD), 2, 400),
    "report": Reading(("-m", "nas.cli", "report", "RUN"), 10),
    "resume": Reading(("-c", _RESUME), 8),
}


# ---- a run that nobody ran


def make_run(folder: Path, trials: int, seed: int = 0) -> None:
    """Write a run of so many finished trials."""
    config = parse(CONFIG | {"search": {"trials": trials}})
    run_id = create(folder, config.to_dict())
    with (folder / TRIALS).open("w") as log, (folder / PROPOSALS).open("w") as events:
        for trial in made_up(config, trials, run_id, seed):
            log.write(trial.to_json() + "\n")
            events.writelines(json.dumps(event, separators=(",", ":")) + "\n" for event in _events(trial))


def made_up(config: Config, trials: int, run_id: str, seed: int) -> Iterator[Trial]:
    """Give trials as a search logs them."""
    rng, draws, last = random.Random(seed), np.random.default_rng(seed), ""
    for first in range(0, trials, 1000):
        codes = config.space.sample_encodings(min(1000, trials - first), draws)
        for number, code in enumerate(codes, start=first):
            architecture = config.space.decode(code)
            cost = count(architecture, 224, 10, 3)
            began = BEGAN + timedelta(seconds=4.2 * number)
            trial = Trial(
                architecture,
                "ok",
                trial_id=number,
                run_id=run_id,
                proposed_by="evolution.mutation" if last else "evolution.random",
                parents=(last,) if last else (),
                seed=rng.getrandbits(31),
                **cost._asdict(),
                **_trained(rng),
                **_timed(rng, cost.params / 2e7),
                started_at=began.isoformat(timespec="milliseconds"),
                ended_at=(began + timedelta(seconds=500 * rng.random())).isoformat(timespec="milliseconds"),
                wall_s=500 * rng.random(),
                device_s=500 * rng.random(),
            )
            last = architecture.arch_id
            yield _ended(trial, rng)


def _trained(rng: random.Random) -> dict[str, Any]:
    accuracy = 0.5 + 0.4 * rng.random()
    curve = tuple(
        {
            "epoch": epoch,
            "train_loss": 2.3 * rng.random(),
            "loss": 2.3 * rng.random(),
            "accuracy": round(accuracy * (1 - 0.5 ** (epoch + 1)) * 5000) / 5000,
            "learning_rate": 0.1 * rng.random(),
            "image_size": 224,
            "seconds": 40 * rng.random(),
            "images_per_s": 1000 * rng.random(),
        }
        for epoch in range(10)
    )
    accuracy = curve[-1]["accuracy"]
    fields: dict[str, Any] = {"epochs": 10, "image_size": 224, "batch_size": 128, "micro_batch": 128}
    fields |= {"precision": "bf16", "memory_format": "channels_last", "data_fingerprint": "d41f9a"}
    fields |= {"host": f"node{rng.randrange(16)}", "device_name": "NVIDIA A100-SXM4-80GB", "torch_version": "2.13.0"}
    fields |= {"git_commit": "0123456789ab", "data_wait_share": 0.01 * rng.random(), "curve": curve}
    return fields | {"accuracy": accuracy, "accuracy_se": 0.007, "minival_images": 5000, "loss": curve[-1]["loss"]}


def _timed(rng: random.Random, p: float) -> dict[str, Any]:
    s = 0.5 + 2 * rng.random()
    times = {"step_time_ms": 20 * s, "step_time_p10_ms": 19 * s, "step_time_p90_ms": 22 * s, "step_time_n": 32}
    parts = {"forward_ms": 7 * s, "backward_ms": 12 * s, "update_ms": 1 * s, "reference_step_time_ms": 20.0}
    ends = {"s_normalised": s, "s_low": 0.99 * s, "s_high": 1.01 * s, "p_normalised": p}
    reward = {"reward": (0.5 + 0.4 * rng.random()) * s**-0.07 * p**-0.05, "reward_se": 0.007, "w": -0.07, "v": -0.05}
    said = {"step_time_clock": "wall", "step_time_converged": True, "reward_name": "weighted_product"}
    return times | parts | ends | reward | said | {"peak_memory_mb": 4000 * rng.random()}


def _ended(trial: Trial, rng: random.Random) -> Trial:
    """Give the trial the end that some of them come to."""
    [status] = rng.choices(list(SHARES), list(SHARES.values()))
    if status == "ok":
        return trial
    known = trial.curve[: 3 if status == "pruned" else 0]
    unknown: dict[str, Any] = {"reward": None, "reward_se": None, "curve": known}
    if status != "pruned":
        unknown |= dict.fromkeys(("accuracy", "accuracy_se", "minival_images", "loss", "step_time_converged"))
    return replace(trial, status=status, error=f"{status}: for a reason of its own, {rng.random()}", **unknown)


def _events(trial: Trial) -> Iterator[Mapping[str, Any]]:
    about = {"architecture": trial.architecture.to_dict(), "proposed_by": trial.proposed_by}
    about |= {"parents": list(trial.parents), "proposal": dict(trial.proposal), "at": trial.started_at}
    yield {"event": "proposed", "trial_id": trial.trial_id, "seed": trial.seed} | about
    yield {"event": "started", "trial_id": trial.trial_id, "at": trial.started_at}


# ---- measured


def measure(run: Path, trials: int, reading: Reading) -> dict[str, float]:
    """Read in a new process: CPU and wall seconds, and the most memory, MB."""
    arguments = [each.replace("RUN", str(run)).replace("TRIALS", str(trials)) for each in reading.arguments]
    began = datetime.now(UTC)
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(arguments)} ended with status {os.waitstatus_to_exitcode(status)}")
    wall_s = (datetime.now(UTC) - began).total_seconds()
    return {"cpu_s": used.ru_utime + used.ru_stime, "wall_s": wall_s, "memory_mb": used.ru_maxrss / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--reading", nargs="+", choices=READINGS, default=list(READINGS))
    parser.add_argument("--run", type=Path, help="a run made before; made there if there is none")
    parser.add_argument("--out", type=Path, help="folder for the results; default: print only")
    a = parser.parse_args()
    began = datetime.now(UTC).isoformat(timespec="seconds")
    with tempfile.TemporaryDirectory() as folder:
        run = a.run or Path(folder, "run")
        if not (run / TRIALS).exists():
            make_run(run, a.trials)
        size_mb = (run / TRIALS).stat().st_size / 1e6
        rows = []
        if not (run / ".index").exists():
            rows.append({"reading": "the first of all: load", **measure(run, a.trials, READINGS["load"])})
        for name in a.reading:
            rows.append({"reading": name, **measure(run, a.trials, READINGS[name])})
        index_mb = sum(path.stat().st_size for path in run.glob(".index/*")) / 1e6
    text = table(a.trials, size_mb, index_mb, began, rows)
    print(text)
    if a.out:
        record = {"date": began, "device": device_name(), "trials": a.trials, "log_mb": size_mb, "readings": rows}
        write(a.out, "large-logs", record, text)


def table(trials: int, size_mb: float, index_mb: float, began: str, rows: list[dict[str, Any]]) -> str:
    """Write up what was measured, as markdown."""
    lines = []
    for row in rows:
        goal = READINGS.get(row["reading"])
        wanted = f"{goal.cpu_s:g} s" + (f", {goal.memory_mb:g} MB" if goal.memory_mb else "") if goal else ""
        lines.append(
            f"| {row['reading']} | {row['cpu_s']:.2f} | {row['wall_s']:.2f} | {row['memory_mb']:.0f} | {wanted} |"
        )
    return "\n".join(
        [
            f"# Reading a run of {trials:,} trials, {device_name()}, {began[:10]}",
            "",
            f"`python -m experiments.benchmarks.large_logs --trials {trials}`: a log of {size_mb:.0f} MB, its index of "
            f"{index_mb:.0f} MB. Each is a process of its own, imports included; goals are for 100,000.",
            "",
            "| reading | processor s | clock s | most memory MB | goal |",
            "|---|--:|--:|--:|---|",
            *lines,
            "",
        ]
    )


def device_name() -> str:
    """Name the processor."""
    import torch

    from nas.training.device import device_name

    return device_name(torch.device("cpu"))


if __name__ == "__main__":
    main()
