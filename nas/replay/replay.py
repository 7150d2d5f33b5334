"""Search algorithms compared offline, on a finished log."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.algorithms import Algorithm, find_algorithm
from nas.algorithms.algorithm import Exhausted
from nas.replay.table import Table
from nas.runs.trial import Trial
from nas.whole_files import folder_for
from search_space.space import SearchSpace


@dataclass(frozen=True)
class Replayed:
    """One algorithm on one log. Numbers of trials are medians over seeds with a bootstrap interval of 95 %."""

    algorithm: str
    seeds: int
    trials: int  # each search's length at most
    reached: float  # share of the seeds that met the log's best
    trials_to_best: float | None  # None: the median seed did not get there
    trials_to_best_low: float | None
    trials_to_best_high: float | None
    trials_to_near: float | None  # to a reward within 0.1 % of the log's best
    final_reward: float  # mean of the best reward at the end
    exact_share: float  # of the answers, those the log itself holds
    mean_best: tuple[float, ...]  # after each trial, mean over seeds
    low_best: tuple[float, ...]  # 95 % interval of that mean
    high_best: tuple[float, ...]


def replay(
    space: SearchSpace,
    trials: Sequence[Trial],
    algorithms: Sequence[str],
    seeds: int = 20,
    *,
    budget: int | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Replayed]:
    """Let algorithms search a finished log and see how many trials each needs to reach its best.

    A proposal the log does not hold is replaced by the nearest trial that was not given yet: in every search each trial
    of the log is answered at most once, so that all methods, random search too, draw from the same finite set.

    Args:
        trials: of the log; those that are finished, scored and in the space make the table.
        algorithms: keys of ALGORITHMS, or `module:Name`.
        budget: trials of each search; default: the table's size.
        settings: of an algorithm, by its name.
    Raises: ValueError for an unknown algorithm, a bad setting, or a log without usable trials.
    """
    kinds = {name: find_algorithm(name) for name in algorithms}
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    table = Table(space, trials)
    length = min(budget or len(table.trials), len(table.trials))
    given = settings or {}
    return [_replay_one(table, name, kinds[name], seeds, length, given.get(name, {})) for name in algorithms]


def _replay_one(
    table: Table, name: str, kind: type[Algorithm], seeds: int, length: int, settings: Mapping[str, Any]
) -> Replayed:
    runs = [_search(table, kind, seed, length, settings) for seed in range(seeds)]
    curves = np.maximum.accumulate([rewards for rewards, _ in runs], axis=1)
    best = table.best.reward or 0.0
    to_best, to_near = _first_at(curves, best), _first_at(curves, best - 0.001 * abs(best))
    low, high = _interval(curves, np.mean)
    band = _interval(to_best[:, None], np.median)
    return Replayed(
        algorithm=name,
        seeds=seeds,
        trials=length,
        reached=float(np.isfinite(to_best).mean()),
        trials_to_best=_finite(np.median(to_best)),
        trials_to_best_low=_finite(band[0][0]),
        trials_to_best_high=_finite(band[1][0]),
        trials_to_near=_finite(np.median(to_near)),
        final_reward=float(curves[:, -1].mean()),
        exact_share=float(np.mean([exact for _, exact in runs])),
        mean_best=tuple(curves.mean(axis=0).tolist()),
        low_best=tuple(low.tolist()),
        high_best=tuple(high.tolist()),
    )


def _search(
    table: Table, kind: type[Algorithm], seed: int, length: int, settings: Mapping[str, Any]
) -> tuple[list[float], float]:
    """Rewards in the order found, and the share of proposals that the log itself held."""
    algorithm = kind(table.space, seed, **settings)
    given: set[str] = set()
    rewards: list[float] = []
    exact = 0
    while len(rewards) < length:
        try:
            proposal = algorithm.ask()
        except Exhausted:
            break
        asked = proposal.architecture
        algorithm.pending.pop(asked.arch_id)  # whatever is told in its place
        found = table.nearest(asked, given)
        given.add(found.arch_id)
        exact += found.arch_id == asked.arch_id
        notes = proposal.notes if found.arch_id == asked.arch_id else {}
        told = replace(found, proposed_by=proposal.proposed_by, parents=proposal.parents, proposal=notes)
        algorithm.tell(told)
        rewards.append(float(told.reward or 0.0))
    return rewards + [max(rewards)] * (length - len(rewards)), exact / max(1, len(rewards))


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
    """Write `replay.json` (everything) and `replay.csv` (a row per algorithm, without the curves); give their paths."""
    records = list(records)
    paths = [folder / "replay.json", folder / "replay.csv"]
    with folder_for(folder):
        paths[0].write_text(json.dumps([asdict(record) for record in records], indent=1) + "\n")
    rows = [
        {k: v for k, v in asdict(record).items() if not k.endswith("_best") or k == "trials_to_best"}
        for record in records
    ]
    with paths[1].open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["algorithm"])
        writer.writeheader()
        writer.writerows(rows)
    return paths
