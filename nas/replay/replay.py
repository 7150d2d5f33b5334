"""Search algorithms compared offline, on a finished log."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from nas.algorithms import Algorithm, find_algorithm
from nas.algorithms.known_reward import KnownReward
from nas.config.settings import Prune, SearchSettings
from nas.replay.simulation import Simulated, simulate
from nas.replay.table import Table
from nas.runs.trial import Trial
from nas.whole_files import folder_for
from search_space.space import SearchSpace


@dataclass(frozen=True)
class Replayed:
    """One algorithm on one log. Numbers of trials and hours are medians over seeds with a bootstrap interval of 95 %.

    Hours are device hours: of all workers from the search's begin on, idle or not. They are None where the log does not
    say how long its trials took.
    """

    algorithm: str
    workers: int
    prune: str
    time_first: int
    seeds: int
    trials: int  # each search's length at most
    reached: float  # share of the seeds that met the log's best
    trials_to_best: float | None  # None: the median seed did not get there
    trials_to_best_low: float | None
    trials_to_best_high: float | None
    trials_to_near: float | None  # to a reward within 0.1 % of the log's best
    hours_to_best: float | None
    hours_to_best_low: float | None
    hours_to_best_high: float | None
    hours_to_near: float | None
    final_reward: float  # mean of the best reward at the end
    final_hours: float | None  # that the median search took
    equal_hours: float | None  # that every search of every algorithm took at least
    equal_reward: float | None  # mean of the best reward then
    equal_reward_low: float | None  # 95 % interval of that mean
    equal_reward_high: float | None
    pruned_share: float  # of the answers, those of trials that were stopped early
    exact_share: float  # of the proposals, those the log itself holds
    mean_best: tuple[float, ...]  # after each trial, mean over seeds
    low_best: tuple[float, ...]  # 95 % interval of that mean
    high_best: tuple[float, ...]
    hours: tuple[float, ...]  # up to `equal_hours`, the same for every algorithm
    mean_best_by_hours: tuple[float, ...]  # then, mean over seeds
    low_best_by_hours: tuple[float, ...]
    high_best_by_hours: tuple[float, ...]

    @property
    def label(self) -> str:
        """The algorithm, and how it searched where that is not one by one to each one's end."""
        at_once = f", {self.workers} workers" if self.workers > 1 else ""
        timed = f", {self.time_first} timed for one" if self.time_first > 1 else ""
        return self.algorithm + at_once + (f", {self.prune}" if self.prune != "none" else "") + timed


def replay(
    space: SearchSpace,
    trials: Sequence[Trial],
    algorithms: Sequence[str],
    seeds: int = 20,
    *,
    budget: int | None = None,
    hours: float | None = None,
    workers: Sequence[int] = (1,),
    prune: Sequence[str] = ("none",),
    prune_epochs: Sequence[int] | None = None,
    time_first: Sequence[int] = (1,),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    search: SearchSettings | None = None,
    reward: KnownReward | None = None,
) -> list[Replayed]:
    """Let algorithms search a finished log and see how many trials and device hours each needs to reach its best.

    A proposal the log does not hold is replaced by the nearest trial that was not given yet: in every search each trial
    of the log is answered at most once, so that all methods, random search too, draw from the same finite set. Time is
    simulated: a trial lasts as long as it took, and one that is stopped early as long as its epochs did.

    Args:
        trials: of the log; those that are finished, scored and in the space make the table.
        algorithms: keys of ALGORITHMS, or `module:Name`.
        budget: trials of each search; default: the table's size.
        hours: device hours of each search; default: as many as its trials take.
        workers, prune: every algorithm searches with each of these, `prune` as in `search.prune`.
        settings: of an algorithm, by its name.
        prune_epochs: of asha, as `search.prune_epochs`; None = those of `search`.
        time_first: candidates timed for each one trained, as `search.time_first`; with each, too.
        search: the rest of what early stopping is told, such as `prune_top`.
        reward: what the log's trials were scored by, for who predicts through it.
    Returns: one of each algorithm, number of workers, way of early stopping and number of timings, in this order.
    Raises: ValueError for an unknown algorithm, a bad setting, or a log without usable trials, or hours where the log
        does not say how long its trials took.
    """
    kinds = {name: find_algorithm(name) for name in algorithms}
    if wrong := [value for value in (seeds, *workers, *time_first) if value < 1]:
        raise ValueError(f"seeds, workers and time_first must be at least 1, got {wrong[0]}")
    table = Table(space, trials)
    if hours is not None and not (table.timed and hours > 0):
        why = "must be above 0" if table.timed else "cannot be kept: the log does not say how long its trials took"
        raise ValueError(f"hours {why}, got {hours:g}")
    length = min(budget or len(table.trials), len(table.trials))
    ways = [_stopping(search or SearchSettings(), way, prune_epochs) for way in prune]
    runs = {
        (name, at_once, way.prune, k): [
            _search(
                table, kinds[name], seed, (settings or {}).get(name, {}), reward,
                trials=length, workers=at_once, settings=way, hours=hours, time_first=k,
            )
            for seed in range(seeds)
        ]
        for name in algorithms
        for at_once in workers
        for way in ways
        for k in time_first
    }  # fmt: skip
    grid = _grid([run for each in runs.values() for run in each]) if table.timed else np.array([])
    return [_summed_up(table, about, of_seeds, length, grid) for about, of_seeds in runs.items()]


def _stopping(search: SearchSettings, name: str, epochs: Sequence[int] | None) -> SearchSettings:
    """Give the settings with this way of stopping trials early."""
    epochs = (search.prune_epochs if epochs is None else tuple(epochs)) if name == "asha" else ()
    return replace(search, prune=_prune(name), prune_epochs=epochs)


