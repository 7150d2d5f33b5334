"""Records searches and trainings in MLflow: its only door."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from nas.runs.ranking import score
from nas.runs.trial import Trial
from nas.trackers.callback import Callback, SearchInfo, TrainingEnd, TrainingInfo
from nas.trackers.record import decisions, epoch_numbers, flat, is_number, need, numbers
from nas.whole_files import write_whole
from search_space.space import SearchSpace

STATE = "mlflow.json"  # in the run's folder: which MLflow run it is
_ENDED = {"finished": "FINISHED", "ok": "FINISHED", "failed": "FAILED"}  # everything else: KILLED
_MOST_METRICS, _MOST_PARAMS, _LONGEST = 1000, 100, 500  # of one request; characters of a parameter


class MLflow(Callback):
    """A search is one MLflow run with a child run a trial: parameters = its decisions, metrics = what was measured and
    its epochs (step = epochs done). A training is one run with its epochs.

    A search or training that goes on continues its MLflow run, which `mlflow.json` in its folder names: trials that
    MLflow has are not told again, those it misses are.

    Args:
        tracking_uri: of a server or a store; empty = MLFLOW_TRACKING_URI if that is set, else `mlflow.db` beside the
            run folder (`mlflow ui --backend-store-uri sqlite:///runs/mlflow.db` shows it).
        experiment: the MLflow experiment's name.
    Raises: ValueError if MLflow is not installed.
    """

    live = False

    def __init__(self, *, tracking_uri: str = "", experiment: str = "training-aware-nas") -> None:
        need("mlflow", "MLflow", "mlflow")
        self.tracking_uri, self.experiment = tracking_uri, experiment

    # ---- a search

    def on_search_begin(self, search: SearchInfo) -> None:
        """Begin or continue the search's run, and add the trials that it misses."""
        self.space = SearchSpace.from_dict(search.config["space"])
        self._open(search.folder, search.run_id, dict(flat(search.config)))
        there = self._trials_there()
        self.done, self.best = 0, float("-inf")
        for trial in search.trials:
            self._add(trial, known=trial.trial_id in there)

    def on_trial_end(self, trial: Trial) -> None:
        """Add a finished trial."""
        self._add(trial, known=False)

    def on_search_end(self, search: SearchInfo) -> None:
        """End the search's run; it is taken up again if the search is."""
        self.client.set_terminated(self.run, _ENDED.get(search.state, "KILLED"))

    def _add(self, trial: Trial, *, known: bool) -> None:
        self.done += 1
        reward = score(trial)
        if reward is not None:
            self.best = max(self.best, reward)
        if known:
            return
        tags = {
            "mlflow.parentRunId": self.run,
            "nas.trial_id": str(trial.trial_id),
            "nas.arch_id": trial.arch_id,
            "nas.status": trial.status,
            **({"nas.error": trial.error[:_LONGEST]} if trial.error else {}),
        }
        name, ended = f"trial {trial.trial_id}", _milliseconds(trial.ended_at)
        begun = _milliseconds(trial.started_at or trial.ended_at)
        run = self.client.create_run(self.experiment_id, begun, tags, name).info.run_id
        points = {(name, e["epoch"] + 1): value for e in trial.curve for name, value in epoch_numbers(e).items()}
        points |= {(name, len(trial.curve)): value for name, value in numbers(trial).items()}
        self._log(run, points, decisions(self.space, trial.architecture), ended)
        self.client.set_terminated(run, _ENDED.get(trial.status, "FAILED"), ended)
        if reward is not None:
            self._log(self.run, {("reward", self.done): reward, ("best_reward", self.done): self.best}, {}, ended)

    def _trials_there(self) -> set[int]:
        """The trials that MLflow has whole; one whose writer was killed is deleted."""
        there, token = set(), None
        while True:
            clause = f"tags.`mlflow.parentRunId` = '{self.run}'"
            page = self.client.search_runs([self.experiment_id], clause, max_results=1000, page_token=token)
            for run in page:
                if run.info.status == "RUNNING":
                    self.client.delete_run(run.info.run_id)
                else:
                    there.add(int(run.data.tags["nas.trial_id"]))
            if not (token := page.token):
                return there

    # ---- a full training

    def on_train_begin(self, training: TrainingInfo) -> None:
        """Begin or continue the training's run, and add the epochs that it misses."""
        self._open(training.folder, training.run_id, dict(flat(training.config)))
        self.steps = {point.step for point in self.client.get_metric_history(self.run, "train_loss")}
        for epoch in training.curve:
            self.on_epoch(epoch)

    def on_epoch(self, epoch: Mapping[str, Any], trial_id: int | None = None) -> None:
        """Add an epoch, unless it is there: one after the last checkpoint is repeated when a training goes on."""
        step = epoch["epoch"] + 1
        if step not in self.steps:
            self.steps.add(step)
            self._log(self.run, {(name, step): value for name, value in epoch_numbers(epoch).items()}, {})

    def on_train_end(self, training: TrainingInfo, result: TrainingEnd) -> None:
        """Add what came out, and end the run."""
        tested = {f"test_{name}": value for name, value in (result.test or {}).items()}
        came_out = {"final_accuracy": result.accuracy, "final_loss": result.loss, "best_accuracy": result.best_accuracy}
        known = self.client.get_run(self.run).data.metrics
        points = {
            (name, result.epochs_done): float(value)
            for name, value in (came_out | tested).items()
            if is_number(value) and known.get(name) != value
        }
        self._log(self.run, points, {})
        self.client.set_terminated(self.run, _ENDED.get(result.status, "KILLED"))

    # ---- both

    def _open(self, folder: Path, run_id: str, settings: Mapping[str, Any]) -> None:
        """Connect, and take up the run that the folder names; a new one if there is none."""
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        for name in ("mlflow.store.db.utils", "alembic"):  # each table that they make is news to them
            logging.getLogger(name).setLevel(logging.WARNING)
        local = f"sqlite:///{folder.absolute().parent / 'mlflow.db'}"
        uri = self.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or local
        self.client = MlflowClient(tracking_uri=uri)
        found = self.client.get_experiment_by_name(self.experiment)
        artifacts = (folder.absolute().parent / "mlruns").as_uri() if uri == local else None
        self.experiment_id = found.experiment_id if found else self.client.create_experiment(self.experiment, artifacts)
        state = folder / STATE
        kept = json.loads(state.read_text()) if state.exists() else {}
        if kept.get("run_id") == run_id:
            try:
                self.run = self.client.get_run(kept["mlflow_run_id"]).info.run_id
                self.client.update_run(self.run, status="RUNNING")
                return
            except MlflowException:
                pass  # another store, or the run was deleted there: it gets a new one, with everything
        tags = {"nas.run_id": run_id, "nas.folder": str(folder.absolute())}
        self.run = self.client.create_run(self.experiment_id, tags=tags, run_name=folder.name).info.run_id
        self._log(self.run, {}, settings)
        write_whole(state, json.dumps({"run_id": run_id, "mlflow_run_id": self.run, "tracking_uri": uri}) + "\n")

    def _log(
        self, run: str, points: Mapping[tuple[str, int], float], settings: Mapping[str, Any], at: int | None = None
    ) -> None:
        from mlflow.entities import Metric, Param

        now = round(time.time() * 1000) if at is None else at
        metrics = [Metric(name, value, now, step) for (name, step), value in points.items()]
        params = [Param(name, str(value)[:_LONGEST]) for name, value in settings.items()]
        for part in _parts(metrics, _MOST_METRICS):
            self.client.log_batch(run, metrics=part)
        for part in _parts(params, _MOST_PARAMS):
            self.client.log_batch(run, params=part)


def _parts(items: list[Any], most: int) -> Iterable[list[Any]]:
    return (items[start : start + most] for start in range(0, len(items), most))


def _milliseconds(moment: str | None) -> int:
    return round((time.time() if moment is None else datetime.fromisoformat(moment).timestamp()) * 1000)
