"""`nas status`, `trials`, `best` and `pareto`: what a run's log says. They need no torch and no ray."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from nas.commands.terminal import Column, console, duration, fixed, short, show, table
from nas.runs.folder import is_locked, read_config, read_run
from nas.runs.log import read_lines
from nas.runs.trial import Trial
from nas.search.ledger import PROPOSALS, TRIALS
from search_space.cost import stage_cost, stage_inputs

_TRIALS = (
    Column("trial_id", "trial"),
    Column("arch_id", "arch_id"),
    Column("status", "status"),
    Column("reward", "reward", fixed(4)),
    Column("accuracy", "accuracy", fixed(4)),
    Column("s_normalised", "S", fixed(3)),
    Column("step_time_ms", "step ms", fixed(2)),
    Column("params", "params", short),
    Column("macs", "MACs", short),
    Column("wall_s", "wall s", fixed(1)),
    Column("proposed_by", "proposed by"),
)
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
    record, config = read_run(run), read_config(run)
    trials, events = read_lines(run / TRIALS), read_lines(run / PROPOSALS)
    statuses = Counter(trial["status"] for trial in trials)
    answered = {trial["trial_id"] for trial in trials}
    in_flight = sorted({e["trial_id"] for e in events if e["event"] == "proposed"} - answered)
    scored = [trial for trial in trials if trial.get("reward") is not None]
    top = max(scored, key=lambda trial: trial["reward"], default={})
    over = len(trials) >= config["search"]["trials"]
    row: dict[str, Any] = {
        "state": "running" if is_locked(run) else "finished" if over else "stopped",
        "run_id": record["run_id"],
        "created_at": record["created_at"],
        "trials": len(trials),
        "of": config["search"]["trials"],
        **{name: statuses[name] for name in sorted(statuses)},
        "in_flight": len(in_flight),
        "best_reward": top.get("reward"),
        "best_trial": top.get("trial_id"),
        "device_h": sum(trial.get("device_s") or 0 for trial in trials) / 3600,
        "last_trial_s_ago": _age(trials),
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
    from nas.analysis import best as best_rows
    from nas.analysis import load, records, rescore

    frame = load(run)
    if reward or settings:
        own = read_config(run)["reward"]
        name = own.pop("name")
        frame = rescore(frame, reward or name, (own if reward in (None, name) else {}) | dict(settings))
    rows = records(best_rows(frame, n))
    _show(rows, form)
    if form == "table" and rows:
        chosen = {record["trial_id"]: record for record in read_lines(run / TRIALS)}[rows[0]["trial_id"]]
        show_winner(replace(Trial.from_dict(chosen), reward=rows[0]["reward"]))
    return 0


def pareto(run: Path, form: str, columns: Sequence[str]) -> int:
    """Show the Pareto front over the columns named."""
    from nas.analysis import load, records
    from nas.analysis import pareto as pareto_rows

    _show(records(pareto_rows(load(run), columns)), form)
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
    from nas.analysis.report import report as write_up

    text, out = write_up(run), out or run / "report.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text)
    console().print(f"written: {out}", soft_wrap=True)
    return 0


def show_ranking(run: Path, n: int = 10) -> None:
    """Print the best trials of a run."""
    every = [Trial.from_dict(record) for record in read_lines(run / TRIALS)]
    ranked = sorted((t for t in every if t.reward is not None), key=lambda t: t.reward or 0, reverse=True)
    if every and not ranked:
        statuses = ", ".join(f"{status} {n}" for status, n in sorted(Counter(t.status for t in every).items()))
        last = next((f"; the last error: {t.error}" for t in reversed(every) if t.error), "")
        console().print(f"no trial was scored: {statuses}{last}", soft_wrap=True)
        return
    _show([trial.to_dict() for trial in ranked[:n]], "table")


def show_winner(trial: Trial) -> None:
    """Print a run's best trial: its numbers, then stage by stage."""
    architecture = trial.architecture
    size = trial.image_size or architecture.image_size or 224
    rows = []
    for number, (stage, channels, height) in enumerate(stage_inputs(architecture, size), start=1):
        cost = stage_cost(stage, channels, height)
        shape = {"stage": number, **vars(stage), "op": stage.label, "input": f"{channels} x {height} x {height}"}
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


def _age(trials: Sequence[Mapping[str, Any]]) -> float | None:
    if not trials or not trials[-1].get("ended_at"):
        return None
    return max(0.0, time.time() - datetime.fromisoformat(trials[-1]["ended_at"]).timestamp())
