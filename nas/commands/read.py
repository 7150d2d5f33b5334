"""`nas status`, `trials`, `best` and `pareto`: what a run's log says. They need no torch and no ray."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.architectures import Found
from nas.commands.arguments import add_format, command, count, numbers, setting
from nas.commands.terminal import Column, console, show, table
from nas.runs.columns import column
from nas.runs.folder import config_if_run
from nas.runs.ranking import ranked
from nas.runs.status import status as status_of
from nas.runs.text import duration, fixed, short
from nas.runs.trial import Trial, is_metric
from search_space.cost import count as count_cost
from search_space.cost import stage_cost, stage_inputs

_SHOWN = ("trial_id", "arch_id", "status", "reward", "accuracy", "s_normalised", "step_time_ms", "params", "macs")


def _columns(names: Iterable[str]) -> tuple[Column, ...]:
    """Lay out columns of trials as the table of columns has them."""
    lines = ((name, column(name)) for name in names)
    return tuple(Column(name, line.heading or name, line.write) for name, line in lines)


_LAST = ("wall_s", "proposed_by")
_HYPERVOLUME = (
    Column("trials", "trials"),
    Column("trial_id", "trial"),
    Column("hours", "hours", fixed(3)),
    Column("device_hours", "device h", fixed(3)),
    Column("front", "front"),
    Column("hypervolume", "hypervolume", "{:.4g}".format),
    Column("share", "of final", "{:.1%}".format),
)
_STAGES = (
    Column("stage", "stage"),
    Column("op", "op"),
    Column("layers", "layers"),
    Column("kernel_size", "kernel"),
    Column("expansion", "exp"),
    Column("channels", "channels"),
    Column("stride", "stride"),
    Column("se_ratio", "SE", fixed(2)),
    Column("params", "params", short),
    Column("macs", "MACs", short),
    Column("input", "input"),
)


def add(commands: Any) -> None:
    """Declare the arguments of `nas status`, `trials`, `best`, `pareto` and `report`."""
    _reading(commands, "status", "how far a run is", _run_status)
    sub = _reading(commands, "trials", "every trial of a run", _run_trials)
    sub.add_argument("--sort", default="trial_id", metavar="COLUMN", help="default: trial_id")
    sub.add_argument("--descending", action="store_true", help="the greatest first")
    sub.add_argument("--limit", type=count, metavar="N", help="the first N alone")
    sub.add_argument("--out", type=Path, metavar="FILE", help="write a .csv, .parquet or .jsonl file instead")
    _add_best(commands)
    _add_pareto(commands)
    sub = command(commands, "report", "write a run up as one HTML file with pictures", _run_report)
    sub.add_argument("run", type=Path, metavar="DIR", help="run folder")
    sub.add_argument("--out", type=Path, metavar="FILE", help="default: report.html in the run folder")


def _add_best(commands: Any) -> None:
    sub = _reading(commands, "best", "the best trials of a run, and the winner stage by stage", _run_best)
    sub.add_argument("-n", type=count, default=10, help="how many (default: 10)")
    sub.add_argument("--reward", metavar="NAME", help="score anew by another reward, such as mnasnet_hard")
    sub.add_argument("--w", type=float, help="score anew with another exponent of the step time")
    sub.add_argument("--v", type=float, help="score anew with another exponent of the parameters")
    sub.add_argument(
        "--set", type=setting, action="append", default=[], metavar="NAME=NUMBER", help="another setting of it"
    )


def _add_pareto(commands: Any) -> None:
    sub = _reading(commands, "pareto", "the trials of a run that no other beats in everything", _run_pareto)
    sub.add_argument(
        "--columns",
        default="accuracy,s_normalised,params",
        help="what counts; `-name`: less is better, `+name`: more (default: %(default)s)",
    )
    sub.add_argument(
        "--hypervolume", action="store_true", help="how the volume that the front dominates grew, trial by trial"
    )
    sub.add_argument(
        "--reference",
        type=numbers,
        metavar="X,Y,...",
        help="a worthless value for each of --columns, to compare runs by (default: the worst of the run)",
    )


def _reading(commands: Any, name: str, text: str, call: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    sub = command(commands, name, text, call)
    sub.add_argument("run", type=Path, metavar="DIR", help="run folder")
    add_format(sub)
    return sub


def _run_status(a: argparse.Namespace) -> int:
    return status(a.run, form=a.format)


def _run_trials(a: argparse.Namespace) -> int:
    return trials(a.run, form=a.format, sort=a.sort, descending=a.descending, limit=a.limit, out=a.out)


def _run_best(a: argparse.Namespace) -> int:
    settings = {name: getattr(a, name) for name in ("w", "v") if getattr(a, name) is not None}
    return best(a.run, form=a.format, n=a.n, reward=a.reward, settings=settings | dict(a.set))


def _run_pareto(a: argparse.Namespace) -> int:
    columns = a.columns.split(",")
    if a.hypervolume:
        return hypervolume(a.run, form=a.format, columns=columns, reference=a.reference)
    if a.reference is not None:
        raise ValueError("--reference belongs to --hypervolume")
    return pareto(a.run, form=a.format, columns=columns)


def _run_report(a: argparse.Namespace) -> int:
    return report(a.run, a.out)


def status(run: Path, form: str) -> int:
    """Show how far a run is."""
    found = status_of(run)
    row: dict[str, Any] = {
        "state": found.state,
        "run_id": found.run_id,
        "created_at": found.created_at,
        "trials": found.trials,
        "of": found.budget,
        **found.statuses,
        "in_flight": found.in_flight,
        "best_reward": found.best.reward if found.best else None,
        "best_trial": found.best.trial_id if found.best else None,
        "device_h": found.device_h,
        "last_trial_s_ago": found.last_trial_s_ago,
    }
    if form != "table":
        show([row], form, ())
        return 0
    for name, value in row.items():
        text = fixed(4)(value) if isinstance(value, float) else str(value if value is not None else "-")
        console().print(f"{name:<17} {duration(value) if name == 'last_trial_s_ago' and value else text}")
    return 0


def trials(run: Path, *, form: str, sort: str, descending: bool, limit: int | None, out: Path | None) -> int:
    """List the trials, or write the whole table to a file."""
    from nas.analysis import load, records, save

    frame = load(run)
    if out is not None:
        save(frame, out)
        console().print(f"{len(frame)} trials written to {out}")
        return 0
    if frame.empty:
        _show([], form)
        return 0
    if sort not in frame.columns:
        raise ValueError(f"cannot sort by {sort!r}; columns: {', '.join(frame.columns)}")
    frame = frame.sort_values(sort, ascending=not descending, kind="stable")
    _show(records(frame.head(limit) if limit else frame), form)
    return 0


def best(run: Path, *, form: str, n: int, reward: str | None, settings: Mapping[str, float]) -> int:
    """Show the best trials and the winner stage by stage; with another reward if one is given."""
    from nas.analysis import records
    from nas.analysis.run import Run

    opened = Run(run)
    rows = records(opened.best(n, reward=reward, settings=settings))
    _show(rows, form)
    if form == "table" and rows:
        chosen = {trial.trial_id: trial for trial in opened.trials}[rows[0]["trial_id"]]
        show_winner(replace(chosen, reward=rows[0]["reward"]), run)
    return 0


def pareto(run: Path, form: str, columns: Sequence[str]) -> int:
    """Show the Pareto front over the columns named."""
    from nas.analysis import records
    from nas.analysis.run import Run

    _show(records(Run(run).pareto(columns)), form, objectives=columns)
    return 0


def hypervolume(run: Path, form: str, columns: Sequence[str], reference: Sequence[float] | None) -> int:
    """Show how the volume that the Pareto front dominates grew; the table has the trials that changed it alone."""
    from nas.analysis import hypervolume_over_time, load, records

    rows = hypervolume_over_time(load(run), columns, reference)
    if form == "table":
        rows = rows[rows["hypervolume"].diff().fillna(1) > 0]
    _show(records(rows), form, _HYPERVOLUME)
    return 0


def report(run: Path, out: Path | None) -> int:
    """Write a run up as HTML."""
    from nas.analysis.run import Run

    console().print(f"written: {Run(run).report(out)}", soft_wrap=True)
    return 0


def show_ranking(trials: Sequence[Trial], n: int = 10) -> None:
    """Print the best of a run's trials, or why none was scored."""
    best = ranked(trials)
    if trials and not best:
        statuses = ", ".join(f"{status} {n}" for status, n in sorted(Counter(t.status for t in trials).items()))
        last = next((f"; the last error: {t.error}" for t in reversed(trials) if t.error), "")
        console().print(f"no trial was scored: {statuses}{last}", soft_wrap=True)
        return
    _show([{**trial.to_dict(), **trial.metrics} for trial in best[:n]], "table")