def _prune(name: str) -> Prune:
    if name not in get_args(Prune):
        raise ValueError(f"prune must be one of {', '.join(get_args(Prune))}, got {name!r}")
    return cast("Prune", name)


def _search(
    table: Table,
    kind: type[Algorithm],
    seed: int,
    own: Mapping[str, Any],
    reward: KnownReward | None,
    **how: Any,
) -> Simulated:
    algorithm = kind(table.space, seed, **own)
    algorithm.reward, algorithm.notes_winner = reward, False
    return simulate(table, algorithm, **how)


def _grid(runs: Sequence[Simulated], points: int = 200) -> NDArray[np.float64]:
    """Moments at which all searches know something and none has ended, in device hours."""
    first = max(min([answer.hours for answer in run.answers if answer.reward is not None], default=0.0) for run in runs)
    return np.linspace(first, max(first, min(run.hours for run in runs)), points)


def _summed_up(
    table: Table, about: tuple[str, int, str, int], runs: Sequence[Simulated], length: int, grid: NDArray[np.float64]
) -> Replayed:
    best, least = table.best.reward or 0.0, min(trial.reward or 0.0 for trial in table.trials)
    near = best - 0.001 * abs(best)
    curves = np.stack([_best_so_far(run, length, least) for run in runs])
    to_best, to_near = _first_at(curves, best), _first_at(curves, near)
    low, high = _interval(curves, np.mean)
    band = _interval(to_best[:, None], np.median)
    at = np.stack([_best_at(run, grid, least) for run in runs])
    at_low, at_high = _interval(at, np.mean)
    hours, hours_near = (np.array([_hours_to(run, level) for run in runs]) for level in (best, near))
    hours_band = _interval(hours[:, None], np.median)
    told = sum(len(run.answers) for run in runs)
    timed = table.timed
    return Replayed(
        algorithm=about[0],
        workers=about[1],
        prune=about[2],
        time_first=about[3],
        seeds=len(runs),
        trials=length,
        reached=float(np.isfinite(to_best).mean()),
        trials_to_best=_finite(np.median(to_best)),
        trials_to_best_low=_finite(band[0][0]),
        trials_to_best_high=_finite(band[1][0]),
        trials_to_near=_finite(np.median(to_near)),
        hours_to_best=_finite(np.median(hours)) if timed else None,
        hours_to_best_low=_finite(hours_band[0][0]) if timed else None,
        hours_to_best_high=_finite(hours_band[1][0]) if timed else None,
        hours_to_near=_finite(np.median(hours_near)) if timed else None,
        final_reward=float(curves[:, -1].mean()),
        final_hours=float(np.median([run.hours for run in runs])) if timed else None,
        equal_hours=float(grid[-1]) if timed else None,
        equal_reward=float(at[:, -1].mean()) if timed else None,
        equal_reward_low=float(at_low[-1]) if timed else None,
        equal_reward_high=float(at_high[-1]) if timed else None,
        pruned_share=sum(answer.reward is None for run in runs for answer in run.answers) / max(1, told),
        exact_share=sum(run.exact for run in runs) / max(1, sum(run.asked for run in runs)),
        mean_best=tuple(curves.mean(axis=0).tolist()),
        low_best=tuple(low.tolist()),
        high_best=tuple(high.tolist()),
        hours=tuple(grid.tolist()),
        mean_best_by_hours=tuple(at.mean(axis=0).tolist()),
        low_best_by_hours=tuple(at_low.tolist()),
        high_best_by_hours=tuple(at_high.tolist()),
    )


def _best_so_far(run: Simulated, length: int, least: float) -> NDArray[np.float64]:
    """Best reward after each of `length` answers: `least` before there is one, the last where there are no more."""
    rewards = [least if answer.reward is None else answer.reward for answer in run.answers] or [least]
    return np.maximum.accumulate(rewards + [least] * (length - len(rewards)))


def _best_at(run: Simulated, grid: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Best reward at each moment of the grid."""
    curve = np.concatenate([[least], _best_so_far(run, len(run.answers), least)])
    moments = np.array([answer.hours for answer in run.answers])
    return curve[np.searchsorted(moments, grid, side="right")]


def _hours_to(run: Simulated, level: float) -> float:
    """Device hours until the search knew a reward of the level; infinity if it never did."""
    there = (a.hours for a in run.answers if a.reward is not None and a.reward >= level - 1e-12)
    return next(there, math.inf)


def _first_at(curves: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Trials until each curve (N, trials) is at the level; infinity where it never is."""
    there = curves >= level - 1e-12
    return np.where(there.any(axis=1), there.argmax(axis=1) + 1.0, np.inf)


def _interval(values: NDArray[np.float64], statistic: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bootstrap interval of 95 % over the rows (seeds), by column."""
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(values), size=(1000, len(values)))
    with np.errstate(invalid="ignore"):
        means = np.stack([statistic(values[d], axis=0) for d in draws])
    ordered = np.sort(means, axis=0)  # a quantile between two infinities would be NaN
    return ordered[24], ordered[974]


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def write_replay(records: Iterable[Replayed], folder: Path) -> list[Path]:
    """Write `replay.json` (everything) and `replay.csv` (a row a record, without the curves); give their paths."""
    records = list(records)
    paths = [folder / "replay.json", folder / "replay.csv"]
    with folder_for(folder):
        paths[0].write_text(json.dumps([asdict(record) for record in records], indent=1) + "\n")
    rows = [{k: v for k, v in asdict(record).items() if not isinstance(v, tuple)} for record in records]
    with paths[1].open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["algorithm"])
        writer.writeheader()
        writer.writerows(rows)
    return paths
