"""Records searches and trainings with Weights & Biases: its only door."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from nas.runs.trial import Trial
from nas.trackers.callback import Callback, SearchInfo, TrainingEnd, TrainingInfo
from nas.trackers.record import decisions, epoch_numbers, flat, is_number, need, numbers
from nas.whole_files import write_whole
from search_space.space import SearchSpace

STATE = "wandb.json"  # in the run's folder: which of its trials were recorded whole


class WandB(Callback):
    """Each trial of a search is a W&B run in the group of the search's run id: configuration = its decisions, history =
    its epochs, summary = what was measured. A full training is one run with its epochs.

    A search that goes on records the trials that `wandb.json` in its folder does not name; a trial has the same W&B id
    whenever it is recorded. Files are below `wandb` in the run folder; `wandb sync` sends what was recorded offline.

    Args:
        project, entity: where runs go; empty entity = your default.
        mode: offline, or online, which needs `wandb login`.
    Raises: ValueError if W&B is not installed.
    """

    live = False

    def __init__(
        self,
        *,
        project: str = "training-aware-nas",
        entity: str = "",
        mode: Literal["offline", "online"] = "offline",
    ) -> None:
        need("wandb", "Weights & Biases", "wandb")
        self.project, self.entity, self.mode = project, entity, mode

    # ---- a search

    def on_search_begin(self, search: SearchInfo) -> None:
        """Record the trials that were not."""
        self.space = SearchSpace.from_dict(search.config["space"])
        self.folder, self.group, self.state = search.folder, search.run_id, search.folder / STATE
        kept = json.loads(self.state.read_text()) if self.state.exists() else {}
        self.recorded: list[int] = kept.get("trials", []) if kept.get("run_id") == search.run_id else []
        for trial in search.trials:
            if trial.trial_id not in self.recorded:
                self.on_trial_end(trial)

    def on_trial_end(self, trial: Trial) -> None:
        """Record a finished trial."""
        about = {"arch_id": trial.arch_id, "status": trial.status, "trial_id": trial.trial_id, "error": trial.error}
        run = self._run(
            f"{self.group}-{trial.trial_id}",
            f"trial {trial.trial_id}",
            {**about, **decisions(self.space, trial.architecture)},
        )
        for epoch in trial.curve:
            run.log(epoch_numbers(epoch), step=epoch["epoch"] + 1)
        run.summary.update(numbers(trial))
        run.finish(exit_code=0 if trial.status == "ok" else 1)
        self.recorded.append(trial.trial_id)
        write_whole(self.state, json.dumps({"run_id": self.group, "trials": self.recorded}) + "\n")

    # ---- a full training

    def on_train_begin(self, training: TrainingInfo) -> None:
        """Begin or continue the training's run."""
        self.folder, self.group = training.folder, training.run_id
        self.run = self._run(training.run_id, training.folder.name, dict(flat(training.config)))

    def on_epoch(self, epoch: Mapping[str, Any], trial_id: int | None = None) -> None:
        """Record an epoch."""
        self.run.log(epoch_numbers(epoch), step=epoch["epoch"] + 1)

    def on_train_end(self, training: TrainingInfo, result: TrainingEnd) -> None:
        """Record what came out."""
        tested = {f"test_{name}": value for name, value in (result.test or {}).items()}
        came_out = {"final_accuracy": result.accuracy, "final_loss": result.loss, "best_accuracy": result.best_accuracy}
        self.run.summary.update({name: value for name, value in (came_out | tested).items() if is_number(value)})
        self.run.finish(exit_code=0 if result.status == "ok" else 1)

    # ---- both

    def _run(self, identity: str, name: str, settings: Mapping[str, Any]) -> Any:
        import wandb

        files: Path = self.folder.absolute()
        return wandb.init(
            project=self.project,
            entity=self.entity or None,
            mode=self.mode,
            dir=files,
            group=self.group,
            id=identity,
            name=name,
            config=dict(settings),
            resume="allow" if self.mode == "online" else None,
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=True),
        )
