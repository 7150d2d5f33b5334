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
        codes, targets: (N, decisions), (N,). A `Sketch` takes the first rows for its deviations: let them be the
            likest to what is going to be asked.
        doubt: (N,), see `fit`.
    """

    def __init__(
        self, features: Features, h: Hyperparameters, codes: Codes, targets: Floats, doubt: Floats | None = None
    ) -> None:
        self.features, self.h, self.codes = features, h, codes
        self.doubt = np.ones(len(codes)) if doubt is None else doubt
        self.inputs = Inputs(*features.columns(codes))
        self.factor = _Factor(self._noisy(covariance(features, h, self.inputs, self.inputs), self.doubt))
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

    def assuming(self, codes: Codes, below: float = 0.0) -> Posterior:
        """Count architectures (M, decisions) as observed: at their predicted means, which moves no mean, or below.

        Args:
            below: standard deviations of what is predicted.
        """
        if not len(codes):
            return self
        other = self._grown(codes, np.ones(len(codes)))
        mean, std = self.predict(codes)
        other.targets = np.concatenate([self.targets, mean - below * std])
        other.alpha = other.factor.solved((other.targets - self.mean) / self.spread)
        return other

    def of_first(self, rows: int, last: int) -> Posterior:
        """Give what knows of the first rows and of the last alone: for deviations, its means are nobody's."""
        other, after = copy(self), len(self.codes) - last
        other.codes, other.doubt, other.inputs = self.codes[:rows], self.doubt[:rows], self.inputs.first(rows)
        other.factor = self.factor.first(rows)
        return other._grown(self.codes[after:], self.doubt[after:])

    def _noisy(self, matrix: Floats, doubt: Floats) -> Floats:
        matrix[np.diag_indices_from(matrix)] += float(np.exp(self.h.others[4])) * doubt + JITTER
        return matrix

    def _grown(self, codes: Codes, doubt: Floats) -> Posterior:
        if not len(codes):
            return copy(self)
        other, new = copy(self), Inputs(*self.features.columns(codes))
        other.codes, other.doubt = np.concatenate([self.codes, codes]), np.concatenate([self.doubt, doubt])
        other.inputs = self.inputs.joined(new)
        cross = covariance(self.features, self.h, self.inputs, new)
        other.factor = self.factor.grown(cross, self._noisy(covariance(self.features, self.h, new, new), doubt))
        return other

    def _take(self, targets: Floats) -> None:
        self.targets = targets
        y, self.mean, self.spread = standardised(targets)
        self.alpha = self.factor.solved(y)

    def left_out(self) -> tuple[Floats, Floats]:
        """How far each target is from what all others say of it, and the standard deviation of that.

        Of the data that were added last, where some were, else of all: each (M,).
        """
        variance = 1 / self.factor.last_of_inverse()
        alpha = self.alpha[-len(variance) :]
        return alpha * variance * self.spread, np.sqrt(variance) * self.spread

    @property
    def noise(self) -> float:
        """Standard deviation of the observations around the function, in units of the targets."""
        return float(np.exp(self.h.others[4] / 2) * self.spread)

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the function (not of a noisy observation), each (N,)."""
        inputs = Inputs(*self.features.columns(codes))
        cross = covariance(self.features, self.h, self.inputs, inputs)
        mean = cross.T @ self.alpha
        return mean * self.spread + self.mean, self._left(inputs, cross)

    def deviation(self, inputs: Inputs) -> Floats:
        """Standard deviation of the function, (N,)."""
        return self._left(inputs, covariance(self.features, self.h, self.inputs, inputs))

    def single(self) -> Posterior:
        """Give the same in single precision: for deviations."""
        other = copy(self)
        other.inputs, other.factor = self.inputs.single(), self.factor.single()
        return other

    def _left(self, inputs: Inputs, cross: Floats) -> Floats:
        left = variance(self.features, self.h, inputs) - (self.factor.whitened(cross) ** 2).sum(axis=0)
        return np.asarray(np.sqrt(np.maximum(left, 1e-12)) * self.spread)


class Sketch:
    """What a posterior says at a glance: its means, and deviations that are hardly below its own.

    A mean is the sum of alpha_i k(x_i, x) over the data. Of the kernel's parts all but the rest are products of
    features, so that their sums over i are taken once: vectors, and a matrix for the products of effects. The rest is
    summed in single precision, at about 1e-6 of the targets' spread. Less data leave more variance: the deviation is
    what the first rows and the last would leave.

    Args:
        rows: how many are the first.
        last: how many are the last: those of late, and what is in flight.
    """

    def __init__(self, posterior: Posterior, rows: int, last: int) -> None:
        self.posterior, self.noise = posterior, posterior.noise
        features, h, x, alpha = posterior.features, posterior.h, posterior.inputs, posterior.alpha
        self.part = posterior.of_first(rows, last).single()
        weights, d = column_weights(features, h), features.decision_columns
        effects = x.columns[:, d] * weights[d]
        self.constant = CONSTANT * float(alpha.sum())
        self.sums = weights * (alpha @ x.columns)
        self.products = pair_scale(h) / 2 * (effects.T @ (alpha[:, None] * effects))
        rate = float(np.exp(h.others[3])) / max(1, len(features.tables))
        self.differing = np.asarray(rate * (x.one_hot.T - 1), dtype=np.float32)  # (columns, N): of each decision a 1
        self.rest = np.asarray(np.exp(h.others[2]) * alpha, dtype=np.float32)

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean, and about the standard deviation, as of `Posterior.predict`."""
        p, x = self.posterior, Inputs(*self.posterior.features.columns(codes))
        effects = x.columns[:, p.features.decision_columns]
        mean = self.constant + x.columns @ self.sums + ((effects @ self.products) * effects).sum(axis=1)
        mean += np.exp(x.one_hot @ self.differing) @ self.rest
        return mean * p.spread + p.mean, self.part.deviation(x.single())


