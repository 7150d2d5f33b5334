"""A run as an Optuna study: for optuna-dashboard, and for Optuna's importances and samplers."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from nas.algorithms.tpe import quiet
from nas.export.study import Parameter, RunRecord, read_record
from nas.runs.trial import Trial
from search_space.lookup import describe

_STATES = {"ok": "COMPLETE", "pruned": "PRUNED"}  # whatever else became of a trial: FAIL
_NOT_ATTRIBUTES = ("curve", "proposal", "metrics", "run_id", "schema_version")
_RUN_ID = "run_id"  # the study's attribute that says whose it is


def export_study(run: os.PathLike[str] | str, storage: Any, *, name: str | None = None) -> int:
    """Write a run's finished trials into an Optuna study; again, those that have finished since.

    Decisions are parameters (whole numbers that rise evenly are integers, all others categories), the reward, or each
    of a search's several objectives, is a value, accuracy after each epoch the intermediate values. Everything else
    that is known of a trial is an attribute: status, error, S, step times, architecture, metrics.

    Args:
        run: its folder, or a Run.
        storage: as Optuna names it, such as `sqlite:///study.db`, or a storage of Optuna's.
        name: of the study; default: the run folder's.
    Returns: how many trials were added.
    Raises: ValueError if Optuna is not installed, the storage cannot be had, or has a study of that name that is
        another run's.
    """
    try:
        import optuna
    except ImportError:
        raise ValueError("an Optuna study needs Optuna: pip install 'training-aware-nas[algorithms]'") from None
    record = read_record(Path(run))
    with quiet(optuna), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = _study(optuna, record, storage, name or record.folder.resolve().name)
        there = {trial.user_attrs.get("trial_id") for trial in study.get_trials(deepcopy=False)}
        new = [trial for trial in record.trials if trial.trial_id not in there]
        for trial in new:
            study.add_trial(_frozen(optuna, record, trial))
    return len(new)


def _study(optuna: Any, record: RunRecord, storage: Any, name: str) -> Any:
    """The run's study, made if it is not there: what a killed export has left of it is gone on with."""
    directions = ["maximize" if more else "minimize" for more in record.objectives.values()]
    try:
        opened = optuna.storages.get_storage(storage)
        study = optuna.create_study(storage=opened, study_name=name, directions=directions, load_if_exists=True)
    except Exception as error:  # of Optuna, SQLAlchemy, or a driver that it lacks
        raise ValueError(f"no study in {str(storage)!r}: {describe(error)}") from None
    owner = study.user_attrs.get(_RUN_ID)
    if owner != record.run_id and (owner is not None or study.get_trials(deepcopy=False)):
        raise ValueError(f"{storage} has a study {name!r} that is not of {record.folder}: choose another name (--name)")
    if owner is None:
        study.set_metric_names(list(record.objectives))
        for key, value in {"folder": str(record.folder), _RUN_ID: record.run_id}.items():
            study.set_user_attr(key, value)
    return study


def _frozen(optuna: Any, record: RunRecord, trial: Trial) -> Any:
    chosen, values = record.chosen(trial) or {}, record.values(trial)
    state = _STATES.get(trial.status, "FAIL")
    if state == "COMPLETE" and values is None:  # an objective of it was not measured
        state = "FAIL"
    parameters = {one.name: _distribution(optuna, one) for one in record.parameters if one.name in chosen}
    return optuna.trial.FrozenTrial(
        number=-1,  # the storage counts
        trial_id=-1,
        state=optuna.trial.TrialState[state],
        value=None,
        values=values,
        datetime_start=_local(trial.started_at) or datetime.now(),
        datetime_complete=_local(trial.ended_at) or datetime.now(),
        params=chosen,
        distributions=parameters,
        user_attrs=_attributes(trial),
        system_attrs={},
        intermediate_values={epoch["epoch"]: float(epoch["accuracy"]) for epoch in trial.curve if _is_known(epoch)},
    )


def _distribution(optuna: Any, parameter: Parameter) -> Any:
    if (step := parameter.step) is None:
        return optuna.distributions.CategoricalDistribution(parameter.choices)
    return optuna.distributions.IntDistribution(parameter.choices[0], parameter.choices[-1], step=step)


def _attributes(trial: Trial) -> dict[str, Any]:
    record = {name: value for name, value in trial.to_dict().items() if name not in _NOT_ATTRIBUTES}
    record |= {**trial.metrics, "architecture": trial.architecture.to_json()}
    return {name: value for name, value in record.items() if value not in (None, [])}


def _is_known(epoch: Mapping[str, Any]) -> bool:
    return "epoch" in epoch and epoch.get("accuracy") is not None


def _local(text: str | None) -> datetime | None:
    """A time as Optuna has it: local, without its zone."""
    return None if text is None else datetime.fromisoformat(text).astimezone().replace(tzinfo=None)
