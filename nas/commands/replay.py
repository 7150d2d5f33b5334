"""`nas replay`: compare search algorithms on a finished log, without training anything."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.commands.arguments import add_format, command, count
from nas.commands.terminal import Column, console, fixed, show
from nas.config.search import load_config
from nas.replay.replay import replay, write_replay
from nas.replay.table import read_trials
from nas.runs.folder import read_config
from search_space.space import SearchSpace

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
    """Compare algorithms on a log."""
    return replay_command(a.run, a.config, a.algorithm.split(","), a.seeds, a.trials, a.out, a.format)


def replay_command(
    run: Path,
    config: Path | None,
    algorithms: Sequence[str],
    seeds: int,
    trials: int | None,
    out: Path | None,
    form: str,
) -> int:
    """Compare algorithms on a run folder, or on a CSV over the space of a configuration."""
    if config is not None:
        space = load_config(config).space
    elif run.is_dir():
        space = SearchSpace.from_dict(read_config(run)["space"])
    else:
        raise ValueError(f"{run} is no run folder; give the space its columns are decisions of with --config")
    table = read_trials(run, space)
    records = replay(space, table, algorithms, seeds, budget=trials)
    title = f"Trials to the log's best reward: median of {seeds} seeds with a 95 % interval"
    show([asdict(record) for record in records], form, _COLUMNS, title)
    if out is not None:
        from nas.analysis.plots import replays

        written = write_replay(records, out)
        best = max(trial.reward for trial in table if trial.reward is not None)
        replays(records, best).savefig(out / "replay.png", dpi=150)
        written.append(out / "replay.png")
        console(stderr=True).print(f"written: {', '.join(map(str, written))}", soft_wrap=True)
    return 0
