"""What a Gaussian process says of other architectures, given data: exactly; and at a glance, for very many of them."""

from __future__ import annotations

from copy import copy

import numpy as np
import scipy  # its parts are imported when used: workers import this file and use none
from numpy.typing import NDArray

from nas.algorithms.features import Codes, Features
from nas.algorithms.gaussian_process import (
    CONSTANT,
    JITTER,
    Hyperparameters,
    Inputs,
    column_weights,
    covariance,
    pair_scale,
    standardised,
    variance,
)

Floats = NDArray[np.float64]


class Posterior:
    """What the data say of other architectures.

    Args:
        codes, targets: (N, decisions), (N,). A `Sketch` looks at the first rows only: let them be the likest to what is
            going to be asked.
        doubt: (N,), see `fit`.
    """

    def __init__(
        self, features: Features, h: Hyperparameters, codes: Codes, targets: Floats, doubt: Floats | None = None
    ) -> None:
        self.features, self.h, self.codes = features, h, codes
        self.doubt = np.ones(len(codes)) if doubt is None else doubt
        self.inputs = Inputs(*features.columns(codes))
        self.factor = self._factorised(covariance(features, h, self.inputs, self.inputs), self.doubt)
        self._take(targets)

    def is_of(self, codes: Codes, doubt: Floats) -> bool:
        """Whether these are its data, whatever their targets."""
        return np.array_equal(self.codes, codes) and np.array_equal(self.doubt, doubt)

    def observing(self, codes: Codes, targets: Floats, doubt: Floats | None = None) -> Posterior:
        """Know of M more, in N**2 M steps, not N**3.

        Args:
            codes, doubt: (M, decisions), (M,), of the new ones.
            targets: (N + M,), of all.
        """
        other = self._grown(codes, np.ones(len(codes)) if doubt is None else doubt)
        other._take(targets)
        return other

    def assuming(self, codes: Codes) -> Posterior:
        """Count architectures (M, decisions) as observed at their predicted means: surer there, unmoved elsewhere."""
        if not len(codes):
            return self
        other = self._grown(codes, np.ones(len(codes)))
        other.alpha = np.concatenate([self.alpha, np.zeros(len(codes))])  # what is as predicted moves no mean
        return other

    def _factorised(self, matrix: Floats, doubt: Floats) -> Floats:
        matrix[np.diag_indices_from(matrix)] += float(np.exp(self.h.others[4])) * doubt + JITTER
        return np.asarray(scipy.linalg.cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)[0])

    def _grown(self, codes: Codes, doubt: Floats) -> Posterior:
        if not len(codes):
            return copy(self)
        other, n = copy(self), len(self.codes)
        other.codes, other.doubt = np.concatenate([self.codes, codes]), np.concatenate([self.doubt, doubt])
        new = Inputs(*self.features.columns(codes))
        other.inputs = self.inputs.joined(new)
        half = _whitened(self.factor, covariance(self.features, self.h, self.inputs, new))  # (N, M)
        corner = covariance(self.features, self.h, new, new) - half.T @ half
        other.factor = np.empty((len(other.codes), len(other.codes)), order="F")  # above the diagonal it is not read
        other.factor[:n, :n], other.factor[n:, :n] = self.factor, half.T
        other.factor[n:, n:] = self._factorised(corner, doubt)
        return other

    def _take(self, targets: Floats) -> None:
        self.targets = targets
        y, self.mean, self.spread = standardised(targets)
        self.alpha: Floats = scipy.linalg.cho_solve((self.factor, True), y, check_finite=False)

    def left_out(self, last: int | None = None) -> tuple[Floats, Floats]:
        """How far each target (N,) is from what all others say of it, and the standard deviation of that.

        Args:
            last: only of so many, the last; None = of all.
        """
        at = slice(None if last is None else len(self.codes) - last, None)
        inverse = scipy.linalg.lapack.dpotri(self.factor[at, at], lower=1)[0]
        variance = 1 / np.diag(inverse)
        return self.alpha[at] * variance * self.spread, np.sqrt(variance) * self.spread

    @property
    def noise(self) -> float:
        """Standard deviation of the observations around the function, in units of the targets."""
        return float(np.exp(self.h.others[4] / 2) * self.spread)

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the function (not of a noisy observation), each (N,)."""
        inputs = Inputs(*self.features.columns(codes))
        cross = covariance(self.features, self.h, self.inputs, inputs)
        mean = cross.T @ self.alpha
        return mean * self.spread + self.mean, _deviation(self, inputs, cross, self.factor)


class Sketch:
    """What a posterior says at a glance: its means, and deviations that are never below its own.

    A mean is the sum of alpha_i k(x_i, x) over the data. Of the kernel's parts all but the rest are products of
    features, so that their sums over i are taken once: vectors, and a matrix for the products of effects. The rest is
    summed in single precision, at about 1e-6 of the targets' spread. Less data leave more variance: the deviation is
    what the first rows alone would leave.

    Args:
        rows: how many are the first.
    """

    def __init__(self, posterior: Posterior, rows: int) -> None:
        self.posterior, self.noise = posterior, posterior.noise
        features, h, x, alpha = posterior.features, posterior.h, posterior.inputs, posterior.alpha
        self.first, self.factor = x.first(rows), posterior.factor[:rows, :rows]
        weights, d = column_weights(features, h), features.decision_columns
        effects = x.columns[:, d] * weights[d]
        self.constant = CONSTANT * float(alpha.sum())
        self.sums = weights * (alpha @ x.columns)
        self.products = pair_scale(h) / 2 * (effects.T @ (alpha[:, None] * effects))
        rate = float(np.exp(h.others[3])) / max(1, len(features.tables))
        self.differing = np.asarray(rate * (x.one_hot.T - 1), dtype=np.float32)  # (columns, N): of each decision a 1
        self.rest = np.asarray(np.exp(h.others[2]) * alpha, dtype=np.float32)

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean, and no less than the standard deviation, as of `Posterior.predict`."""
        p, x = self.posterior, Inputs(*self.posterior.features.columns(codes))
        effects = x.columns[:, p.features.decision_columns]
        mean = self.constant + x.columns @ self.sums + ((effects @ self.products) * effects).sum(axis=1)
        mean += np.exp(x.one_hot @ self.differing) @ self.rest
        cross = covariance(p.features, p.h, self.first, x)
        return mean * p.spread + p.mean, _deviation(p, x, cross, self.factor)


def _whitened(factor: Floats, cross: Floats) -> Floats:
    return np.asarray(scipy.linalg.solve_triangular(factor, cross, lower=True, check_finite=False))


def _deviation(posterior: Posterior, inputs: Inputs, cross: Floats, factor: Floats) -> Floats:
    """Standard deviation given the rows that `cross` (N, M) and `factor` (N, N) are of."""
    left = variance(posterior.features, posterior.h, inputs) - (_whitened(factor, cross) ** 2).sum(axis=0)
    return np.asarray(np.sqrt(np.maximum(left, 1e-12)) * posterior.spread)
