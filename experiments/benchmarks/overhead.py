"""What a search costs for each trial, beside plain Ray Tune, of trials that take no time.

All run in processes of their own, in turns, so that a machine that is busy with other things slows each of them alike.
`plain` is Ray Tune with a searcher of the same space and a function that reports once, on the same workers, with
nothing written for a trial (Ray's loggers are off, as they are in a search); `logged` is the same with the loggers that
Ray Tune has by default, which write result.json, progress.csv and TensorBoard's events, as somebody who wants to keep
results would run it. Trials begin when every worker's process is there: where the first ends earlier, Ray Tune gives
its process to the second, whose own it ends while it starts, and so on, so that one process does all the work.

The drivers' processor time is that of the process that talks to Ray, and of the search's own; the tree's is that of all
processes, Ray's daemons and the workers included. The first trials do not count. Goal: 1.2 times plain Ray Tune's.

    python -m experiments.benchmarks.overhead --out experiments/results        # 6,000 trials each, minutes
    python -m experiments.benchmarks.overhead --trials 600 --rounds 3
"""

from __future__ import annotations

import argparse
import contextlib
import functools
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
    wait_for_all()
    return {"status": "ok", "accuracy": 0.5, "reward": 0.5}


TOGETHER, WORKERS = "OVERHEAD_TOGETHER", "OVERHEAD_WORKERS"  # a folder; how many processes work


@functools.cache
def wait_for_all() -> None:
    """Wait in a worker, once, until there are as many."""
    folder = Path(os.environ[TOGETHER])
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < int(os.environ[WORKERS]):
        time.sleep(0.1)


class Clock:
    """Notes what was used until the end of each trial.

    Args:
        trials: in all.
    """

    def __init__(self, trials: int) -> None:
        self.trials = trials
        self.drivers = [os.getpid()]
        self.marks: list[tuple[float, float]] = []  # seconds of the drivers' processor time, and of the clock
        self.trees: list[float] = []  # seconds of all processes, at the first that counts and the last

    def note(self) -> None:
        self.marks.append((sum(used_by(each)[0] for each in self.drivers), time.monotonic()))
        if len(self.marks) in (1 + first(self.trials), self.trials):
            self.trees.append(sum(sum(used_by(each)) for each in tree(os.getpid())))


def first(trials: int) -> int:
    """How many trials do not count."""
    return min(FIRST, trials // 5)


def used_by(process: int) -> tuple[float, float]:
    """Seconds of the processor that a process used, and those of its children that have ended."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    own, ended = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return own / TICKS, ended / TICKS


TICKS = os.sysconf("SC_CLK_TCK")


def tree(root: int, name: str = "") -> list[int]:
    """A process and all that it started, or they did; or those of them whose command has this in it."""
    parents, found = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # has ended
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    for process in parents:
        above = process
        while above not in (root, 0):
            above = parents.get(above, 0)
        with contextlib.suppress(OSError):
            if above == root and name in Path(f"/proc/{process}/cmdline").read_text():
                found.append(process)
    return found


class Noted(Callback):
    """Has the clock note each trial of a search."""

    live = False

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_search_begin(self, search: SearchInfo) -> None:
        self.clock.drivers += tree(os.getpid(), "nas.cluster.driver")
        assert len(self.clock.drivers) == 2

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
        from experiments.benchmarks import overhead  # by name: this process's own main module is not sent to workers

        overhead.wait_for_all()
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


def costs(clock: Clock) -> dict[str, float]:
    """Give the driver's processor time and the clock's for a trial, ms; of the first and last fifth, too."""
    marks = clock.marks
    marks = marks[first(len(marks)) :]
    fifth = len(marks) // 5
    parts = {"": marks, "_first": marks[:fifth], "_last": marks[-fifth:]}
    found = {}
    for name, some in parts.items():
        for at, what in enumerate(("cpu_ms", "wall_ms")):
            found[what + name] = 1000 * (some[-1][at] - some[0][at]) / (len(some) - 1)
    found["tree_ms"] = 1000 * (clock.trees[-1] - clock.trees[0]) / (len(marks) - 1)
    return found | {"memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


WAYS = {"plain": plain, "logged": plain, "search": search}


def measured(way: str, trials: int, workers: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "experiments.benchmarks.overhead", "--way", way]
    command += ["--trials", str(trials), "--workers", str(workers)]
    # As a search's own process that talks to Ray has it.
    env = dict(os.environ) if way == "search" else environment(None)
    if way == "logged":
        env["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "0"
    with tempfile.TemporaryDirectory() as folder:
        env |= {TOGETHER: folder, WORKERS: str(workers)}
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout.splitlines()
    return {"way": way, **json.loads(lines[-1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=6000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ways", choices=WAYS, nargs="+", default=list(WAYS))
    parser.add_argument("--way", choices=WAYS, help="run one here, print what it took as JSON")
    parser.add_argument("--out", type=Path, help="folder for the results; default: print only")
    a = parser.parse_args()
    if a.way:
        clock = Clock(a.trials)
        WAYS[a.way](a.trials, a.workers, clock)
        print(json.dumps(costs(clock)))
        return
    began = datetime.now(UTC).isoformat(timespec="seconds")
    runs = [measured(way, a.trials, a.workers) for _ in range(a.rounds) for way in a.ways]
    text = table(a.trials, a.workers, a.rounds, began, runs)
    print(text)
    if a.out:
        record = {"date": began, "device": "cpu", "trials": a.trials, "workers": a.workers, "load": os.getloadavg()}
        write(a.out, "overhead", record | {"runs": runs}, text)


def table(trials: int, workers: int, rounds: int, began: str, runs: Sequence[dict[str, Any]]) -> str:
    """Write up what was measured, as markdown."""

    def of(what: str, way: str) -> float:
        return median(run[what] for run in runs if run["way"] == way)

    ways = {run["way"]: None for run in runs}
    columns = {"cpu_ms": "drivers' processor ms a trial", "cpu_ms_first": "first", "cpu_ms_last": "last"}
    columns |= {"tree_ms": "all processes'", "wall_ms": "clock ms a trial", "memory_mb": "memory MB"}
    rows = [f"| {run['way']} | " + " | ".join(f"{run[name]:.1f}" for name in columns) + " |" for run in runs]
    ratios = [
        f"| search over {way} | "
        + " | ".join(f"{of(name, 'search') / of(name, way):.2f}" if name.endswith("_ms") else "" for name in columns)
        + " |"
        for way in ways
        if way != "search" and "search" in ways
    ]
    return "\n".join(
        [
            f"# What a search costs for each trial, {began[:10]}",
            "",
            f"`python -m experiments.benchmarks.overhead --trials {trials} --rounds {rounds}`, {workers} workers, Ray "
            f"{ray_version()}, load of the machine {os.getloadavg()[1]:.1f}. Ratios are of medians; goal 1.2. First "
            "and last: fifths of the trials. Memory: of the process that was started.",
            "",
            "| way | " + " | ".join(columns.values()) + " |",
            "|---" + "|--:" * len(columns) + "|",
            *rows,
            *ratios,
            "",
        ]
    )


def ray_version() -> str:
    import ray

    return str(ray.__version__)


if __name__ == "__main__":
    main()
