"""Search algorithms compared on a finished run, or on a CSV, without training anything."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.algorithms.known_reward import known_reward
from nas.config.search import parse
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
    hours: float | None = None,
    workers: Sequence[int] = (1,),
    prune: Sequence[str] = ("none",),
    prune_epochs: Sequence[int] | None = None,
    time_first: Sequence[int] = (1,),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> Comparison:
    """Let algorithms search a finished log and see how many trials and device hours each needs to reach its best.

    Args:
        run: a run, its folder, or a CSV as `read_trials` takes it.
        space: whose decisions a CSV's columns are; default: the run's own.
        algorithms: keys of ALGORITHMS, or `module:Name`.
        seeds: searches per algorithm, >= 1.
        trials: length of a search; default: as many as the log holds.
        hours: device hours of a search, simulated from how long the log's trials took; default: as many as that takes.
        workers: trials at once; of several, every algorithm searches with each.
        prune: `none`, `asha` or `bound`, as `search.prune` stops trials early; of several, each in turn.
        prune_epochs: of asha, as `search.prune_epochs`; default: the run's.
        time_first: candidates timed for each one trained, as `search.time_first`; of several, each in turn.
        settings: of an algorithm, by its name; default: its own defaults.
    Returns: see `Comparison`; nothing is written.
    Raises: ValueError for an unknown algorithm, a bad setting, a file that cannot be read, or a log without usable
        trials.
    """
    log = Path(run)
    config = parse(read_config(log)) if log.is_dir() else None
    if space is None:
        if config is None:
            raise ValueError(f"{log} is no run folder; give the space its columns are decisions of with --config")
        space = config.space
    table = read_trials(log, space)
    records = replay(
        space,
        table,
        algorithms,
        seeds,
        budget=trials,
        hours=hours,
        workers=workers,
        prune=prune,
        prune_epochs=prune_epochs,
        time_first=time_first,
        settings=settings,
        search=None if config is None else config.search,
        reward=None if config is None else known_reward(config.reward.name, config.reward.settings),
    )
    top = best_seen(table)
    assert top is not None  # or there would have been nothing to search
    assert top.reward is not None
    return Comparison(tuple(records), top.reward)
