"""One architecture, one recipe, several seeds: a training each, and what their accuracy is in the mean."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.claims.seeds_apart import seed_means
from nas.config.train import TrainConfig
from nas.full_training.data import prepare_for_training
from nas.full_training.folder import RUN, Weights, check_start
from nas.full_training.many import train_many
from nas.full_training.train import resolve_training
from nas.full_training.trainings import Training
from nas.plugins import load as load_plugins
from nas.trackers.callback import Callback, TrainingEnd
from nas.whole_files import write_whole
from search_space.architecture import Architecture

SUMMARY = "seeds.json"


@dataclass(frozen=True)
class SeedsSummary:
    """What came out of the trainings of one architecture: `seeds.json`. None = not known."""

    metric: str  # minival or test: on which images accuracy is; of the final weights, or of those that were tested
    seeds: tuple[int, ...]
    statuses: tuple[str, ...]
    accuracies: tuple[float | None, ...]
    mean: float | None  # of those that ended ok
    se: float | None  # standard error of the mean, of another draw of seeds
    low: float | None  # its confidence interval, Student's
    high: float | None
    sd: float | None  # of one training
    confidence: float
    trainings: tuple[TrainingEnd, ...]


def train_seeds(
    architecture: Architecture | os.PathLike[str] | str,
    config: TrainConfig | Mapping[str, Any] | str | Path,
    *,
    folder: str | os.PathLike[str],
    seeds: int = 3,
    test: bool = False,
    weights: Weights = "final",
    confidence: float = 0.95,
    parallel: int | None = None,
    address: str | None = None,
    callbacks: Iterable[Callback | str | Mapping[str, Any]] = (),
    plugins: Sequence[str] | str = (),
    progress: bool = True,
) -> SeedsSummary:
    """Train an architecture with several seeds, the configuration's and those that follow it, each in `folder/seed-N`.

    The same call again goes on after whatever stopped it; with more seeds it trains those that are new.

    Args:
        architecture, config, test, weights: as `train` takes them.
        folder: of all of them; the summary, `seeds.json`, is written there.
        seeds: so many.
        confidence: of the interval.
        parallel, address, callbacks, plugins, progress: see `train_many`.
    Returns: the summary.
    Raises: as `train_many` does.
    """
    if seeds < 1:
        raise ValueError(f"seeds must be >= 1, got {seeds}")
    names, folder = [plugins] if isinstance(plugins, str) else plugins, Path(folder)
    load_plugins(names)
    first = resolve_training(config, architecture)
    if (folder / RUN).exists():
        raise ValueError(f"{folder} holds one training; trainings of several seeds need a folder of their own")
    chosen = tuple(range(first.seed, first.seed + seeds))
    if first.start_from:
        prepared = prepare_for_training(
            first, progress=True, say=lambda line: None
        )  # what was found is said by `train_many`
        check_start(folder / f"seed-{first.seed}", first, prepared)
    ends = train_many(
        [Training(f"seed-{seed}", replace(first, seed=seed)) for seed in chosen],
        folder,
        test=test,
        weights=weights,
        parallel=parallel,
        address=address,
        callbacks=callbacks,
        plugins=names,
        progress=progress,
    )
    summary = _summary(chosen, ends, test, confidence)
    write_whole(folder / SUMMARY, _json(summary))
    return summary


def _summary(seeds: tuple[int, ...], ends: Sequence[TrainingEnd], test: bool, confidence: float) -> SeedsSummary:
    accuracies = tuple(end.scored(test=test) for end in ends)
    values = np.array([[math.nan if a is None else a for a in accuracies if a is not None] or [math.nan]])
    means = seed_means(values, confidence=confidence)
    mean, se, low, high, sd = (
        float(each) if math.isfinite(each) else None
        for each in (means.means[0], means.se[0], means.low[0], means.high[0], means.sd)
    )
    statuses = tuple(end.status for end in ends)
    metric = "test" if test else "minival"
    return SeedsSummary(metric, seeds, statuses, accuracies, mean, se, low, high, sd, confidence, tuple(ends))


def _json(summary: SeedsSummary) -> str:
    record = asdict(summary)
    for each in record["trainings"]:
        each["folder"] = each["folder"].name
    return json.dumps(record, indent=2, allow_nan=False) + "\n"
