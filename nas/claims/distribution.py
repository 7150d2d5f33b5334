"""A search's trials beside another's, such as random search's: the empirical distribution of a number in each."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from nas.claims.explain import number, numbers
from nas.runs.columns import objective
from nas.runs.folder import read_trials

Floats = NDArray[np.float64]
_AT = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)  # shares of the trials


@dataclass(frozen=True)
class Quantile:
    """The value that a share of the trials do not exceed, in two runs."""

    share: float
    value: float
    other: float


@dataclass(frozen=True)
class Comparison:
    """How a number is distributed over the trials of two runs."""

    column: str
    more_is_better: bool
    trials: int  # that have the number
    other_trials: int
    quantiles: tuple[Quantile, ...]
    chance_better: float  # that a trial of the run is better than one of the other; equal ones count half
    low: float  # its interval, as if every trial had been drawn by itself
    high: float
    confidence: float
    p: float  # of distributions as different as these, were they the same (Kolmogorov and Smirnov)


def compare_distributions(
    run: str | os.PathLike[str],
    against: str | os.PathLike[str],
    column: str = "reward",
    *,
    confidence: float = 0.95,
) -> Comparison:
    """Compare how a number is distributed over the trials of two runs, those answered ok.

    Args:
        run, against: folders, or opened runs. The other is best one of random search over the same space: what it finds
            is what the space is like.
        column: as `nas.explain` has it.
        confidence: of the interval.
    Raises: ValueError for a column that there is not in both, or a run in which no trial has the number.
    Source: Radosavovic et al., Designing Network Design Spaces (arXiv:2003.13678), section 3.1.
    """
    logs = [[trial for trial in read_trials(Path(each)) if trial.status == "ok"] for each in (run, against)]
    values, directions = [], []
    for folder, trials in zip((run, against), logs, strict=True):
        try:
            name, more = objective(column, numbers(trials))
        except ValueError as error:
            raise ValueError(f"{os.fspath(folder)}: {error}") from None
        found = np.array([number(trial, name) for trial in trials])
        values.append(found[np.isfinite(found)])
        directions.append((name, more))
    return compare(values[0], values[1], *directions[0], confidence=confidence)


def compare(own: Floats, other: Floats, name: str, more: bool, *, confidence: float = 0.95) -> Comparison:
    """Compare two samples of a number, as `compare_distributions` does.

    Raises: ValueError for a sample without values.
    """
    from scipy.stats import ks_2samp, rankdata

    if not len(own) or not len(other):
        raise ValueError(f"no trial of {'the run' if not len(own) else 'the other run'} has a {name}")
    sign = 1 if more else -1
    ranks = rankdata(np.concatenate([sign * own, sign * other]))[: len(own)]
    chance = (float(ranks.sum()) - len(own) * (len(own) + 1) / 2) / (len(own) * len(other))
    low, high = _interval(chance, len(own), len(other), confidence)
    quantiles = zip(_AT, np.quantile(own, _AT).tolist(), np.quantile(other, _AT).tolist(), strict=True)
    return Comparison(
        column=name,
        more_is_better=more,
        trials=len(own),
        other_trials=len(other),
        quantiles=tuple(Quantile(*each) for each in quantiles),
        chance_better=chance,
        low=low,
        high=high,
        confidence=confidence,
        p=float(ks_2samp(own, other).pvalue),
    )


def said(found: Comparison, other: str) -> str:
    """Say in a line how the two differ.

    Args:
        other: name of the other run.
    """
    median = next(each for each in found.quantiles if each.share == 0.5)
    return (
        f"{found.column} of {found.trials:,} trials, median {median.value:.4g}, beside {found.other_trials:,} of "
        f"{other}, median {median.other:.4g}: a trial here is better with probability {found.chance_better:.2f} "
        f"({found.low:.2f} to {found.high:.2f}, {found.confidence:.0%}); were both the same, distributions so "
        f"different would come with p = {found.p:.2g}"
    )


def _interval(chance: float, own: int, other: int, confidence: float) -> tuple[float, float]:
    """Give the chances that would not make the one found a surprise; of 0 and 1, too, it has a width.

    Source: Newcombe, Statistics in Medicine 25 (2006), 559-573, method 5.
    """
    from scipy.optimize import brentq

    z, half = NormalDist().inv_cdf((1 + confidence) / 2), (own + other) / 2 - 1

    def deviation(theta: float) -> float:
        spread = 1 + half * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return math.sqrt(theta * (1 - theta) * spread / (own * other))

    tiny = 1e-9  # at 0 and 1 themselves nothing deviates
    low = 0.0 if chance <= tiny else brentq(lambda t: chance - t - z * deviation(t), 0.0, min(chance, 1 - tiny))
    high = 1.0 if chance >= 1 - tiny else brentq(lambda t: chance - t + z * deviation(t), max(chance, tiny), 1.0)
    return float(low), float(high)