class _Factor:
    """The Cholesky factor of a matrix that grows: that of its first part is kept, and what the rest adds beside it.

    Args:
        matrix: (N, N), overwritten; of a later part, what the earlier one leaves of it.
        base: the factor of the first part; None = this is the first.
        half: (M, N) of the factor: the later part's rows in the earlier one's columns, turned.
    """

    def __init__(self, matrix: Floats, base: _Factor | None = None, half: Floats | None = None) -> None:
        self.own = np.asarray(scipy.linalg.cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)[0])
        self.base, self.half = base, half

    def grown(self, cross: Floats, corner: Floats) -> _Factor:
        """Of the matrix with M more rows: `cross` (N, M) and `corner` (M, M) are what is new in it."""
        half = self.whitened(cross)
        return _Factor(corner - half.T @ half, self, half)

    def first(self, rows: int) -> _Factor:
        """Of the first rows, which are no more than the first part has."""
        if self.base is not None:
            return self.base.first(rows)
        other = copy(self)
        other.own = self.own[:rows, :rows]
        return other

    def single(self) -> _Factor:
        """Give the same in single precision."""
        other = copy(self)
        other.own = self.own.astype(np.float32, order="F")
        if self.base is not None and self.half is not None:
            other.base, other.half = self.base.single(), self.half.astype(np.float32)
        return other

    def whitened(self, values: Floats) -> Floats:
        """The inverse of the factor times values (N, ...)."""
        if self.base is None or self.half is None:
            return _solved(self.own, values)
        n = len(self.half)
        head = self.base.whitened(values[:n])
        return np.concatenate([head, _solved(self.own, values[n:] - self.half.T @ head)])

    def solved(self, values: Floats) -> Floats:
        """The inverse of the matrix times values (N,)."""
        if self.base is None:
            return np.asarray(scipy.linalg.cho_solve((self.own, True), values, check_finite=False))
        return self._turned(self.whitened(values))

    def _turned(self, values: Floats) -> Floats:
        """The inverse of the turned factor times values (N,)."""
        if self.base is None or self.half is None:
            return _solved(self.own, values, turned=True)
        n = len(self.half)
        tail = _solved(self.own, values[n:], turned=True)
        return np.concatenate([self.base._turned(values[:n] - self.half @ tail), tail])

    def last_of_inverse(self) -> Floats:
        """The diagonal of the inverse of the matrix, as far as the last part goes."""
        return np.asarray(np.diag(scipy.linalg.lapack.dpotri(self.own, lower=1)[0]))


def _solved(factor: Floats, values: Floats, *, turned: bool = False) -> Floats:
    found = scipy.linalg.solve_triangular(factor, values, lower=True, trans=int(turned), check_finite=False)
    return np.asarray(found)
