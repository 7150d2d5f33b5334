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

from nas.analysis.certainty import fields_of, reward_errors, scored, with_errors, with_told_apart
from nas.measure.settings import StepTimeSettings
from nas.runs.folder import CONFIG, TIMINGS, config_if_run, parts_of, read_config, read_trials, trial_log
from nas.runs.log import read_lines
from nas.runs.row import row_of, stages_of
from nas.runs.trial import NUMBERS, Trial, is_metric
from nas.trials.scoring import score
from nas.whole_files import folder_for, write_whole
from rewards import reward_settings
from search_space.architecture import STAGE_FIELDS, Architecture
from search_space.lookup import describe
from search_space.ops import option_names
from search_space.space import SearchSpace

logger = logging.getLogger(__name__)

_FIELDS = [f.name for f in fields(Trial) if f.name not in ("curve", "metrics")]  # columns of a table without rows
_NUMERIC = ("accuracy", "s_normalised", "params", "reward", "reward_se")


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


def load_numbers(run: str | Path) -> pd.DataFrame:
    """Read what rewards and rankings are made of, and shown with: of a large log `load` without words and decisions.

    `completed` gives rows of it the other columns. Raises ValueError as `load` does.
    """
    return _load_one(Path(run), _is_ranked_by)


def _is_ranked_by(name: str) -> bool:
    return name in NUMBERS or name in _RANKED_BY or is_metric(name)


_RANKED_BY = ("status", "trial_id", "arch_id", "proposed_by", "error", "proposal")


def completed(rows: pd.DataFrame, run: str | Path) -> pd.DataFrame:
    """Give rows of the table of `load_numbers` with all columns that `load` has; theirs stay as they are."""
    if "architecture" in rows.columns:
        return rows
    everything = _load_one(Path(run), rows=[*rows.index])
    return everything.assign(**{str(name): rows[name] for name in rows.columns})


def load_trials(run: str | Path) -> list[Trial]:
    """Read a run folder's (or a `trials.jsonl`'s) trials as records. Raises ValueError as `load` does."""
    return read_trials(trial_log(Path(run)))


def load_timings(run: str | Path) -> pd.DataFrame:
    """Read the timings of a run folder (`search.time_first`): one row each, with the columns that `load` gives.

    Raises: ValueError as `load` does.
    """
    log = Path(run) / TIMINGS
    return _load_one(log) if log.exists() else _load_one(trial_log(Path(run))).iloc[:0]


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


def best(frame: pd.DataFrame, n: int = 10, found: pd.DataFrame | None = None) -> pd.DataFrame:
    """Give the `n` rows of highest reward among trials that were answered ok, best first.

    Args:
        found: the table's estimates, where they were made already.
    Returns: the rows, with `told_apart`: whether each is worse than the best for sure, see `estimates`.
    """
    return with_told_apart(frame[scored(frame)].nlargest(n, "reward"), frame, found)


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
    return again.assign(proposal="{}") if "proposal" in again else again  # what was predicted was the other reward


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
    with folder_for(path.parent):
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


def _load_one(
    run: Path, wanted: Callable[[str], bool] = lambda name: True, rows: Sequence[int] | None = None
) -> pd.DataFrame:
    """Read a run. Of a large log alone: of its columns those `wanted`; of its rows those at some places, as logged."""
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
        from nas.runs.rebuilt import trials

        frame = trial_table(parts, space, wanted=wanted, rows=rows)
        curves = (trial.curve for trial in trials(log, parts))
    if frame.empty:
        return pd.DataFrame(columns=_FIELDS).astype(dict.fromkeys(_NUMERIC, "float64"))
    frame = _numbers_alone(frame, log)
    # Columns that are younger than the log.
    lacking = [name for name in _FIELDS if name not in frame.columns and (parts is None or wanted(name))]
    frame = frame.reindex(columns=[*frame.columns, *lacking])
    objects = [name for name in frame.columns if frame[name].dtype == object and frame[name].isna().any()]
    numeric = [name for name in objects if all(value is None or _is_number(value) for value in frame[name])]
    frame = frame.astype(dict.fromkeys(numeric, "float64"))
    return frame if rows is not None else with_errors(frame, config, curves)


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
