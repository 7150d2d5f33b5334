"""`nas status`, `trials`, `best` and `pareto`: what a run's log says. They need no torch and no ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.commands.terminal import Column, console, duration, fixed, short, show, table
from nas.runs.columns import column
from nas.runs.ranking import ranked
from nas.runs.status import status as status_of
from nas.runs.trial import Trial
from search_space.cost import stage_cost, stage_inputs

_SHOWN = ("trial_id", "arch_id", "status", "reward", "accuracy", "s_normalised", "step_time_ms", "params", "macs")


def _columns(names: Iterable[str]) -> tuple[Column, ...]:
    """Lay out columns of trials as the table of columns has them."""
    lines = ((name, column(name)) for name in names)
    return tuple(Column(name, line.heading or name, line.write) for name, line in lines)


def _with(objectives: Sequence[str]) -> tuple[Column, ...]:
    """The columns that are always shown, and those of objectives that are not among them."""
    further = [name.lstrip("+-") for name in objectives if name.lstrip("+-") not in (*_SHOWN, *_LAST)]
    return _columns((*_SHOWN, *further, *_LAST))


_LAST = ("wall_s", "proposed_by")
_TRIALS = _columns((*_SHOWN, *_LAST))
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


def trials(run: Path, form: str, sort: str, descending: bool, limit: int | None, out: Path | None) -> int:
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


def best(run: Path, form: str, n: int, reward: str | None, settings: Mapping[str, float]) -> int:
    """Show the best trials and the winner stage by stage; with another reward if one is given."""
    from nas.analysis import records
    from nas.analysis.run import Run

    opened = Run(run)
    rows = records(opened.best(n, reward=reward, settings=settings))
    _show(rows, form)
    if form == "table" and rows:
        chosen = {trial.trial_id: trial for trial in opened.trials}[rows[0]["trial_id"]]
        show_winner(replace(chosen, reward=rows[0]["reward"]))
    return 0


def pareto(run: Path, form: str, columns: Sequence[str]) -> int:
    """Show the Pareto front over the columns named."""
    from nas.analysis import records
    from nas.analysis.run import Run

    _show(records(Run(run).pareto(columns)), form, _with(columns))
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


def show_winner(trial: Trial) -> None:
    """Print a run's best trial: its numbers, then stage by stage."""
    architecture = trial.architecture
    size = trial.image_size or architecture.image_size or 224
    rows = []
    for number, (stage, channels, height) in enumerate(stage_inputs(architecture, size), start=1):
        cost = stage_cost(stage, channels, height)
        shape = {"stage": number, **vars(stage), "input": f"{channels} x {height} x {height}"}
        rows.append(shape | {"params": cost.params, "macs": cost.macs})
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
        f"{short(trial.params or 0)} params, {short(trial.macs or 0)} MACs at {size} px"
    )
    console().print(table(rows, _STAGES))


def _show(rows: Sequence[Mapping[str, Any]], form: str, columns: Sequence[Column] = _TRIALS) -> None:
    if form == "table" and not rows:
        console().print("no trials yet")
    else:
        show(rows, form, columns)
