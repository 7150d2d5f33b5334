"""`nas check`: what would fail of a search, what is weak about it, and how long it takes here."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.commands.arguments import command, count
from nas.commands.terminal import Column, console, say, show_facts, table
from nas.commands.trial_table import stage_table
from nas.runs.text import duration, fixed, short
from search_space.cost import count as count_cost

if TYPE_CHECKING:
    from nas.search.check import Checked
    from nas.search.timing import SearchTime

_TIMES = (
    Column("name", "candidate"),
    Column("params", "params", short),
    Column("macs", "MACs", short),
    Column("step_ms", "step ms", fixed(1)),
    Column("trial", "a trial"),
    Column("steps", "steps timed"),
)


def add(commands: Any) -> None:
    """Declare the arguments of `nas check`."""
    sub = command(commands, "check", "look at a search before it is run: what would fail, how long it takes", run)
    sub.add_argument("config", type=Path, metavar="CONFIG", help="YAML file; exit status 1 if a search would fail")
    sub.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: runs/NAME of the CONFIG file)")
    sub.add_argument("--trials", type=count, metavar="N", help="as `nas search` has it")
    sub.add_argument("--workers", type=count, metavar="N", help="as `nas search` has it")
    sub.add_argument("--seconds", type=count, default=60, metavar="S", help="to measure for (default: %(default)s)")
    sub.add_argument("--no-timing", action="store_true", help="measure nothing")


def run(a: argparse.Namespace) -> int:
    """Check a configuration; give the exit status."""
    from nas.search.check import check

    found = check(
        a.config,
        folder=a.out or Path("runs") / a.config.stem,
        trials=a.trials,
        workers=a.workers,
        seconds=0 if a.no_timing else a.seconds,
        say=lambda text: say(text, stderr=True),
    )
    show_checked(found)
    return 1 if found.problems else 0


def show_checked(found: Checked) -> None:
    """Print what a look at a configuration found."""
    from nas.search.checks import own_ops
    from nas.search.findings import disk
    from nas.search.plan import describe

    config, lines = found.config, describe(found.config)
    if names := own_ops(config.space):
        lines["own ops"] = f"{', '.join(names)}: shape, parameters, MACs and activations compared with the module's"
    if found.data is not None:
        lines |= found.data.lines() | {"disk": disk(config, found.data)}
    if found.time is not None:
        lines["hours"] = _hours(found.time)
    show_facts(lines)
    c = config.space.constraints
    say("\nreference network, the unit of S and P:")
    console().print(stage_table(config.reference, config.image_size, (c.num_classes, c.in_channels)))
    if found.time is not None:
        rows = [_row(found, one) for one in found.time.candidates]
        say(f"\nmeasured alone on {found.time.device_name}:")
        console().print(table(rows, _TIMES))
    if found.problems or found.warnings:
        say("")
    show_facts([("would fail", text) for text in found.problems] + [("note", text) for text in found.warnings])
    if not found.problems and found.data is not None:
        say("\nnothing was found that would fail")


def _row(found: Checked, one: Any) -> dict[str, Any]:
    c, size = found.config.space.constraints, found.config.image_size
    cost = count_cost(one.architecture, size, c.num_classes, c.in_channels)
    took = one.timing_s + one.training_s
    shown = {"step_ms": one.step_s * 1e3, "trial": duration(took) if took == took else None, "steps": one.steps}
    return {"name": one.name, "params": cost.params, "macs": cost.macs, **shown}


def _hours(time: SearchTime) -> str:
    return (
        f"about {time.hours:.2g} on this machine, {time.low:.2g} to {time.high:.2g} if all candidates were like the "
        "quickest or the slowest below"
    )