def show_winner(trial: Trial, run: Path | None = None) -> None:
    """Print a best trial: its numbers, then stage by stage; what it does not say of its images, its run does."""
    architecture = trial.architecture
    config = None if run is None else config_if_run(run.parent if run.suffix == ".jsonl" else run)
    found = Found(architecture, trial.arch_id, run, config)
    size = trial.image_size or found.image_size or architecture.image_size or 224
    cost = count_cost(architecture, size, *found.classes)
    rows = []
    for number, (stage, channels, height) in enumerate(stage_inputs(architecture, size), start=1):
        one = stage_cost(stage, channels, height)
        shape = {"stage": number, **vars(stage), "op": stage.label, "input": f"{channels} x {height} x {height}"}
        rows.append(shape | {"params": one.params, "macs": one.macs})
    numbers = f"reward {trial.reward:.4f}" if trial.reward is not None else "no reward"
    if trial.accuracy is not None:
        numbers += f", accuracy {trial.accuracy:.4f}"
    if trial.step_time_ms is not None:
        low, high = trial.step_time_p10_ms, trial.step_time_p90_ms
        spread = f" (p10 {low:.2f}, p90 {high:.2f})" if low is not None and high is not None else ""
        numbers += f", step time {trial.step_time_ms:.2f} ms{spread}"
    if trial.s_normalised is not None:
        numbers += f" = {trial.s_normalised:.3f} of the reference's"
    console().print(f"winner: trial {trial.trial_id}, {trial.arch_id}: {numbers}", soft_wrap=not console().is_terminal)
    console().print(
        f"stem {architecture.stem_channels} channels, stride {architecture.stem_stride}; "
        f"head {architecture.head_channels}; "
        f"{short(trial.params or cost.params)} params, {short(trial.macs or cost.macs)} MACs at {size} px"
    )
    console().print(table(rows, _STAGES))


def _show(
    rows: Sequence[Mapping[str, Any]],
    form: str,
    columns: Sequence[Column] | None = None,
    objectives: Sequence[str] = (),
) -> None:
    """Show rows; of trials the usual columns, objectives that are not among them, and metrics."""
    if form == "table" and not rows:
        console().print("no trials yet")
        return
    if columns is None:
        further = [name.lstrip("+-") for name in objectives] + [
            name for row in rows[:1] for name in row if is_metric(name)
        ]
        columns = _columns(dict.fromkeys((*_SHOWN, *further, *_LAST)))
    show(rows, form, columns)
