"""Pareto fronts of a table of trials, and how they grew."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nas.analysis.certainty import with_told_apart
from nas.runs.columns import objective
from rewards.pareto import dominated, hypervolume, pareto_front

OBJECTIVES = ("accuracy", "s_normalised", "params")  # of a Pareto front: what the paper's reward weighs


def pareto(frame: pd.DataFrame, columns: Sequence[str] = OBJECTIVES) -> pd.DataFrame:
    """Give the rows that no other row beats in every column, by the first column from best to worst.

    Args:
        columns: numeric columns, metrics among them; `-` before a name means less is better, `+` more. Without a sign
            it is as COLUMNS of nas/runs/columns.py says.
    Returns: the rows, with `told_apart`: whether each is worse than the trial of highest reward for sure.
    Raises: ValueError for a column that the table has not, or one of which no direction is known.
    """
    ok, names, maximise = _measured(frame, columns)
    front = ok.iloc[list(pareto_front(ok[list(names)].to_numpy(dtype=float), maximise))]
    return with_told_apart(front.sort_values(names[0], ascending=not maximise[0]), frame)


def hypervolume_over_time(
    frame: pd.DataFrame, columns: Sequence[str] = OBJECTIVES, reference: Sequence[float] | None = None
) -> pd.DataFrame:
    """Give how the front grew: one row per trial that was answered ok, in the order of the log.

    Args:
        columns: as `pareto` has them.
        reference: a value per column that counts as worthless; default: the worst of the table in each, so that it
            depends on the run. Runs are compared with the same reference.
    Returns: `trials` (finished so far, of any status), `trial_id`, `hours` since the first trial began (NaN where the
        log has no times), `device_hours` spent so far, `front` (trials on it), `hypervolume` (in the product of the
        columns' units) and `share` of the last row's.
    Raises: ValueError for a column that the table has not, or a reference of another length or not finite.
    """
    ok, names, maximise = _measured(frame, columns)
    points = ok[list(names)].to_numpy(dtype=float)
    if reference is None:
        reference = [float("nan")] * len(names) if not len(points) else _worst(points, maximise)
    elif len(reference) != len(names) or not all(map(math.isfinite, reference)):
        raise ValueError(f"reference must be a number for each of {', '.join(names)}, got {list(reference)}")
    front, volume, rows = points[:0], 0.0, []
    for start in range(0, len(points), 256):
        some = points[start : start + 256]  # most of a long run's are beaten by what came before
        for point, beaten in zip(some, dominated(some, front, maximise), strict=True):
            if not beaten:
                candidate = np.concatenate([front, point[None]])
                kept = pareto_front(candidate, maximise)
                if kept[-1] == len(front):  # the new one is on it
                    front, volume = candidate[kept], hypervolume(candidate[kept], reference, maximise)
            rows.append((len(front), volume))
    return _progress(frame, ok).assign(
        front=[size for size, _ in rows],
        hypervolume=[volume for _, volume in rows],
        share=[each / volume if volume else math.nan for _, each in rows],
    )


def _worst(points: NDArray[np.float64], maximise: Sequence[bool]) -> list[float]:
    return list(np.where(maximise, points.min(axis=0), points.max(axis=0)).tolist())


def _progress(frame: pd.DataFrame, ok: pd.DataFrame) -> pd.DataFrame:
    """What was spent until each of the rows `ok` of the table was there."""
    known = frame.reindex(columns=["started_at", "ended_at", "device_s"])
    begun, ended = (pd.to_datetime(known[name], utc=True, format="ISO8601") for name in ("started_at", "ended_at"))
    hours = (ended - begun.min()).dt.total_seconds() / 3600
    device = known["device_s"].cumsum().ffill() / 3600
    spent = frame.assign(trials=np.arange(1, len(frame) + 1), hours=hours, device_hours=device)
    return spent.loc[ok.index, ["trials", "trial_id", "hours", "device_hours"]]


def _measured(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[pd.DataFrame, tuple[str, ...], tuple[bool, ...]]:
    """Rows answered ok in which every column was measured, the columns' names, and whether more of each is better."""
    numeric = [str(c) for c in frame.columns if pd.api.types.is_numeric_dtype(frame[c])]
    names, maximise = zip(*(objective(column, numeric) for column in columns), strict=True)
    return frame[frame["status"] == "ok"].dropna(subset=list(names)), names, maximise
