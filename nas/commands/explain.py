"""`nas explain`: which decisions mattered in a search, their best choices, and the way from reference to winner."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.commands.arguments import add_format, command, count
from nas.commands.terminal import Column, console, show, table
from nas.runs.columns import column as column_of
from nas.runs.text import bar

if TYPE_CHECKING:
    from nas.claims.explain import DecisionImportance, Explanation


def add(commands: Any) -> None:
    """Declare the arguments of `nas explain`."""
    sub = command(commands, "explain", "which decisions mattered in a search, and which of their choices is best", run)
    sub.add_argument("run", type=Path, metavar="DIR", help="run folder")
    sub.add_argument(
        "--column", default="reward", metavar="C", help="number to explain; -C: less is better (default: reward)"
    )
    sub.add_argument("--limit", type=count, metavar="N", help="the N most important decisions alone")
    sub.add_argument(
        "--against",
        type=Path,
        metavar="RUN",
        help="compare the number's distribution with another run's, such as random search's",
    )
    add_format(sub)


def run(a: argparse.Namespace) -> int:
    """Explain a run; give the exit status."""
    from nas.claims.distribution import compare_distributions, said
    from nas.claims.explain import explain

    found = explain(a.run, a.column)
    against = None if a.against is None else compare_distributions(a.run, a.against, a.column)
    decisions = found.decisions[: a.limit]
    if a.format == "json":
        record = asdict(replace(found, decisions=decisions))
        print(json.dumps(record | ({} if against is None else {"against": asdict(against)}), indent=2))
        return 0
    if a.format == "csv":
        show([_row(each) for each in decisions], a.format, ())
        return 0
    name = column_of(found.column).heading or found.column
    console().print(table([_row(each) | _looks(each) for each in decisions], _IMPORTANCES, f"What {name} depends on"))
    for line in _below(found):
        console().print(line, soft_wrap=True)
    if found.path:
        rows = [asdict(step) | {"interval": _interval(step.low, step.high)} for step in found.path]
        title = f"From the reference network ({_value(found.start)} predicted) to the winner"
        console().print(table(rows, _PATH, title))
    if against is not None:
        console().print(said(against, a.against.resolve().name), soft_wrap=not console().is_terminal)
    return 0


def _row(each: DecisionImportance) -> dict[str, Any]:
    equal = each.best_at_equal_cost
    return {
        "decision": each.decision,
        "importance": each.importance,
        "low": each.low,
        "high": each.high,
        "best": each.best.choice,
        "chance_best": each.best.chance_best,
        "best_at_equal_cost": None if equal is None else equal.choice,
        "chance_best_at_equal_cost": None if equal is None else equal.chance_best_at_equal_cost,
    }


def _looks(each: DecisionImportance) -> dict[str, str]:
    return {"bar": bar(each.importance, _WIDTH), "interval": f"{each.low:.0%} to {each.high:.0%}"}


def _below(found: Explanation) -> Iterator[str]:
    noise = "" if found.noise is None else f"; noise of measurement alone is {found.noise:.0%}"
    yield (
        f"{found.trials} trials. No single decision explains {found.rest:.0%} ({found.rest_low:.0%} to "
        f"{found.rest_high:.0%}): interactions and noise{noise}"
    )
    yield (
        f"importance: share of the variance over the space, {found.confidence:.0%} interval; sure: probability that no "
        "other choice is better; at equal cost: between trials of equal step time and parameters"
    )


def _value(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _interval(low: float, high: float) -> str:
    return f"{low:+.4f} to {high:+.4f}"


_WIDTH = 12  # of a bar, characters
_IMPORTANCES = (
    Column("decision", "decision"),
    Column("importance", "importance", "{:.0%}".format),
    Column("bar", ""),
    Column("interval", "interval"),
    Column("best", "best"),
    Column("chance_best", "sure", "{:.0%}".format),
    Column("best_at_equal_cost", "at equal cost"),
    Column("chance_best_at_equal_cost", "sure", "{:.0%}".format),
)
_PATH = (
    Column("decision", "decision"),
    Column("before", "reference"),
    Column("after", "winner"),
    Column("gain", "gain", "{:+.4f}".format),
    Column("interval", "interval"),
    Column("value", "predicted", "{:.4f}".format),
)
