"""When a trial is stopped because it can no longer win. No ray."""

from __future__ import annotations

from collections.abc import Sequence

from nas.algorithms.bound import accuracy_from_curves, bound, needed_accuracy
from nas.runs.trial import Trial


def hopeless(trials: Sequence[Trial], so_far: Trial, k: int) -> str | None:
    """Say why a trial in training will not be among the `k` best, or give None if it still may.

    Args:
        trials: finished so far.
        so_far: the trial after its latest epoch: curve, s_normalised, p_normalised, w, v.
    Raises: ValueError if it has no step time, size or exponents, without which there is no bound.
    """
    s, p, w, v = so_far.s_normalised, so_far.p_normalised, so_far.w, so_far.v
    if s is None or p is None or w is None or v is None:
        raise ValueError("search.prune bound needs s_normalised, p_normalised, w and v of every trial")
    needed = needed_accuracy(trials, s, p, k=k, w=w, v=v)
    verdict = bound(accuracy_from_curves(trials, so_far.curve), needed)
    if not verdict.hopeless:
        return None
    return (
        f"stopped after epoch {len(so_far.curve)}: accuracy at most {verdict.optimistic_accuracy:.4f}, "
        f"but {needed:.4f} is needed for the best {k}"
    )
