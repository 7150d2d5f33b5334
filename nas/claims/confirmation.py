"""What a confirmation found: a record of plain numbers, from the curves of its trainings; no torch, no ray."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.claims.contenders import Contender
from nas.claims.seeds_apart import SeedMeans, groups, or_nan, or_none, seed_means
from nas.whole_files import write_whole

RESULT = "confirm.json"


@dataclass(frozen=True)
class SeedResult:
    """One training: of one architecture with one seed."""

    seed: int
    status: str  # ok, nan, oom, timeout, failed
    error: str | None
    accuracy: float | None  # what is compared; None where the status is not ok
    epochs_to_target: int | None  # the first epoch, from 1, at whose end minival's accuracy was the target or more
    seconds_to_target: float | None  # of training steps alone: their measured time by their number
    folder: str  # of the training, below the confirmation's


@dataclass(frozen=True)
class Confirmed:
    """One architecture, trained with every seed. None = not known."""

    name: str  # such as `trial 12`, or what a baseline was asked for as
    role: str  # found or baseline
    arch_id: str
    architecture: Mapping[str, Any]
    trial_id: int | None  # of the search
    search_rank: int | None  # among the search's architectures
    search_accuracy: float | None
    search_reward: float | None
    note: str | None  # of a baseline that was made equal: how near it came, in words
    params: int | None
    macs: int | None
    s: float | None  # step time over the reference network's, by the recipe's last stage
    s_low: float | None
    s_high: float | None
    step_time_ms: float | None
    training_s: float | None  # of one training's steps: their measured time by their number
    seeds: tuple[SeedResult, ...]
    mean: float | None  # accuracy over seeds; where one is missing, corrected for that seed's average effect
    se: float | None  # standard error of the mean, of another draw of seeds
    low: float | None  # its confidence interval
    high: float | None
    rank_low: int | None  # 1 + the architectures that are better for sure
    rank_high: int | None  # all but those that are worse for sure
    reached: int | None  # trainings that reached the target; None = no target was asked for
    epochs_to_target: float | None  # median over seeds; None = half of them or more did not reach it
    seconds_to_target: float | None  # the same


@dataclass(frozen=True)
class Pair:
    """Two architectures compared, the better one first."""

    first: int  # place in `architectures`, from 0
    second: int
    difference: float
    low: float | None  # its simultaneous interval: all pairs' hold together
    high: float | None
    p: float | None  # adjusted for all pairs
    apart: bool


@dataclass(frozen=True)
class Confirmation:
    """What `confirm` found: `confirm.json`."""

    run: str
    run_id: str
    metric: str  # minival or test: on which images accuracy is
    images: int  # so many
    confidence: float
    epochs: int
    recipe: str  # in words
    seeds: tuple[int, ...]
    target_accuracy: float | None
    sd: float | None  # of one training's accuracy, over seeds
    architectures: tuple[Confirmed, ...]  # the best mean first; those without one last
    pairs: tuple[Pair, ...]
    ties: tuple[tuple[int, ...], ...]  # the largest sets (places, from 0) of which no two are told apart

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `read_confirmation` gives an equal one back."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]


def write_confirmation(folder: Path, confirmation: Confirmation) -> None:
    """Write `confirm.json`, in place of the one that is there."""
    write_whole(folder / RESULT, json.dumps(confirmation.to_dict(), indent=2, allow_nan=False) + "\n")


def read_confirmation(folder: Path) -> Confirmation | None:
    """Read what a confirmation found; None where there is none yet. Raises ValueError for what is no such file."""
    try:
        record = json.loads((folder / RESULT).read_text())
        architectures = tuple(
            Confirmed(**{**each, "seeds": tuple(SeedResult(**seed) for seed in each["seeds"])})
            for each in record["architectures"]
        )
        return Confirmation(
            **{
                **record,
                "architectures": architectures,
                "seeds": tuple(record["seeds"]),
                "pairs": tuple(Pair(**each) for each in record["pairs"]),
                "ties": tuple(tuple(each) for each in record["ties"]),
            }
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / RESULT} is no confirmation: {error}") from None


@dataclass(frozen=True)
class Trained:
    """What is known of one architecture before it is compared. Of one that could not be timed `timing` is empty."""

    contender: Contender
    seeds: tuple[SeedResult, ...]
    timing: Mapping[str, Any]  # params, macs, s_normalised, s_low, s_high, step_time_ms of a Trial
    training_s: float | None


@dataclass(frozen=True)
class About:
    """What all of a confirmation shares: fields of Confirmation."""

    run: str
    run_id: str
    metric: str
    images: int
    confidence: float
    epochs: int
    recipe: str
    seeds: tuple[int, ...]
    target_accuracy: float | None


def summarise(trained: Sequence[Trained], about: About) -> Confirmation:
    """Compare architectures over seeds.

    Args:
        trained: each with the same seeds, in the same order.
    """
    values = np.array([[or_nan(seed.accuracy) for seed in each.seeds] for each in trained])
    means = seed_means(values, confidence=about.confidence, resolution=1 / about.images)
    order = sorted(range(len(trained)), key=lambda i: (math.isnan(means.means[i]), -means.means[i]))
    there = [i for i in order if not math.isnan(means.means[i])]
    apart = means.apart[np.ix_(there, there)]
    return Confirmation(
        **vars(about),
        sd=or_none(means.sd),
        architectures=tuple(_confirmed(trained[i], means, i, there, about) for i in order),
        pairs=tuple(_pairs(means, there)),
        ties=tuple(groups(apart)) if there else (),
    )


def _confirmed(each: Trained, means: SeedMeans, i: int, there: Sequence[int], about: About) -> Confirmed:
    who, timing = each.contender, each.timing
    better = sum(means.apart[i, j] and means.means[j] > means.means[i] for j in there)
    worse = sum(means.apart[i, j] and means.means[j] < means.means[i] for j in there)
    reached = [seed for seed in each.seeds if seed.epochs_to_target is not None]
    return Confirmed(
        name=who.name,
        role=who.role,
        arch_id=who.architecture.arch_id,
        architecture=who.architecture.to_dict(),
        trial_id=who.trial_id,
        search_rank=who.search_rank,
        search_accuracy=who.search_accuracy,
        search_reward=who.search_reward,
        note=who.note,
        params=timing.get("params"),
        macs=timing.get("macs"),
        s=timing.get("s_normalised"),
        s_low=timing.get("s_low"),
        s_high=timing.get("s_high"),
        step_time_ms=timing.get("step_time_ms"),
        training_s=each.training_s,
        seeds=each.seeds,
        mean=or_none(means.means[i]),
        se=or_none(means.se[i]),
        low=or_none(means.low[i]),
        high=or_none(means.high[i]),
        rank_low=1 + int(better) if i in there else None,
        rank_high=len(there) - int(worse) if i in there else None,
        reached=None if about.target_accuracy is None else len(reached),
        epochs_to_target=_median([seed.epochs_to_target for seed in each.seeds]),
        seconds_to_target=_median([seed.seconds_to_target for seed in each.seeds]),
    )


def _pairs(means: SeedMeans, there: Sequence[int]) -> list[Pair]:
    p, found = means.p_values(), []
    for place, i in enumerate(there):
        for other, j in enumerate(there[place + 1 :], start=place + 1):
            difference, margin = float(means.means[i] - means.means[j]), means.margin[i, j]
            low, high = or_none(difference - margin), or_none(difference + margin)
            found.append(Pair(place, other, difference, low, high, or_none(p[i, j]), bool(means.apart[i, j])))
    return found


def _median(values: Sequence[float | None]) -> float | None:
    """The median where what is missing is larger than all: None where it falls among those."""
    known = sorted(math.inf if value is None else value for value in values)
    middle = known[(len(known) - 1) // 2], known[len(known) // 2]
    return None if math.isinf(middle[1]) else sum(middle) / 2
