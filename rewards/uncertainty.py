"""How sure a score is: the standard error of an accuracy, what cannot be told apart from the best, and what could."""

from __future__ import annotations

from math import isfinite, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rewards.measurement import check_accuracy

CONFIDENCE = 0.95  # that the truly best is among those not told apart from the one that looks best


def accuracy_error(accuracy: float, images: int) -> float:
    """Give the standard error that an accuracy has because it was measured on so many images only.

    Two images that are right and two that are wrong are added first: without them it is 0 for an accuracy of 0 or 1,
    and too small beside these. Two errors to both sides of the accuracy so adjusted are a 95 % interval. For a mean
    over images of any number in [0, 1] it is an upper bound, since none scatters more than right or wrong.

    >>> round(accuracy_error(0.95, 10_000), 5), round(accuracy_error(1.0, 100), 3)
    (0.00218, 0.013)

    Args:
        accuracy: share of the images that are right, in [0, 1].
        images: of the minival, >= 1.
    Raises: ValueError for an accuracy outside [0, 1] or no image.
    Source: Agresti and Coull, The American Statistician 52 (1998), 119-126.
    """
    check_accuracy(accuracy)
    if not images >= 1:
        raise ValueError(f"images must be >= 1, got {images!r}")
    adjusted = (accuracy * images + 2) / (images + 4)
    return sqrt(adjusted * (1 - adjusted) / (images + 4))


def told_apart(
    scores: ArrayLike,
    errors: ArrayLike,
    *,
    of_repetitions: ArrayLike | None = None,
    freedom: float = np.inf,
    confidence: float = CONFIDENCE,
) -> NDArray[np.float64]:
    """Say which of several scores are told apart from the highest, though that is the luckiest of all as well.

    A score is told apart if it is lower by more than their errors explain in `len(scores) - 1` comparisons
    (Bonferroni). The truly best is told apart only if one of the others looks better than it by that much, which
    happens in at most `1 - confidence` of all searches, however the comparisons hang together. Accuracies on the same
    images err together, so their differences err less than is assumed here: there it is cautious.

    >>> told_apart([0.90, 0.95, 0.96], [0.01, 0.01, 0.01]).tolist()
    [1.0, 0.0, 0.0]

    Args:
        scores: (N,); the highest is the best.
        errors: (N,): their standard errors; NaN = not known.
        of_repetitions: (N,): the part of each error that was estimated from a few repetitions, one variance for all
            scores; None = all of it.
        freedom: degrees of freedom of that variance; inf = known as if from many.
    Returns: (N,): 1 = told apart, 0 = not (the highest itself among them), NaN = not known.
    Source: subset selection (Gupta, Technometrics 7 (1965), 225-245) and multiple comparisons with the best (Hsu,
        Annals of Statistics 12 (1984), 1136-1144); Cochran, Biometrics 20 (1964), 191-195.
    """
    values, spread = np.asarray(scores, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if not len(values):
        return np.zeros(0)
    top = int(np.argmax(values))
    estimated = spread if of_repetitions is None else np.asarray(of_repetitions, dtype=np.float64)
    # Student's factor is for the part that was estimated alone (Cochran). Degrees of freedom for the sum (Welch,
    # Satterthwaite) would be taken from a variance that is small by luck where it misleads: with one repetition the
    # best was told apart in 5 to 17 % of all searches.
    known_part = np.maximum(spread**2 - estimated**2, 0.0)
    of_known = critical(len(values), confidence=confidence) ** 2 * (known_part + known_part[top])
    of_estimated = critical(len(values), freedom, confidence) ** 2 * (estimated**2 + estimated[top] ** 2)
    needed = np.sqrt(of_known + of_estimated)
    apart = np.where(np.isfinite(needed), values[top] - values > needed, np.nan)
    apart[top] = 0.0 if np.isfinite(spread[top]) else np.nan
    return apart


def critical(
    scores: int, freedom: NDArray[np.float64] | float = np.inf, confidence: float = CONFIDENCE
) -> NDArray[np.float64]:
    """Give how many errors of their difference a score must be below the highest of so many to be told apart."""
    share = 1 - (1 - confidence) / max(1, scores - 1)
    degrees = np.asarray(freedom, dtype=np.float64)
    if np.isfinite(degrees).any():
        from scipy.special import stdtrit  # only here: reading a log of no repetition need not wait for it

        return np.asarray(stdtrit(degrees, share))
    return np.full(degrees.shape, NormalDist().inv_cdf(share))


def images_needed(gap: float, images: int, from_accuracy: float, from_others: float, needed: float) -> float:
    """Give how many images would tell two scores apart, were their gap as it looks.

    Args:
        gap: between the scores, >= 0.
        images: that their accuracies were measured on.
        from_accuracy, from_others: standard errors of the gap: from the accuracies, which more images make smaller, and
            from all else.
        needed: errors that the gap must exceed, see `critical`.
    Returns: the images; inf where no number is enough.
    """
    room = (gap / needed) ** 2 - from_others**2
    wanted = images * from_accuracy**2 / room if room > 0 else float("inf")
    return max(float(images), wanted) if isfinite(wanted) else wanted
