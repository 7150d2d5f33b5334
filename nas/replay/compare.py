"""Search algorithms compared on a finished run, or on a CSV, without training anything."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.replay.replay import Replayed, replay, write_replay
from nas.replay.table import read_trials
from nas.runs.folder import read_config
from nas.runs.ranking import best_seen
from search_space.space import SearchSpace


@dataclass(frozen=True)
class Comparison:
    """What algorithms make of one log."""

    records: tuple[Replayed, ...]  # one an algorithm
    best_reward: float  # of the log

    def write(self, folder: Path | str) -> list[Path]:
        """Write `replay.json`, `replay.csv` and the picture `replay.png`; give their paths."""
        from nas.analysis.plots import replays  # imports matplotlib

        folder = Path(folder)
        written = write_replay(self.records, folder)
        replays(self.records, self.best_reward).savefig(folder / "replay.png", dpi=150)
        return [*written, folder / "replay.png"]


def compare_algorithms(
    run: os.PathLike[str] | str,
    *,
    space: SearchSpace | None = None,
    algorithms: Sequence[str] = ("random", "evolution", "predictor"),
    seeds: int = 20,
    trials: int | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> Comparison:
    """Let algorithms search a finished log and see how many trials each needs to reach its best.

    Args:
        run: a run, its folder, or a CSV as `read_trials` takes it.
        space: whose decisions a CSV's columns are; default: the run's own.
        algorithms: keys of ALGORITHMS, or `module:Name`.
        seeds: searches per algorithm, >= 1.
        trials: length of a search; default: as many as the log holds.
        settings: of an algorithm, by its name; default: its own defaults.
    Returns: see `Comparison`; nothing is written.
    Raises: ValueError for an unknown algorithm, a bad setting, a file that cannot be read, or a log without usable
        trials.
    """
    log = Path(run)
    if space is None:
        if not log.is_dir():
            raise ValueError(f"{log} is no run folder; give the space its columns are decisions of with --config")
        space = SearchSpace.from_dict(read_config(log)["space"])
    table = read_trials(log, space)
    records = replay(space, table, algorithms, seeds, budget=trials, settings=settings)
    top = best_seen(table)
    assert top is not None  # or there would have been nothing to search
    assert top.reward is not None
    return Comparison(tuple(records), top.reward)
