"""Step time of any architecture from measurements that err: each by as much as its interval says, and some by far."""

from __future__ import annotations

from copy import copy
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.algorithms import gaussian_process as gp
from nas.algorithms.features import Codes, Features
from nas.algorithms.posterior import Posterior, Sketch

Floats = NDArray[np.float64]


class Timings(NamedTuple):
    """Measured step times."""

    codes: Codes  # (M, decisions)
    times: Floats  # (M,)
    doubt: Floats | None  # (M,): variance of the logarithm's error over the usual one; None: no errors are known
    rank: Floats | None = None  # (M,): rewards, of which the higher matter more; None: all alike
    settled: int | None = None  # how many of them, the first, are what the others are held against; None: all

    def at(self, rows: NDArray[np.int64] | slice, settled: int) -> Timings:
        """Give some of them, of which so many are settled."""
        doubt, rank = (None if each is None else each[rows] for each in (self.doubt, self.rank))
        return Timings(self.codes[rows], self.times[rows], doubt, rank, settled)


def doubts(widths: Floats, settled: int | None = None) -> Floats | None:
    """How much larger than usual the error of each measurement is, as a variance, from the widths of intervals.

    A width comes from a handful of blocks and is itself uncertain, so its square is drawn half way to the median of
    all: none counts as more than twice as sure as usual. How large the usual error is the process finds out from the
    data, so that intervals that are too wide or too narrow all alike do no harm.

    Args:
        widths: (M,), of the logarithms; NaN where not known.
        settled: of how many, the first, the usual error is that of the median; None = of all.
    Returns: (M,); None where no width is known.
    Source: moderated variances (Smyth, Stat. Appl. Genet. Mol. Biol. 3 (2004), article 3).
    """
    known = np.isfinite(widths)
    squares = widths[known] ** 2
    usual = widths[:settled][known[:settled]] ** 2
    middle = float(np.median(usual)) if len(usual) else 0.0
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
        freed = _freed(Posterior(kind, hyper, timings.codes, told, doubt))
        if freed is not None:  # outliers made all the noise too large
            hyper, doubt = gp.fit(kind, timings.codes, told, doubt=freed), freed
    return hyper, gp.log_evidence(kind, hyper, timings.codes, told, doubt)


def _told(
    features: tuple[Features, Features], timings: Timings, logarithmic: bool
) -> tuple[Features, Floats, Floats | None]:
    """Features, targets and their doubt; an error is a share of S, so that of S itself grows with it."""
    if logarithmic:
        return features[0], np.log(timings.times), timings.doubt
    share = (timings.times / np.median(timings.times[: timings.settled])) ** 2
    return features[1], timings.times, None if timings.doubt is None else timings.doubt * share


def _freed(process: Posterior) -> Floats | None:
    """The doubt by which nothing is led by targets that lie far from what all others say; None if none does.

    Of the targets that were added last, where some were.
    """
    off, std = process.left_out()
    far = np.abs(off) > _FAR * std
    if not far.any():
        return None
    doubt = process.doubt[-len(off) :]
    return np.asarray(np.where(far, doubt + (off / process.noise) ** 2, doubt))


class StepProcess:
    """What measured step times say of other architectures.

    Args:
        features: as `fit_steps` takes them.
        fitted: from these timings or the first of them; None = not fitted yet.
        before: one that was made earlier: if its settled timings are the same, they need not be taken in again.
    """

    def __init__(
        self,
        features: tuple[Features, Features],
        fitted: StepFit | None,
        timings: Timings,
        before: StepProcess | None = None,
    ) -> None:
        self.logarithmic = fitted is not None and fitted.logarithmic
        kind, told, doubt = _told(features, timings, self.logarithmic)
        hyper = gp.default_hyperparameters(kind) if fitted is None else fitted.hyper
        n = len(told) if timings.settled is None else timings.settled
        self.given = fitted, timings.codes[:n], told[:n], None if doubt is None else doubt[:n]
        known = before is not None and self._settled_as(before)
        self.settled: Posterior = before.settled if before is not None and known else self._settle(kind, hyper)
        later = timings.codes[n:]
        process = self.settled.observing(later, told, None if doubt is None else doubt[n:])
        if doubt is not None and len(later) and (freed := _freed(process)) is not None:
            process = self.settled.observing(later, told, freed)
        self.process: Posterior | Sketch = process
        self.least = 0.5 * float(timings.times.min())

    def _settled_as(self, before: StepProcess) -> bool:
        return self.given[0] is before.given[0] and all(map(_same, self.given[1:], before.given[1:]))

    def _settle(self, kind: Features, hyper: gp.Hyperparameters) -> Posterior:
        _, codes, told, doubt = self.given
        process = Posterior(kind, hyper, codes, told, doubt)
        freed = None if doubt is None else _freed(process)
        return process if freed is None else Posterior(kind, hyper, codes, told, freed)

    def sketched(self, rows: int) -> StepProcess:
        """Give what predicts at a glance: see `Sketch`."""
        assert isinstance(self.process, Posterior)
        other = copy(self)
        other.process = Sketch(self.process, rows, len(self.process.codes) - len(self.settled.codes))
        return other

    def predict(self, codes: Codes) -> tuple[Floats, Floats, Floats]:
        """Mean and standard deviation of log S, and the standard deviation of a measurement around it, each (N,)."""
        mean, std = self.process.predict(codes)
        if self.logarithmic:
            return mean, std, np.full(len(mean), self.process.noise)
        mean = np.maximum(mean, self.least)
        return np.log(mean), std / mean, self.process.noise / mean


def _same(a: NDArray[Any] | None, b: NDArray[Any] | None) -> bool:
    return a is b if a is None or b is None else np.array_equal(a, b)


_FAR = 3.0  # standard deviations
