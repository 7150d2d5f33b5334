"""What other tools make of a run: the decisions of its space as parameters, and each trial's choices and objectives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from nas.runs.folder import read_config, read_run, read_trials
from nas.runs.objectives import objective_columns
from nas.runs.trial import Trial
from search_space.space import SearchSpace


@dataclass(frozen=True)
class Parameter:
    """A decision of a search space."""

    name: str  # such as `stage3_kernel_size`
    choices: tuple[Any, ...]

    @property
    def step(self) -> int | None:
        """How far whole numbers that rise evenly lie apart; None for other choices, which are categories."""
        whole = [choice for choice in self.choices if type(choice) is int]
        steps = {b - a for a, b in pairwise(whole)}
        return steps.pop() if len(whole) == len(self.choices) and len(steps) == 1 and min(steps) > 0 else None


@dataclass(frozen=True)
class RunRecord:
    """A run as other tools take it."""

    folder: Path
    run_id: str
    config: Mapping[str, Any]
    space: SearchSpace
    parameters: tuple[Parameter, ...]
    objectives: Mapping[str, bool]  # column -> whether more of it is better
    trials: tuple[Trial, ...]  # by their numbers

    def chosen(self, trial: Trial, *, inactive: bool = False) -> dict[str, Any] | None:
        """Give what a trial chose, by the names of parameters; None if its architecture is not of this space.

        Args:
            inactive: also options that the chosen op has not, by their first choice.
        """
        try:
            code = self.space.encode(trial.architecture)
        except ValueError:  # of a warm start, or of a list of architectures
            return None
        active = self.space.active(code[None])[0]
        each = zip(self.parameters, code.tolist(), active.tolist(), strict=True)
        return {one.name: one.choices[index] for one, index, is_active in each if is_active or inactive}

    def values(self, trial: Trial) -> list[float] | None:
        """Give a trial's objectives; None unless all of them are known of a trial that was trained and measured."""
        found = [trial.get(name) for name in self.objectives]
        return None if trial.status != "ok" or None in found else [float(value) for value in found]


def read_record(run: Path) -> RunRecord:
    """Read a run folder. Raises ValueError if it is none."""
    config, run_id = read_config(run), str(read_run(run)["run_id"])
    space = SearchSpace.from_dict(config["space"])
    trials = sorted(read_trials(run), key=lambda trial: trial.trial_id)
    known = [trial for trial in trials if trial.status == "ok"]
    columns = objective_columns(config, lambda name: any(trial.get(name) is not None for trial in known))
    objectives = {name[1:]: name[0] == "+" for name in columns} or {"reward": True}
    parameters = tuple(Parameter(decision.name, decision.choices) for decision in space.decisions)
    return RunRecord(run, run_id, config, space, parameters, objectives, tuple(trials))
