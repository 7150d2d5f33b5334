"""What a search of several objectives is after, as its configuration says it, and the front of trials as it grows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from nas.runs.columns import COLUMNS, objective
from nas.runs.trial import Trial
from rewards.pareto import pareto_front

# Names of what the paper's reward weighs: the trial's columns in order of preference, and whether more is better.
OBJECTIVES: dict[str, tuple[tuple[str, ...], bool]] = {
    "accuracy": (("accuracy",), True),
    "step_time": (("s_normalised", "step_time_ms"), False),
    "params": (("p_normalised", "params"), False),
    "reward": (("reward",), True),
}
_NUMERIC = tuple(f.name for f in fields(Trial) if str(f.type).partition(" ")[0] in ("int", "float"))


def read_objective(text: str) -> tuple[tuple[str, ...], bool]:
    """Give the columns that an objective is read from, in order of preference, and whether more of it is better.

    Raises: ValueError for a column without numbers, or a name of which no direction is known.
    """
    sign, name = (text[0], text[1:]) if text[:1] in ("+", "-") else ("", text)
    if name in OBJECTIVES:
        columns, more = OBJECTIVES[name]
        return columns, sign == "+" if sign else more
    metric = name.isidentifier() and not hasattr(Trial, name) and name not in (f.name for f in fields(Trial))
    known = [*OBJECTIVES, *_NUMERIC, *(key for key, line in COLUMNS.items() if line.better and not hasattr(Trial, key))]
    try:
        name, more = objective(text, [*known, name] if metric and sign else known)
    except ValueError as error:
        hint = f"; a metric needs a sign, -{name} or +{name}" if metric and not sign and name not in known else ""
        raise ValueError(f"objectives: {error}{hint}") from None
    return (name,), more


def objectives_of(config: Mapping[str, Any]) -> dict[str, tuple[tuple[str, ...], bool]]:
    """Give the objectives of a run's algorithm, as `read_objective` reads them; none where it has a scalar one.

    An algorithm of anybody's has several where its setting `objectives` names them as nsga2's does.

    Args:
        config: of the run, plain data.
    """
    named = (config.get("algorithm") or {}).get("objectives")
    if not isinstance(named, list | tuple) or len(named) < 2:
        return {}
    try:
        return {str(text): read_objective(text) for text in named if isinstance(text, str)}
    except ValueError:  # what another algorithm calls so
        return {}


def objective_columns(config: Mapping[str, Any], known: Callable[[str], bool]) -> tuple[str, ...]:
    """Give the columns of a run's objectives, each with its sign: `+accuracy`, `-s_normalised`; none of a scalar one.

    Args:
        known: whether any trial has a column.
    """
    found = []
    for columns, more in objectives_of(config).values():
        name = next((name for name in columns if known(name)), columns[0])
        found.append(("+" if more else "-") + name)
    return tuple(found)


class Front:
    """The trials that no other beats in every objective, kept while trials finish.

    Args:
        objectives: as `objectives_of` gives them.
    """

    def __init__(self, objectives: Mapping[str, tuple[tuple[str, ...], bool]]) -> None:
        self.objectives = dict(objectives)
        self.maximise = [more for _, more in self.objectives.values()]
        self.points = np.empty((0, len(self.maximise)))
        self.waiting: list[list[float]] = []

    def count(self, trial: Trial) -> None:
        """Take a finished trial."""
        if trial.status == "ok":
            values = [_first_known(trial, columns) for columns, _ in self.objectives.values()]
            if all(map(math.isfinite, values)):
                self.waiting.append(values)

    def look(self) -> str:
        """Say how many are on it, and from where to where it goes: `front 7: accuracy 0.72 to 0.91, ...`."""
        if self.waiting:
            points = np.concatenate([self.points, self.waiting])
            self.points, self.waiting = points[pareto_front(points, self.maximise)], []
        if not len(self.points):
            return ""
        ends = zip(self.objectives, self.points.min(axis=0), self.points.max(axis=0), strict=True)
        first = [f"{name.lstrip('+-').replace('_', ' ')} {low:.3g} to {high:.3g}" for name, low, high in ends]
        return f"front {len(self.points)}: {', '.join(first[:2])}"


def _first_known(trial: Trial, columns: tuple[str, ...]) -> float:
    return next((float(value) for name in columns if (value := trial.get(name)) is not None), math.nan)
