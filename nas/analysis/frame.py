"""Trial logs as pandas tables: only this folder imports pandas."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nas.analysis.certainty import fields_of, reward_errors, scored, with_errors, with_told_apart
from nas.measure.settings import StepTimeSettings
from nas.runs.columns import objective
from nas.runs.folder import CONFIG, config_if_run, parts_of, read_config, read_trials, trial_log
from nas.runs.log import read_lines
from nas.runs.row import row_of, stages_of
from nas.runs.trial import NUMBERS, Trial, is_metric
from nas.trials.scoring import score
from nas.whole_files import write_whole
from rewards import reward_settings
from rewards.pareto import dominated, hypervolume, pareto_front
from search_space.architecture import STAGE_FIELDS, Architecture
from search_space.lookup import describe
from search_space.ops import option_names
from search_space.space import SearchSpace

logger = logging.getLogger(__name__)

OBJECTIVES = ("accuracy", "s_normalised", "params")  # of a Pareto front: what the paper's reward weighs
_FIELDS = [f.name for f in fields(Trial) if f.name not in ("curve", "metrics")]  # columns of a table without rows


def load(run: str | Path | Sequence[str | Path]) -> pd.DataFrame:
    """Read one run or several: one row per finished trial, one column per decision (`stage3_kernel_size`).

    Args:
        run: a run folder or a `trials.jsonl`, or several of them (rows stand in that order; `run_id` tells them apart).
    Returns: the trial's scalar fields, `architecture` as canonical JSON, then the decisions of the run's space (every
        field of every stage where the run's configuration is missing). Unknown numbers are NaN. Standard errors that an
        earlier version did not log are computed.
    Raises: ValueError if there is no log, or a line of it is no trial.
    """
    if isinstance(run, str | Path):
        return _load_one(Path(run))
    return pd.concat([_load_one(Path(one)) for one in run], ignore_index=True)


def load_trials(run: str | Path) -> list[Trial]:
    """Read a run folder's (or a `trials.jsonl`'s) trials as records. Raises ValueError as `load` does."""
    return read_trials(trial_log(Path(run)))


def load_epochs(run: str | Path | Sequence[str | Path]) -> pd.DataFrame:
    """Read the training curves: one row per trial and epoch, with `run_id`, `trial_id` and `arch_id` in front.

    Raises: ValueError as `load` does.
    """
    runs = [run] if isinstance(run, str | Path) else run
    if len(runs) == 1 and (table := _large_epochs(Path(runs[0]))) is not None:
        return table
    rows = [
        {"run_id": trial.run_id, "trial_id": trial.trial_id, "arch_id": trial.arch_id, **epoch}
        for one in runs
        for trial in load_trials(one)
        for epoch in trial.curve
    ]
    return pd.DataFrame(rows)


def _large_epochs(run: Path) -> pd.DataFrame | None:
    """The curves of a large log, from its columns; None if its lines are to be read."""
    log = trial_log(run)
    config_if_run(log.parent)
    if (parts := parts_of(log)) is None:
        return None
    from nas.analysis.table import epoch_table
    from nas.runs.part import Unfit

    try:
        return epoch_table(parts)
    except Unfit:
        return None


def best(frame: pd.DataFrame, n: int = 10) -> pd.DataFrame:
    """Give the `n` rows of highest reward among trials that were answered ok, best first.

    Returns: the rows, with `told_apart`: whether each is worse than the best for sure, see `estimates`.
    """
    return with_told_apart(frame[scored(frame)].nlargest(n, "reward"), frame)


def rescore(
    frame: pd.DataFrame, name: str, settings: Mapping[str, float], *, confidence: float = StepTimeSettings.confidence
) -> pd.DataFrame:
    """Give the table with `reward` and its error computed anew, without training anything: other exponents or reward.

    Args:
        name, settings: of the reward.
        confidence: of the intervals of S.
    Returns: the table; a trial that this reward cannot score has none, and `error` says why.
    Raises: ValueError for an unknown reward or setting, or one that can score no trial.
    """
    reward_settings(name, settings)  # what is wrong with these is no trial's fault
    ok = frame["status"] == "ok"
    again = frame.assign(
        reward=math.nan, reward_se=math.nan, reward_name=name, w=settings.get("w"), v=settings.get("v")
    )
    scores = [_score(fields, name, settings) for fields in fields_of(frame[ok])]
    again.loc[ok, "reward"] = [math.nan if isinstance(one, Exception) else one for one in scores]
    faults = [one for one in scores if isinstance(one, Exception)]
    if faults and len(faults) == len(scores):
        raise ValueError(describe(faults[0])) from faults[0]
    if faults:
        known = again["error"].tolist() if "error" in again else [None] * len(again)
        for row, one in zip(np.flatnonzero(ok), scores, strict=True):
            known[row] = NOT_SCORED + describe(one) if isinstance(one, Exception) else known[row]
        again = again.assign(error=pd.Series(known, again.index, dtype=object))
    again.loc[ok, "reward_se"] = reward_errors(again[ok], name, settings, confidence)
    return again


NOT_SCORED = "cannot be scored: "


def not_scored(frame: pd.DataFrame) -> str | None:
    """Say in a line which trials of a table that was scored anew could not be; None if all could."""
    failed = frame[(frame["status"] == "ok") & frame["error"].astype(str).str.startswith(NOT_SCORED)]
    if failed.empty:
        return None
    first = failed.iloc[0]
    return f"{len(failed)} of {(frame['status'] == 'ok').sum()} trials {first['error']} (trial {first['trial_id']})"


def _score(fields: Mapping[str, Any], name: str, settings: Mapping[str, Any]) -> float | Exception:
    """Score a trial; what a reward of anybody's raises is that trial's alone."""
    try:
        return score(fields, name, settings)
    except Exception as error:
        return error


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


def save(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table as CSV, parquet or JSON lines, by the file's ending. Raises ValueError for another ending."""
    path = Path(path)
    writers: dict[str, Callable[[], str | bytes]] = {
        ".csv": lambda: frame.to_csv(index=False),
        ".parquet": lambda: frame.to_parquet(index=False),
        ".jsonl": lambda: frame.to_json(orient="records", lines=True),
    }
    if path.suffix not in writers:
        raise ValueError(f"cannot write {path.name!r}; known endings: {', '.join(writers)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, writers[path.suffix]())


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Give the rows as dicts."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def metric_columns(frame: pd.DataFrame) -> list[str]:
    """Give the names of the columns that hold metrics: what measurements and evaluators added to a trial's own."""
    return [str(column) for column in frame.columns if is_metric(str(column))]


def decision_columns(frame: pd.DataFrame) -> list[str]:
    """Give the names of the columns that hold decisions."""
    fields = "|".join((*STAGE_FIELDS, *sorted(option_names())))
    return [str(column) for column in frame.columns if pd.Series([column]).str.fullmatch(rf"stage\d+_({fields})")[0]]


def _load_one(run: Path) -> pd.DataFrame:
    log = trial_log(run)
    config = read_config(log.parent) if (log.parent / CONFIG).exists() else {}
    space = SearchSpace.from_dict(config["space"]) if config else None
    parts = parts_of(log)
    curves: Iterable[Any] = ()
    if parts is None:
        lines = read_lines(log)
        frame = pd.DataFrame([_row(record, space) for record in lines])
        curves = (record.get("curve") for record in lines)
    else:
        from nas.analysis.table import trial_table
        from nas.runs.part import trials

        frame = trial_table(parts, space)
        curves = (trial.curve for trial in trials(log, parts))
    if frame.empty:
        return pd.DataFrame(columns=_FIELDS).astype(dict.fromkeys((*OBJECTIVES, "reward", "reward_se"), "float64"))
    frame = _numbers_alone(frame, log)
    lacking = [name for name in _FIELDS if name not in frame.columns]  # columns that are younger than the log
    frame = frame.reindex(columns=[*frame.columns, *lacking])
    objects = [name for name in frame.columns if frame[name].dtype == object and frame[name].isna().any()]
    numeric = [name for name in objects if all(value is None or _is_number(value) for value in frame[name])]
    return with_errors(frame.astype(dict.fromkeys(numeric, "float64")), config, curves)


def _row(record: dict[str, Any], space: SearchSpace | None) -> dict[str, Any]:
    architecture = Architecture.from_dict(record["architecture"])
    row = row_of(record, architecture)
    if space is None:
        return row | stages_of(architecture)
    wanted = [(d.stage, d.field) for d in space.decisions]
    return row | {f"stage{n + 1}_{name}": architecture.stages[n].named().get(name) for n, name in wanted}


def _numbers_alone(frame: pd.DataFrame, log: Path) -> pd.DataFrame:
    """Take what is no number in a column of numbers, which an earlier version let pass, as not known."""
    for name in frame.columns.intersection([*NUMBERS]):
        wrong = frame[name].notna() & ~frame[name].map(_is_number) if frame[name].dtype == object else None
        if wrong is not None and wrong.any():
            found = frame.loc[wrong, name].iloc[0]
            logger.warning("%s: %s %r is no number and counts as not known", log, name, found)
            frame[name] = frame[name].where(~wrong, None)
    return frame


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
