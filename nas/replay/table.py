"""A finished log, or a CSV, as a benchmark: answers for the architectures it knows, in no time."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Container, Iterable, Sequence
from dataclasses import fields
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.runs.log import read_lines
from nas.runs.ranking import best_seen, is_scored
from nas.runs.trial import Trial, is_metric
from rewards.weighted_product import weighted_product
from search_space.architecture import Architecture
from search_space.cost import count
from search_space.space import Decision, SearchSpace

COLUMNS = ("accuracy", "step_time", "params")


class Table:
    """Answers from finished trials. An architecture that is not in the table gets the answer of the nearest that is.

    "Nearest" counts the decisions on which two architectures differ, and is an approximation.

    Args:
        space: whose decisions compare architectures; trials outside it are left out.
        trials: those with status ok and a reward are the table; of an architecture evaluated twice, the last.
    Raises: ValueError if no such trial lies in the space.
    """

    def __init__(self, space: SearchSpace, trials: Sequence[Trial]) -> None:
        self.space = space
        known = {t.arch_id: t for t in trials if is_scored(t) and space.contains(t.architecture)}
        if not known:
            raise ValueError(f"none of the {len(trials)} trials is finished, scored and in the space")
        self.trials = tuple(known.values())
        self.codes: NDArray[np.int64] = np.stack([space.encode(t.architecture) for t in self.trials])

    @property
    def best(self) -> Trial:
        """The trial of the greatest reward."""
        found = best_seen(self.trials)
        assert found is not None  # or there would be no table
        return found

    @property
    def timed(self) -> bool:
        """Whether it is known of every trial how long it took."""
        return all(seconds_of(trial) is not None for trial in self.trials)

    def nearest(self, architecture: Architecture, without: Container[str] = frozenset()) -> Trial:
        """The known trial that differs in the fewest decisions; of several, the earliest.

        Args:
            without: arch_ids that do not count, such as those given before.
        Raises: ValueError if the architecture is not of the space, or `without` leaves nothing.
        """
        differing = (self.codes != self.space.encode(architecture)).sum(axis=1)
        for index in np.argsort(differing, kind="stable").tolist():
            trial: Trial = self.trials[index]
            if trial.arch_id not in without:
                return trial
        raise ValueError(f"all {len(self.trials)} trials of the table were given")


def seconds_of(trial: Trial) -> float | None:
    """How long a trial took, of a device or by the clock; None if its log does not say."""
    return next((s for s in (trial.device_s, trial.wall_s) if s is not None and s > 0), None)


def read_trials(path: Path, space: SearchSpace | None = None, *, w: float = -0.07, v: float = -0.05) -> list[Trial]:
    """Read trials from a run folder, a `trials.jsonl`, a CSV that `nas trials --out` wrote, or any other CSV.

    Any other CSV has a column per decision of the space, named as in `space.decisions` (`stage3_kernel_size`), holding
    the values themselves, and the columns accuracy, step_time and params (both over the reference's), from which the
    weighted product follows. It may have `device_s`, how long each trial took, `train_s`, how much of that its epochs
    took, and accuracy_1, accuracy_2, ..., its curve, an empty cell where an epoch was not evaluated.

    Args:
        space: needed for a CSV.
        w, v: exponents of a CSV's rewards.
    Raises: ValueError naming the file and what is wrong with it.
    """
    if path.suffix == ".csv":
        if space is None:
            raise ValueError(f"{path}: a CSV needs the space its columns are decisions of")
        return _read_csv(path, space, w, v)
    log = path / "trials.jsonl" if path.is_dir() else path
    if not log.exists():
        raise ValueError(f"{log} does not exist")
    return [Trial.from_dict(record) for record in read_lines(log)]


def _read_csv(path: Path, space: SearchSpace, w: float, v: float) -> list[Trial]:
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        if {"architecture", "status"} <= set(rows.fieldnames or ()):
            return [_from_log_row(f"{path}: line {line}", row) for line, row in enumerate(rows, start=2)]
        names = [d.name for d in space.decisions]
        missing = [name for name in (*names, *COLUMNS) if name not in (rows.fieldnames or ())]
        if missing:
            raise ValueError(f"{path}: missing column {missing[0]!r}; needed: {', '.join((*names, *COLUMNS))}")
        return [_from_row(f"{path}: line {line}", row, space, w, v) for line, row in enumerate(rows, start=2)]


def _from_log_row(where: str, row: dict[str, str]) -> Trial:
    """A trial as `nas trials --out` writes it: all but its curve."""
    kinds = {f.name: str(f.type).partition(" ")[0] for f in fields(Trial) if row.get(f.name)}
    record = {name: _cell(where, name, kind, row[name]) for name, kind in kinds.items()}
    try:
        record |= {name: json.loads(row[name]) for name in ("architecture", "proposal") if row.get(name)}
        metrics = {name: _float(where, name, text) for name, text in row.items() if text and is_metric(name)}
        return Trial.from_dict(record | {"parents": row.get("parents", "").split(), "metrics": metrics})
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _cell(where: str, name: str, kind: str, text: str) -> Any:
    if kind in ("int", "float"):  # a column of whole numbers that has gaps is written as floats
        return (int if kind == "int" else float)(_float(where, name, text))
    return text == "True" if kind == "bool" else text


def _from_row(where: str, row: dict[str, str], space: SearchSpace, w: float, v: float) -> Trial:
    empty = {d.name for d in space.decisions if not row[d.name]}
    code = np.array([0 if d.name in empty else _choice(where, d, row[d.name]) for d in space.decisions], dtype=np.int64)
    for decision, active in zip(space.decisions, space.active(code[None])[0], strict=True):
        if active and decision.name in empty:
            raise ValueError(f"{where}: {decision.name} is empty; choices: {list(decision.choices)}")
    architecture = space.decode(space.canonical(code[None])[0])
    accuracy, step_time, params = (_float(where, name, row[name]) for name in COLUMNS)

    def reward(accuracy: float) -> float:
        return weighted_product(accuracy, step_time, params, w=w, v=v)

    epochs = [_float(where, name, row[name]) if row[name] else None for name in _epochs(row)]
    each = {"seconds": _float(where, "train_s", row["train_s"]) / len(epochs)} if row.get("train_s") and epochs else {}
    return Trial(
        architecture,
        "ok",
        params=count(architecture, space.image_size or 224).params,
        accuracy=accuracy,
        s_normalised=step_time,
        p_normalised=params,
        reward=reward(accuracy),
        reward_name="weighted_product",
        w=w,
        v=v,
        device_s=_float(where, "device_s", row["device_s"]) if row.get("device_s") else None,
        curve=tuple(
            {"epoch": epoch, **each} | ({} if known is None else {"accuracy": known, "reward": reward(known)})
            for epoch, known in enumerate(epochs)
        ),
    )


def _epochs(names: Iterable[str]) -> list[str]:
    """Give the columns of the curve: accuracy_1, accuracy_2, ... as far as they go."""
    known = set(names)
    return list(takewhile(known.__contains__, (f"accuracy_{epoch}" for epoch in itertools.count(1))))


def _choice(where: str, decision: Decision, text: str) -> int:
    """The index of a cell's value; numbers may be written as floats, which a column with gaps makes of them."""
    words = [str(choice) for choice in decision.choices]
    if isinstance(decision.choices[0], str | bool):
        found = words.index(text) if text in words else None
    else:
        value = _float(where, decision.name, text)
        found = decision.choices.index(value) if value in decision.choices else None
    if found is None:
        raise ValueError(f"{where}: {decision.name} {text!r} is no choice of the space: {list(decision.choices)}")
    return found


def _float(where: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{where}: {name} must be a number, got {text!r}")
    return value
