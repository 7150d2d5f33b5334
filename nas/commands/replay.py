"""`nas replay`: compare search algorithms on a finished log, without training anything."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.commands.arguments import add_format, command, count, counts
from nas.commands.terminal import Column, say, show
from nas.runs.text import fixed

if TYPE_CHECKING:
    from nas.replay.replay import Replayed


def add(commands: Any) -> None:
    """Declare the arguments of `nas replay`."""
    sub = command(commands, "replay", "compare algorithms on a finished log, without training anything", run)
    sub.add_argument("run", type=Path, metavar="RUN", help="run folder, or a CSV: a column a decision, accuracy, ...")
    sub.add_argument("--config", type=Path, metavar="CONFIG", help="whose space a CSV's columns are decisions of")
    sub.add_argument("--algorithm", default="random,evolution,predictor", metavar="A,B", help="default: %(default)s")
    sub.add_argument("--seeds", type=count, default=20, help="searches per algorithm (default: 20)")
    sub.add_argument("--trials", type=count, metavar="N", help="length of a search (default: the log's)")
    sub.add_argument(
        "--hours", type=float, metavar="H", help="device hours of a search (default: what its trials take)"
    )
    sub.add_argument("--workers", type=counts, default=(1,), metavar="N,N", help="trials at once (default: 1)")
    sub.add_argument("--prune", default="none", metavar="A,B", help="none, asha or bound (default: %(default)s)")
    sub.add_argument(
        "--prune-epochs", type=counts, metavar="N,N", help="of asha: after which epochs (default: as the run had)"
    )
    sub.add_argument(
        "--time-first", type=counts, default=(1,), metavar="N,N", help="timed for each one trained (default: 1)"
    )
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
        hours=a.hours,
        workers=a.workers,
        prune=a.prune.split(","),
        prune_epochs=a.prune_epochs,
        time_first=a.time_first,
    )
    title = f"To the log's best reward: median of {a.seeds} seeds with a 95 % interval"
    show([asdict(record) for record in compared.records], a.format, _columns(compared.records), title)
    if a.out is not None:
        written = compared.write(a.out)
        say(f"written: {', '.join(map(str, written))}", stderr=True)
    return 0


def _columns(records: Sequence[Replayed]) -> list[Column]:
    """Trials before device hours; of how they searched only what is worth a word."""
    several = [("workers", any(each.workers > 1 for each in records))]
    several += [("prune", any(each.prune != "none" for each in records))]
    several += [("time_first", any(each.time_first > 1 for each in records))]
    shown = [Column("algorithm", "algorithm"), *(Column(name, name) for name, is_shown in several if is_shown)]
    shown += [
        Column("reached", "got there", _percent),
        Column("trials_to_best", "trials", fixed(0)),
        Column("trials_to_best_low", "low", fixed(0)),
        Column("trials_to_best_high", "high", fixed(0)),
        Column("hours_to_best", "hours", _brief),
        Column("hours_to_best_low", "low", _brief),
        Column("hours_to_best_high", "high", _brief),
    ]
    if (hours := records[0].equal_hours) is not None:
        shown.append(Column("equal_reward", f"after {_brief(hours)} h", fixed(4)))
    return [
        *shown,
        Column("trials_to_near", "to 99.9 %", fixed(0)),
        Column("final_reward", "at the end", fixed(4)),
        Column("exact_share", "exact", _percent),
        *([Column("pruned_share", "pruned", _percent)] if several[1][1] else []),
    ]


_percent = "{:.0%}".format
_brief = "{:.3g}".format
