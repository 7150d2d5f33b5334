"""What a search costs the driver for each trial, beside plain Ray Tune, of trials that take no time.

Both run in a process of their own, in turns, on the same workers, with Ray's loggers off. Goal: at most 1.2 times.

    python -m experiments.benchmarks.overhead --out experiments/results        # minutes
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from experiments.benchmarks.results import write
from nas.trackers.callback import Callback, SearchInfo

CONFIG = {
    "space": {"name": "small", "image_size": 16},
    "image_size": 16,
    "data": {"source": "digits", "minival": 0.2},
    "algorithm": {"name": "random"},
    "device": "cpu",
}


def trivial(architecture: Any, seed: int, task: Any, report: Any) -> dict[str, Any]:
    """An evaluator that takes no time."""
    return {"status": "ok", "accuracy": 0.5, "reward": 0.5}


class Clock(Callback):
    """Notes what the driver used between the begin of a search and its end."""

    live = False

    def on_search_begin(self, search: SearchInfo) -> None:
        self.began = used()

    def on_search_end(self, search: SearchInfo) -> None:
        self.ended = used()


def used() -> tuple[float, float]:
    """Seconds of the processor and of the clock."""
    return time.process_time(), time.monotonic()


def search(trials: int, workers: int) -> dict[str, float]:
    """Run a search of ours."""
    from nas import run_search, search_config

    clock = Clock()
    settings = {"trials": trials, "workers": workers, "evaluator": "experiments.benchmarks.overhead:trivial"}
    with tempfile.TemporaryDirectory() as folder:
        config = search_config(**CONFIG, search=settings)
        run_search(config, folder=Path(folder, "run"), callbacks=[clock], progress=False)
    return cost(clock.began, clock.ended, trials)


def plain(trials: int, workers: int) -> dict[str, float]:
    """Run as many trials on Ray Tune alone, with a searcher of the same space and a function that reports once."""
    import numpy as np
    from ray import tune
    from ray.tune.search import Searcher

    from nas.cluster.connection import connect, disconnect
    from nas.config.search import parse

    space, rng = parse(CONFIG).space, np.random.default_rng(0)

    class Plain(Searcher):  # type: ignore[misc]
        left = trials

        def __getstate__(self) -> dict[str, Any]:
            return {}

        def suggest(self, trial_id: str) -> Any:
            if not self.left:
                return Searcher.FINISHED
            self.left -= 1
            return {"architecture": space.sample(rng).to_json()}

        def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
            assert not error

        def save(self, checkpoint_path: str) -> None: ...

        def restore(self, checkpoint_path: str) -> None: ...

    def function(config: Any) -> None:
        tune.report({"reward": 0.5})

    connect(None)
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(function, {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=Plain(metric="reward", mode="max"),
                num_samples=10**9,
                max_concurrent_trials=workers,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, progress_reporter=tune.CLIReporter()),
        )
        began = used()
        tuner.fit()
        found = cost(began, used(), trials)
    disconnect()
    return found


def cost(began: tuple[float, float], ended: tuple[float, float], trials: int) -> dict[str, float]:
    """Give the driver's processor and clock time a trial, ms, and its memory, MB."""
    cpu, wall = (1000 * (b - a) / trials for a, b in zip(began, ended, strict=True))
    return {"cpu_ms": cpu, "wall_ms": wall, "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


WAYS = {"plain": plain, "search": search}


def measured(way: str, trials: int, workers: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "experiments.benchmarks.overhead", "--way", way]
    command += ["--trials", str(trials), "--workers", str(workers)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {"way": way, **json.loads(lines[-1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=6000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--way", choices=WAYS, help="run one here, print what it took as JSON")
    parser.add_argument("--out", type=Path, help="folder for the results; default: print only")
    a = parser.parse_args()
    if a.way:
        print(json.dumps(WAYS[a.way](a.trials, a.workers)))
        return
    began = datetime.now(UTC).isoformat(timespec="seconds")
    runs = [measured(way, a.trials, a.workers) for _ in range(a.rounds) for way in WAYS]
    middle = {way: median(run["cpu_ms"] for run in runs if run["way"] == way) for way in WAYS}
    rows = [f"| {r['way']} | {r['cpu_ms']:.2f} | {r['wall_ms']:.2f} | {r['memory_mb']:.0f} |" for r in runs]
    text = "\n".join(
        [
            f"# The driver's cost of a trial, {began[:10]}",
            "",
            f"`python -m experiments.benchmarks.overhead --trials {a.trials} --rounds {a.rounds}`, {a.workers} "
            f"workers, Ray {ray_version()}. A search's over plain Ray Tune's, processor time: "
            f"{middle['search'] / middle['plain']:.2f} (goal 1.2).",
            "",
            "| way | processor ms a trial | clock ms a trial | memory MB |",
            "|---|--:|--:|--:|",
            *rows,
            "",
        ]
    )
    print(text)
    if a.out:
        write(a.out, "overhead", {"date": began, "device": "cpu", "trials": a.trials, "runs": runs}, text)


def ray_version() -> str:
    import ray

    return str(ray.__version__)


if __name__ == "__main__":
    main()
