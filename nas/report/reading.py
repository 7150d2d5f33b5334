"""What a report is made of: everything that is read of a run, read once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.analysis.certainty import confidence_of, estimates, fields_of, scored, verdict, with_told_apart
from nas.analysis.certainty import winner as best_trial
from nas.analysis.frame import best, load, load_epochs, load_trials
from nas.analysis.front import OBJECTIVES, pareto
from nas.claims.explain import Explanation, explain_trials
from nas.runs.folder import read_config, read_run
from nas.runs.objectives import objective_columns
from nas.runs.ranking import why_none
from nas.runs.status import Status, status
from nas.runs.trial import NUMBERS, Trial
from search_space.architecture import Architecture
from search_space.space import SearchSpace

if TYPE_CHECKING:
    import pandas as pd

MOST_EXPLAINED = 5000  # trials that importances are computed from, evenly spread over a longer run


@dataclass(frozen=True)
class Reading:
    """A run as it was when it was read."""

    folder: Path
    frame: pd.DataFrame  # a row a trial
    config: Mapping[str, Any]
    about: Mapping[str, Any]  # run.json
    status: Status

    @property
    def name(self) -> str:
        """Of the run: its folder's."""
        return self.folder.resolve().name

    @cached_property
    def space(self) -> SearchSpace:
        """What was searched."""
        return SearchSpace.from_dict(self.config["space"])

    @cached_property
    def reference(self) -> Architecture:
        """The network that is the unit of S and P."""
        return Architecture.from_dict(self.config["reference"])

    @cached_property
    def scored(self) -> Any:
        """Which rows count in a ranking."""
        return scored(self.frame)

    @cached_property
    def ranked(self) -> pd.DataFrame:
        """The ten best scored trials; none where none was scored."""
        return best(self.frame, 10)

    @cached_property
    def winner(self) -> pd.Series[Any] | None:
        """The best trial; None where none was scored, or the search had several objectives."""
        number = None if self.searched_front else best_trial(self.frame)
        if number is None:
            return None
        return with_told_apart(self.frame[self.frame["trial_id"] == number], self.frame).iloc[-1]

    @cached_property
    def why_none(self) -> str:
        """Why no trial is the best."""
        return why_none(load_trials(self.folder))

    @cached_property
    def searched_front(self) -> bool:
        """Whether the search was after a front rather than one number."""
        return bool(objective_columns(self.config, self._known))

    @cached_property
    def objectives(self) -> tuple[str, ...]:
        """Signed columns of the front that is shown: the search's, else those of the paper's reward that are known."""
        usual = [f"{'+' if name == 'accuracy' else '-'}{name}" for name in OBJECTIVES if self._known(name)]
        return objective_columns(self.config, self._known) or tuple(usual)

    @cached_property
    def front(self) -> pd.DataFrame:
        """The trials that no other beats in every objective; none where fewer than two objectives are known."""
        if len(self.objectives) < 2 or not all(self._known(name[1:]) for name in self.objectives):
            return self.frame.iloc[:0]
        return pareto(self.frame, self.objectives)

    def _known(self, name: str) -> bool:
        ok = self.frame["status"] == "ok"
        return name in self.frame and bool(self.frame.loc[ok, name].notna().any())

    @cached_property
    def estimates(self) -> pd.DataFrame:
        """What is known of each architecture."""
        return estimates(self.frame)

    @cached_property
    def verdict(self) -> str | None:
        """What is not told apart from the winner."""
        own = dict(self.config["reward"])
        return verdict(self.frame, own.pop("name"), own, confidence_of(self.config))

    @cached_property
    def explanation(self) -> Explanation | None:
        """What mattered for the reward, or for the first objective; None where there are too few trials to say."""
        column = self.objectives[0] if self.searched_front else "reward"
        name = column.lstrip("+-")
        wanted = ["architecture", "trial_id", "status", name, f"{name}_se", "s_normalised", "p_normalised"]
        rows = self.frame.loc[self.scored, [each for each in dict.fromkeys(wanted) if each in self.frame]]
        rows = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_EXPLAINED)).astype(int))]
        trials = [_trial(row) for row in fields_of(rows)]
        winner = None if self.winner is None else Architecture.from_json(self.winner["architecture"])
        try:
            return explain_trials(trials, self.space, column, reference=self.reference, winner=winner)
        except ValueError:  # too few trials, a space without decisions
            return None

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """A row an epoch of each trial."""
        return load_epochs(self.folder)

    def claim(self, *path: str) -> Mapping[str, Any] | None:
        """Give a record that a later study of the run left in its folder; None where there is none."""
        try:
            found = json.loads(self.folder.joinpath(*path).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def read(folder: Path) -> Reading:
    """Read a run folder. Raises ValueError if it is none, or holds no trials."""
    return Reading(folder, load(folder), read_config(folder), read_run(folder), status(folder))


def _trial(row: Mapping[str, Any]) -> Trial:
    """Give the trial of a table's row, as far as it is to be explained."""
    known = {name: row[name] for name in (*NUMBERS,) if isinstance(row.get(name), float)}
    architecture = Architecture.from_json(row["architecture"])
    return Trial(architecture, row["status"], trial_id=row["trial_id"], metrics=_numbers(row["metrics"]), **known)


def _numbers(record: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in record.items() if isinstance(value, int | float)}
