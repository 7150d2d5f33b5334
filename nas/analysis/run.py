"""A run folder opened for reading: trials, best, front, winner, report."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nas.runs import ranking
from nas.runs.folder import TRIALS, read_config, read_run, read_trials
from nas.runs.status import Status, status
from nas.runs.summary import summary
from nas.runs.trial import Trial
from search_space.architecture import Architecture

if TYPE_CHECKING:
    import pandas as pd


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ended:
    """How a search ended."""

    state: Literal["finished", "stopped", "out of time", "failed"]
    signum: int | None = None  # the signal that stopped it
    reason: str | None = None  # why it is finished before all its trials are, where `search.stop_when` ended it


@dataclass(frozen=True)
class Run:
    """A run folder. What is read is read anew at each call: a run may still be growing."""

    folder: Path
    ended: Ended | None = None  # how the search ended that gave this; None = opened from its folder

    def __fspath__(self) -> str:
        """The folder: a run may be named wherever a path may."""
        return str(self.folder)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration, plain data."""
        return read_config(self.folder)

    @cached_property
    def about(self) -> dict[str, Any]:
        """Where the run comes from: id, time, command, host, versions, commit."""
        return read_run(self.folder)

    @property
    def trials(self) -> list[Trial]:
        """Every finished trial, in the order they finished."""
        return read_trials(self.folder)

    @property
    def best_trial(self) -> Trial:
        """The best scored trial, see nas/runs/ranking.py. Raises ValueError if none is scored yet."""
        best = summary(self.folder / TRIALS).best
        if best is None:
            raise ValueError(f"{self.folder}: {ranking.why_none(self.trials)}")
        return best

    @property
    def winner(self) -> Architecture:
        """The architecture of the best trial. Raises ValueError if none is scored yet."""
        return self.best_trial.architecture

    def status(self) -> Status:
        """Say how far the run is."""
        return status(self.folder)

    def dataframe(self) -> pd.DataFrame:
        """Give one row a trial, with a column a decision; see `nas.analysis.load`."""
        from nas.analysis.frame import load

        return load(self.folder)

    def timings(self) -> pd.DataFrame:
        """Give one row a timing of `search.time_first`, with the columns of a trial; no rows where there are none.

        They are in no other table: what was trained has its timing in its own row.
        """
        from nas.analysis.frame import load_timings

        return load_timings(self.folder)

    def epochs(self) -> pd.DataFrame:
        """Give one row an epoch of each trial; see `nas.analysis.load_epochs`."""
        from nas.analysis.frame import load_epochs

        return load_epochs(self.folder)

    def best(
        self, n: int = 10, *, reward: str | None = None, settings: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Give the `n` scored trials of highest reward, best first.

        Args:
            reward: score anew by this one; None = the run's.
            settings: of the reward, in place of the run's.
        Raises: ValueError for an unknown reward or setting, or one that can score no trial. Of single trials that it
            cannot score, there is a warning.
        """
        from nas.analysis.frame import best, completed

        return completed(best(self.numbers(reward=reward, settings=settings), n), self.folder)

    def rescored(self, *, reward: str | None = None, settings: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Give one row a trial as `dataframe` does, with the rewards, and the warning, that `best` has.

        Args:
            reward, settings: as `best` has them.
        """
        return self._scored_anew(self.dataframe(), reward, settings)

    def numbers(self, *, reward: str | None = None, settings: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Give what `rescored` does; of a long log without words and decisions, which take longest to read.

        Args:
            reward, settings: as `best` has them.
        """
        return self._scored_anew(self._numbers(), reward, settings)

    def estimates(self, *, reward: str | None = None, settings: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Give one row an architecture, the mean of its trials with standard errors; see `nas.analysis.estimates`.

        Args:
            reward, settings: as `best` has them.
        """
        from nas.analysis.certainty import estimates

        return estimates(self._rescored(self._numbers(), reward, settings))

    def verdict(self, *, reward: str | None = None, settings: Mapping[str, Any] | None = None) -> str | None:
        """Say in a line how many trials are not told apart from the winner; None where no errors are known.

        Args:
            reward, settings: as `best` has them.
        """
        from nas.analysis.certainty import confidence_of, verdict

        table = self._rescored(self._numbers(), reward, settings)
        return verdict(table, *self.reward(reward, settings), confidence_of(self.config))

    def reward(
        self, reward: str | None = None, settings: Mapping[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Give the name and the settings of the run's reward, or of another, as `best` has them."""
        own = dict(self.config["reward"])
        name = own.pop("name")
        return reward or name, (own if reward in (None, name) else {}) | dict(settings or {})

    def _numbers(self) -> pd.DataFrame:
        from nas.analysis.frame import load_numbers

        return load_numbers(self.folder)

    def _scored_anew(self, frame: pd.DataFrame, reward: str | None, settings: Mapping[str, Any] | None) -> pd.DataFrame:
        from nas.analysis.frame import not_scored

        again = self._rescored(frame, reward, settings)
        if said := not_scored(again):
            logger.warning("%s", said)
        return again

    def _rescored(self, frame: pd.DataFrame, reward: str | None, settings: Mapping[str, Any] | None) -> pd.DataFrame:
        from nas.analysis.certainty import confidence_of
        from nas.analysis.frame import rescore

        if not (reward or settings):
            return frame
        return rescore(frame, *self.reward(reward, settings), confidence=confidence_of(self.config))

    def objectives(self) -> tuple[str, ...]:
        """Give the columns that the search was after, `+accuracy`, `-s_normalised`; none where it was one reward."""
        from nas.runs.objectives import objective_columns, objectives_of

        trials = [each for each in self.trials if each.status == "ok"] if objectives_of(self.config) else []
        return objective_columns(self.config, lambda name: any(trial.get(name) is not None for trial in trials))

    def pareto(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Give the trials that no other beats in every column; see `nas.analysis.pareto`.

        Args:
            columns: default: what the search was after, or, where that was one reward, what the paper's weighs.
        """
        from nas.analysis.frame import completed
        from nas.analysis.front import OBJECTIVES, pareto

        columns, numbers = columns or self.objectives() or OBJECTIVES, self._numbers()
        table = numbers if all(name.lstrip("+-") in numbers.columns for name in columns) else self.dataframe()
        return completed(pareto(table, columns), self.folder)

    def report(self, path: str | Path | None = None) -> Path:
        """Write the run up as one HTML file, `report.html` in its folder unless told otherwise; see `nas.write_report`.

        Raises: ValueError if no trial of it has finished.
        """
        # By name: the report also shows what stands above a run, such as confirmations, which run trainings.
        written: Path = import_module("nas.report").write_report(self.folder, path)
        return written


def open_run(folder: str | Path) -> Run:
    """Open a run folder for reading; its plug-ins are imported.

    Raises: ValueError if it is no run folder.
    """
    run = Run(Path(folder))
    _ = run.about, run.config  # read here, so that what is wrong with them is said here
    return run
