"""What training the way from reference to winner found: a record of plain numbers; no torch, no ray."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from nas.claims.seeds_apart import SeedMeans, or_nan, or_none, seed_means
from nas.whole_files import write_whole
from search_space.architecture import Architecture

RESULT = "ablation.json"


@dataclass(frozen=True)
class Waypoint:
    """A network on the way from reference to winner, and what was predicted of it; the first is the reference."""

    architecture: Architecture
    predicted: float  # of the column
    decision: str | None = None  # that was changed to come here
    before: Any = None
    after: Any = None
    predicted_gain: float | None = None  # by this change
    predicted_low: float | None = None
    predicted_high: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `from_dict` gives an equal one back."""
        return {**vars(self), "architecture": self.architecture.to_dict()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Waypoint:
        """Read what `to_dict` gave. Raises ValueError for what is no such record."""
        try:
            return cls(**{**record, "architecture": Architecture.from_dict(record["architecture"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"no record of a network on the way: {error}") from None


@dataclass(frozen=True)
class SeedValue:
    """One training: of one network with one seed."""

    seed: int
    status: str  # ok, nan, oom, timeout, failed
    error: str | None
    accuracy: float | None
    value: float | None  # of the column
    folder: str  # of the training, below the ablation's


@dataclass(frozen=True)
class Gain:
    """By how much one network is above another in the column."""

    gain: float | None
    low: float | None  # its simultaneous interval: those of all pairs of networks hold together
    high: float | None
    apart: bool  # whether that excludes 0


@dataclass(frozen=True)
class Ablated:
    """A network of the way, trained with every seed: what was predicted of it, and what was measured."""

    decision: str | None  # that was changed to come here; None = it is the reference
    before: Any
    after: Any
    arch_id: str
    architecture: Mapping[str, Any]
    predicted: float
    predicted_gain: float | None
    predicted_low: float | None
    predicted_high: float | None
    seeds: tuple[SeedValue, ...]
    accuracy: float | None  # mean over those seeds that ended ok
    mean: float | None  # of the column, over seeds; where one is missing, corrected for that seed's average effect
    se: float | None  # standard error of the mean, of another draw of seeds and, for a reward, of S
    step: Gain | None  # over the network before; None = it is the reference
    s: float | None  # step time over the reference network's, by the recipe's last stage
    s_low: float | None
    s_high: float | None
    params: int | None


@dataclass(frozen=True)
class Ablation:
    """What `ablate` found: `ablation.json`."""

    run: str
    run_id: str
    column: str  # accuracy or reward
    metric: str  # minival or test: on which images accuracy is
    images: int  # so many
    confidence: float
    epochs: int
    recipe: str  # in words
    seeds: tuple[int, ...]
    winner: int | None  # trial_id of the way's end
    note: str | None  # that the search has found another winner since
    sd: float | None  # of one training's value, over seeds
    networks: tuple[Ablated, ...]  # the reference first, the winner last
    whole: Gain  # of the winner over the reference

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as `ablation.json` has it."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]


def write_ablation(folder: Path, ablation: Ablation) -> None:
    """Write `ablation.json`, in place of the one that is there."""
    write_whole(folder / RESULT, json.dumps(ablation.to_dict(), indent=2, allow_nan=False) + "\n")


@dataclass(frozen=True)
class Trained:
    """What is known of one network before it is compared. Of one that could not be timed `timing` is empty."""

    waypoint: Waypoint
    seeds: tuple[SeedValue, ...]
    timing: Mapping[str, Any]  # params, s_normalised, s_low, s_high of a Trial
    timing_error: float  # standard error of the column that S leaves open; 0 where S is not in it


@dataclass(frozen=True)
class About:
    """What all of an ablation shares: fields of Ablation."""

    run: str
    run_id: str
    column: str
    metric: str
    images: int
    confidence: float
    epochs: int
    recipe: str
    seeds: tuple[int, ...]
    winner: int | None
    note: str | None


def summarise(trained: Sequence[Trained], about: About) -> Ablation:
    """Compare each network with the one before it, and the last with the first, over seeds.

    Args:
        trained: in the order of the way, each with the same seeds in the same order. The same network may come twice:
            an option was changed that its op has not yet.
    """
    rows = {each.waypoint.architecture: each for each in trained}
    values = np.array([[or_nan(seed.value) for seed in each.seeds] for each in rows.values()])
    means = seed_means(values, confidence=about.confidence, resolution=1 / about.images)
    place = {architecture: row for row, architecture in enumerate(rows)}
    places = [place[each.waypoint.architecture] for each in trained]
    errors = [each.timing_error for each in rows.values()]
    steps = [None, *(_gain(means, errors, before, after) for before, after in pairwise(places))]
    return Ablation(
        **vars(about),
        sd=or_none(means.sd),
        networks=tuple(
            _ablated(each, means, row, step) for each, row, step in zip(trained, places, steps, strict=True)
        ),
        whole=_gain(means, errors, places[0], places[-1]),
    )


def _gain(means: SeedMeans, errors: Sequence[float], before: int, after: int) -> Gain:
    if before == after:
        return Gain(0.0, 0.0, 0.0, apart=False)
    gain, error = float(means.means[after] - means.means[before]), means.difference_se[before, after]
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = float(means.margin[before, after] / error)  # errors from the middle to the end of an interval
    half = reach * math.hypot(error, errors[before], errors[after])
    return Gain(or_none(gain), or_none(gain - half), or_none(gain + half), apart=abs(gain) > half)


def _ablated(each: Trained, means: SeedMeans, row: int, step: Gain | None) -> Ablated:
    at, timing = each.waypoint, each.timing
    known = [seed.accuracy for seed in each.seeds if seed.accuracy is not None]
    return Ablated(
        decision=at.decision,
        before=at.before,
        after=at.after,
        arch_id=at.architecture.arch_id,
        architecture=at.architecture.to_dict(),
        predicted=at.predicted,
        predicted_gain=at.predicted_gain,
        predicted_low=at.predicted_low,
        predicted_high=at.predicted_high,
        seeds=each.seeds,
        accuracy=sum(known) / len(known) if known else None,
        mean=or_none(means.means[row]),
        se=or_none(math.hypot(means.se[row], each.timing_error)),
        step=step,
        s=timing.get("s_normalised"),
        s_low=timing.get("s_low"),
        s_high=timing.get("s_high"),
        params=timing.get("params"),
    )
