"""Step time of any architecture from measurements that err: each by as much as its interval says, and some by far."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.algorithms import gaussian_process as gp
from nas.algorithms.features import Codes, Features

Floats = NDArray[np.float64]


class Timings(NamedTuple):
    """Measured step times."""

    codes: Codes  # (M, decisions)
    times: Floats  # (M,)
    doubt: Floats | None  # (M,): variance of the logarithm's error over the usual one; None: no errors are known


def doubts(widths: Floats) -> Floats | None:
    """How much larger than usual the error of each measurement is, as a variance, from the widths of intervals.

    A width comes from a handful of blocks and is itself uncertain, so its square is drawn half way to the median of
    all: none counts as more than twice as sure as usual. How large the usual error is the process finds out from the
    data, so that intervals that are too wide or too narrow all alike do no harm.

    Args:
        widths: (M,), of the logarithms; NaN where not known.
    Returns: (M,); None where no width is known.
    Source: moderated variances (Smyth, Stat. Appl. Genet. Mol. Biol. 3 (2004), article 3).
    """
    known = np.isfinite(widths)
    squares = widths[known] ** 2
    middle = float(np.median(squares)) if len(squares) else 0.0
    if middle <= 0:
        return None
    found = np.ones(len(widths))
    found[known] = (1 + squares / middle) / 2
    return found


class StepFit(NamedTuple):
    """Hyperparameters of the process."""

    hyper: gp.Hyperparameters
    logarithmic: bool  # whether the process is of log S


def fit_steps(features: tuple[Features, Features], timings: Timings) -> StepFit:
    """Fit a process of S, which adds up over stages, or of log S, whichever the data make likelier.

    Args:
        features: for logarithms, and for step time itself.
    """
    plain, logs = (_fit(features, timings, logarithmic) for logarithmic in (False, True))
    jacobian = float(np.log(timings.times).sum())
    return StepFit(logs[0], True) if logs[1] - jacobian > plain[1] else StepFit(plain[0], False)


def _fit(features: tuple[Features, Features], timings: Timings, logarithmic: bool) -> tuple[gp.Hyperparameters, float]:
    """Give hyperparameters, and the logarithm of the evidence."""
    kind, told, doubt = _told(features, timings, logarithmic)
    hyper = gp.fit(kind, timings.codes, told, doubt=doubt)
    if doubt is not None:
        freed = _freed(gp.Posterior(kind, hyper, timings.codes, told, doubt))
        if freed is not None:  # outliers made all the noise too large
            hyper, doubt = gp.fit(kind, timings.codes, told, doubt=freed), freed
    return hyper, gp.log_evidence(kind, hyper, timings.codes, told, doubt)


def _told(
    features: tuple[Features, Features], timings: Timings, logarithmic: bool
) -> tuple[Features, Floats, Floats | None]:
    """Features, targets and their doubt; an error is a share of S, so that of S itself grows with it."""
    if logarithmic:
        return features[0], np.log(timings.times), timings.doubt
    share = (timings.times / np.median(timings.times)) ** 2
    return features[1], timings.times, None if timings.doubt is None else timings.doubt * share


def _freed(process: gp.Posterior) -> Floats | None:
    """The doubt by which nothing is led by targets that lie far from what all others say; None if none does."""
    off, std = process.left_out()
    far = np.abs(off) > _FAR * std
    if not far.any():
        return None
    return np.asarray(np.where(far, process.doubt + (off / process.noise) ** 2, process.doubt))


class StepProcess:
    """What measured step times say of other architectures.

    Args:
        features: as `fit_steps` takes them.
        fitted: from these timings or the first of them; None = not fitted yet.
    """

    def __init__(self, features: tuple[Features, Features], fitted: StepFit | None, timings: Timings) -> None:
        self.logarithmic = fitted is not None and fitted.logarithmic
        kind, told, doubt = _told(features, timings, self.logarithmic)
        hyper = gp.default_hyperparameters(kind) if fitted is None else fitted.hyper
        self.process = gp.Posterior(kind, hyper, timings.codes, told, doubt)
        if doubt is not None and (freed := _freed(self.process)) is not None:
            self.process = gp.Posterior(kind, hyper, timings.codes, told, freed)
        self.least = 0.5 * float(timings.times.min())

    def predict(self, codes: Codes) -> tuple[Floats, Floats, Floats]:
        """Mean and standard deviation of log S, and the standard deviation of a measurement around it, each (N,)."""
        mean, std = self.process.predict(codes)
        if self.logarithmic:
            return mean, std, np.full(len(mean), self.process.noise)
        mean = np.maximum(mean, self.least)
        return np.log(mean), std / mean, self.process.noise / mean


_FAR = 3.0  # standard deviations
