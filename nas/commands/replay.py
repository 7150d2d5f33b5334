"""`nas replay`: compare search algorithms on a finished log, without training anything."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.commands.arguments import add_format, command, count
from nas.commands.terminal import Column, say, show
from nas.runs.text import fixed

_COLUMNS = (
    Column("algorithm", "algorithm"),
    Column("trials_to_best", "to best", fixed(0)),
    Column("trials_to_best_low", "low", fixed(0)),
    Column("trials_to_best_high", "high", fixed(0)),
    Column("trials_to_near", "to 99.9 %", fixed(0)),
    Column("reached", "got there", "{:.0%}".format),
    Column("final_reward", "final reward", fixed(4)),
    Column("exact_share", "exact", "{:.0%}".format),
)


def add(commands: Any) -> None:
    """Declare the arguments of `nas replay`."""
    sub = command(commands, "replay", "compare algorithms on a finished log, without training anything", run)
    sub.add_argument("run", type=Path, metavar="RUN", help="run folder, or a CSV: a column a decision, accuracy, ...")
    sub.add_argument("--config", type=Path, metavar="CONFIG", help="whose space a CSV's columns are decisions of")
    sub.add_argument("--algorithm", default="random,evolution,predictor", metavar="A,B", help="default: %(default)s")
    sub.add_argument("--seeds", type=count, default=20, help="searches per algorithm (default: 20)")
    sub.add_argument("--trials", type=count, metavar="N", help="length of a search (default: the log's)")
    sub.add_argument("--out", type=Path, metavar="DIR", help="write replay.csv, replay.json and replay.png there")
    add_format(sub)


def run(a: argparse.Namespace) -> int:
    """Compare algorithms on a run folder, or on a CSV over the space of a configuration."""
    from nas.config.search import load_config
    from nas.replay.compare import compare_algorithms

    compared = compare_algorithms(
        a.run,
        space=None if a.config is None else load_config(a.config).space,
        algorithms=a.algorithm.split(","),
        seeds=a.seeds,
        trials=a.trials,
    )
    title = f"Trials to the log's best reward: median of {a.seeds} seeds with a 95 % interval"
    show([asdict(record) for record in compared.records], a.format, _COLUMNS, title)
    if a.out is not None:
        written = compared.write(a.out)
        say(f"written: {', '.join(map(str, written))}", stderr=True)
    return 0
