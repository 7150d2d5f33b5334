"""What a search costs for each trial, beside plain Ray Tune, of trials that take no time.

Both run in processes of their own, in turns, on the same workers, with Ray's loggers off, so that a machine that is
busy with other things slows both. What Ray's daemons and the workers use is in the clock's time alone; the driver's is
that of the process of the search and the one that talks to Ray. The first trials, for which workers start, do not
count. Goal: at most 1.2 times plain Ray Tune.

    python -m experiments.benchmarks.overhead --out experiments/results        # 6,000 trials each, minutes
    python -m experiments.benchmarks.overhead --trials 1000 --rounds 3
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from experiments.benchmarks.results import write
from nas.cluster.process import environment
from nas.runs.trial import Trial
from nas.trackers.callback import Callback, SearchInfo

CONFIG = {
    "space": {"name": "small", "image_size": 16},
    "image_size": 16,
    "data": {"source": "digits", "minival": 0.2},
    "algorithm": {"name": "random"},
    "device": "cpu",
}
FIRST = 200  # trials that do not count


def trivial(architecture: Any, seed: int, task: Any, report: Any) -> dict[str, Any]:
    """An evaluator that takes no time."""
    return {"status": "ok", "accuracy": 0.5, "reward": 0.5}


class Clock:
    """Notes what drivers used until the end of each trial."""

    def __init__(self) -> None:
        self.others: list[int] = []  # processes of the driver, beside this one
        self.marks: list[tuple[float, float]] = []  # seconds of the processor and of the clock

    def note(self) -> None:
        self.marks.append((time.process_time() + sum(map(used_by, self.others)), time.monotonic()))


def used_by(process: int) -> float:
    """Seconds of the processor that a process used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(name: str) -> list[int]:
    """Processes that this one started whose command has this in it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and name in (folder / "cmdline").read_text():
                found.append(int(folder.name))
        except OSError:  # has ended
            continue
    return found


class Noted(Callback):
    """Has the clock note each trial of a search."""

    live = False

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_search_begin(self, search: SearchInfo) -> None:
        self.clock.others = children("nas.cluster.driver")
        assert self.clock.others

    def on_trial_end(self, trial: Trial) -> None:
        self.clock.note()


def search(trials: int, workers: int, clock: Clock) -> None:
    """Run a search of ours."""
    from nas import run_search, search_config

    settings = {"trials": trials, "workers": workers, "evaluator": "experiments.benchmarks.overhead:trivial"}
    with tempfile.TemporaryDirectory() as folder:
        config = search_config(**CONFIG, search=settings)
        run_search(config, folder=Path(folder, "run"), callbacks=[Noted(clock)], progress=False)


def plain(trials: int, workers: int, clock: Clock) -> None:
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
            clock.note()

        def save(self, checkpoint_path: str) -> None: ...

        def restore(self, checkpoint_path: str) -> None: ...

    def function(config: Any) -> None:
        tune.report({"reward": 0.5})

    connect(None)
    with tempfile.TemporaryDirectory() as folder:
        tune.Tuner(
            tune.with_resources(function, {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=Plain(metric="reward", mode="max"),
                num_samples=10**9,
                max_concurrent_trials=workers,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, progress_reporter=tune.CLIReporter()),
        ).fit()
    disconnect()


def costs(marks: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Give the driver's processor time and the clock's for a trial, ms; of the first and last fifth, too."""
    marks = marks[min(FIRST, len(marks) // 5) :]
    fifth = len(marks) // 5
    parts = {"": marks, "_first": marks[:fifth], "_last": marks[-fifth:]}
    found = {}
    for name, some in parts.items():
        for at, what in enumerate(("cpu_ms", "wall_ms")):
            found[what + name] = 1000 * (some[-1][at] - some[0][at]) / (len(some) - 1)
    return found | {"memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


WAYS = {"plain": plain, "search": search}


def measured(way: str, trials: int, workers: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "experiments.benchmarks.overhead", "--way", way]
    command += ["--trials", str(trials), "--workers", str(workers)]
    # As a search's own process that talks to Ray has it.
    env = environment(None) if way == "plain" else None
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout.splitlines()
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
        clock = Clock()
        WAYS[a.way](a.trials, a.workers, clock)
        print(json.dumps(costs(clock.marks)))
        return
    began = datetime.now(UTC).isoformat(timespec="seconds")
    runs = [measured(way, a.trials, a.workers) for _ in range(a.rounds) for way in WAYS]
    text = table(a.trials, a.workers, a.rounds, began, runs)
    print(text)
    if a.out:
        record = {"date": began, "device": "cpu", "trials": a.trials, "workers": a.workers, "load": os.getloadavg()}
        write(a.out, "overhead", record | {"runs": runs}, text)


def table(trials: int, workers: int, rounds: int, began: str, runs: Sequence[dict[str, Any]]) -> str:
    """Write up what was measured, as markdown."""

    def ratio(what: str) -> float:
        ours, plain = (median(run[what] for run in runs if run["way"] == way) for way in ("search", "plain"))
        return ours / plain

    columns = ("wall_ms", "wall_ms_first", "wall_ms_last", "cpu_ms", "cpu_ms_first", "cpu_ms_last", "memory_mb")
    rows = [f"| {run['way']} | " + " | ".join(f"{run[name]:.1f}" for name in columns) + " |" for run in runs]
    return "\n".join(
        [
            f"# What a search costs for each trial, {began[:10]}",
            "",
            f"`python -m experiments.benchmarks.overhead --trials {trials} --rounds {rounds}`, {workers} workers, Ray "
            f"{ray_version()}, load of the machine {os.getloadavg()[1]:.1f}. A search's cost of a trial over plain Ray "
            f"Tune's: {ratio('wall_ms'):.2f} by the clock, {ratio('cpu_ms'):.2f} of the drivers' processor time (goal "
            "1.2). First and last: fifths of the trials.",
            "",
            "| way | clock ms a trial | first | last | processor ms a trial | first | last | memory MB |",
            "|---|--:|--:|--:|--:|--:|--:|--:|",
            *rows,
            "",
        ]
    )


def ray_version() -> str:
    import ray

    return str(ray.__version__)


if __name__ == "__main__":
    main()
