"""Stop what can no longer win: an optimistic accuracy against what the top k would need. Off by default.

Step time and params are known after a minute, so a candidate's reward is bounded by its accuracy alone. The bound comes
from the predictor before training, or from learning curves of finished trials during it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.runs.ranking import score
from nas.runs.trial import Trial


@dataclass(frozen=True)
class Bound:
    """Whether a candidate may still reach the top k, and why."""

    optimistic_accuracy: float  # the candidate's accuracy is below this with the asked confidence
    needed_accuracy: float  # with its step time and params, what the k-th best reward asks for
    hopeless: bool  # the first is below the second


def needed_accuracy(
    trials: Sequence[Trial], step_time: float, params: float, *, k: int = 10, w: float = -0.07, v: float = -0.05
) -> float:
    """Accuracy with which a candidate of this step time and size would equal the k-th best reward so far.

    Args:
        step_time, params: normalised; > 0.
    Returns: 0 while fewer than k trials are scored: everything may still win.
    Raises: ValueError if k is below 1, or step_time or params is not positive.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if not (step_time > 0 and params > 0):
        raise ValueError(f"step_time and params must be positive, got {step_time!r} and {params!r}")
    rewards = sorted((reward for t in trials if (reward := score(t)) is not None), reverse=True)
    return rewards[k - 1] / (step_time**w * params**v) if len(rewards) >= k else 0.0


def bound(optimistic_accuracy: float, needed: float) -> Bound:
    """Compare; an optimistic accuracy that is NaN (nothing is known yet) is never hopeless."""
    return Bound(optimistic_accuracy, needed, bool(optimistic_accuracy < needed))


def accuracy_from_curves(
    trials: Sequence[Trial], curve: Sequence[Mapping[str, Any]], *, confidence: float = 0.99, least: int = 20
) -> float:
    """Optimistic final accuracy of a candidate in training, from the gains that finished trials had left at this epoch.

    The final accuracy minus that after the same epoch is regressed on the latter; the residuals' empirical quantile at
    `confidence` is added, so nothing is assumed of their distribution.

    Args:
        curve: one mapping per finished epoch with `accuracy`, as `Trial.curve`.
        confidence: share of the candidates whose final accuracy shall be below the result.
        least: finished trials with a curve below which nothing is said (NaN).
    Raises: ValueError if confidence is not in (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence!r}")
    epoch = len(curve)
    pairs = [
        (float(now), float(t.accuracy))
        for t in trials
        if t.status == "ok" and t.accuracy is not None and len(t.curve) > epoch and epoch
        if (now := t.curve[epoch - 1].get("accuracy")) is not None
    ]
    reached = curve[-1].get("accuracy") if epoch else None
    if len(pairs) < max(3, least) or reached is None:
        return math.nan
    now, final = np.array(pairs).T
    slope, shift = np.polyfit(now - now.mean(), final, 1) if now.std() > 0 else (0.0, final.mean())
    residuals = np.sort(final - shift - slope * (now - now.mean()))
    at = min(len(residuals) - 1, math.ceil(confidence * (len(residuals) + 1)) - 1)  # the conformal quantile
    return float(shift + slope * (float(reached) - now.mean()) + residuals[at])
