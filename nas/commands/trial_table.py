"""What commands show of trials: the usual columns, numbers with their errors, marks, the winner stage by stage."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from nas.architectures import Found
from nas.commands.terminal import Column, console, say, show, table
from nas.runs.columns import COLUMNS, column
from nas.runs.folder import config_if_run
from nas.runs.text import fixed, short
from nas.runs.trial import Trial, is_metric
from search_space.architecture import Architecture
from search_space.cost import count as count_cost
from search_space.cost import stage_cost, stage_inputs

_SHOWN = ("trial_id", "arch_id", "status", "reward", "accuracy", "s_normalised", "step_time_ms", "params", "macs")
_MARK = Column("mark", "")
_LEGEND = "±: standard error; *: the winner, ≈: not told apart from it (95%)"
_LAST = ("wall_s", "proposed_by")

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


def trial_columns(names: Iterable[str]) -> tuple[Column, ...]:
    """Lay out columns of trials as the table of columns has them."""
    lines = ((name, column(name)) for name in names)
    errors = {name: f"{name}_se" for name in ("accuracy", "reward")}
    return tuple(
        Column(name, line.heading or name, line.write if name in COLUMNS else _four_digits, errors.get(name, ""))
        for name, line in lines
    )


def _four_digits(value: Any) -> str:
    """Write what nobody declared in COLUMNS: of a float four digits that count."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def show_trials(
    rows: Sequence[Mapping[str, Any]],
    form: str,
    columns: Sequence[Column] | None = None,
    objectives: Sequence[str] = (),
    winner: int | None = None,
) -> None:
    """Show rows; of trials the usual columns, objectives that are not among them, and metrics.

    Args:
        winner: the trial that the others are marked beside; all are ok then, which need not be said.
    """
    if form == "table" and not rows:
        say("no trials yet")
        return
    if columns is None:
        further = [name.lstrip("+-") for name in objectives] + [
            name for row in rows[:1] for name in row if is_metric(name)
        ]
        columns = trial_columns(dict.fromkeys((*_SHOWN, *further, *_LAST)))
        if winner is not None and form == "table":
            columns = [each for column in columns for each in _with_mark(column)]
            rows = [{**row, "mark": _mark(row, winner)} for row in rows]
    show(rows, form, columns)
    if form == "table" and any(row.get("mark") for row in rows):
        say(_LEGEND)


def _with_mark(column: Column) -> tuple[Column, ...]:
    return {"status": (), "reward": (column, _MARK)}.get(column.key, (column,))


def _mark(row: Mapping[str, Any], winner: int) -> str | None:
    if (apart := row.get("told_apart")) is None:
        return None
    return "*" if row["trial_id"] == winner else "" if apart else "≈"


def show_winner(trial: Trial, run: Path | None = None) -> None:
    """Print a best trial: its numbers, then stage by stage; what it does not say of its images, its run does."""
    architecture = trial.architecture
    config = None if run is None else config_if_run(run.parent if run.suffix == ".jsonl" else run)
    found = Found(architecture, trial.arch_id, run, config)
    size = trial.image_size or found.image_size or architecture.image_size or 224
    cost = count_cost(architecture, size, *found.classes)
    numbers = f"reward {_sure(trial.reward, trial.reward_se)}" if trial.reward is not None else "no reward"
    if trial.accuracy is not None:
        numbers += f", accuracy {_sure(trial.accuracy, trial.accuracy_se)}"
    if trial.step_time_ms is not None:
        low, high = trial.step_time_p10_ms, trial.step_time_p90_ms
        spread = f" (p10 {low:.2f}, p90 {high:.2f})" if low is not None and high is not None else ""
        numbers += f", step time {trial.step_time_ms:.2f} ms{spread}"
    if trial.s_normalised is not None:
        numbers += f" = {trial.s_normalised:.3f} of the reference's"
    say(f"winner: trial {trial.trial_id}, {trial.arch_id}: {numbers}")
    say(
        f"stem {architecture.stem_channels} channels, stride {architecture.stem_stride}; "
        f"head {architecture.head_channels}; "
        f"{short(trial.params or cost.params)} params, {short(trial.macs or cost.macs)} MACs at {size} px"
    )
    console().print(stage_table(architecture, size, found.classes))


def stage_table(architecture: Architecture, image_size: int, classes: tuple[int, int]) -> RenderableType:
    """Lay out an architecture stage by stage.

    Args:
        image_size: pixels.
        classes: classes and channels of the images.
    """
    rows = []
    for number, (stage, channels, height) in enumerate(stage_inputs(architecture, image_size), start=1):
        one = stage_cost(stage, channels, height)
        shape = {"stage": number, **stage.named(), "op": stage.label, "input": f"{channels} x {height} x {height}"}
        rows.append(shape | {"params": one.params, "macs": one.macs})
    return table(rows, _STAGES)


def _sure(value: float, error: float | None) -> str:
    """A number with its standard error, where that is known."""
    return f"{value:.4f}" + (f" ± {error:.4f}" if error is not None and math.isfinite(error) else "")
