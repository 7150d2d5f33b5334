"""A Gaussian process over stage-factorised architectures: additive effects, interactions, a rest, and noise.

The kernel is a sum of variance components,

    linear: decisions' own effects (a variance each), trends shared by all stages, closed-form costs
    pairs:  products of two decisions' effects, large where both effects are (heredity); and pairs inside a stage
    rest:   exp(-rate * share of decisions that differ), for whatever has no low order

and all variances, the rate and the noise maximise the marginal likelihood under weak log-normal priors. Every component
is a matrix product of features, so that fit and prediction are a few BLAS calls. Source: Duvenaud et al. 2011
(arXiv:1112.4394) for additive kernels; Rasmussen and Williams 2006, chapter 5, for the likelihood's gradient.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
import scipy  # its parts are imported when used: workers import this file and use none
from numpy.typing import NDArray

from nas.algorithms.features import Codes, Features

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Hyperparameters:
    """Natural logarithms, in units of the targets' variance."""

    blocks: Floats  # variance of each block of linear features
    others: Floats  # pairs, pairs inside a stage, rest, the rest's rate, noise

    def vector(self) -> Floats:
        """All in one array."""
        return np.concatenate([self.blocks, self.others])


_EXPECTED = np.log([0.3, 0.05, 0.05, 3.0, 0.15])
_LOOSENESS = np.array([1.5, 1.5, 1.5, 0.7, 1.5])  # standard deviations of the priors on the logarithms
_BLOCK_LOOSENESS = 1.2
_JITTER = 1e-6
_CONSTANT = 1.0  # variance of the unknown mean


class _Inputs:
    """Feature matrices of some encodings, made once."""

    def __init__(self, features: Features, codes: Codes) -> None:
        self.linear = features.linear(codes)
        self.squared = features.squared(codes)
        self.one_hot = features.one_hot(codes)


def default_hyperparameters(features: Features) -> Hyperparameters:
    """What is believed before any data: the centres of the priors."""
    return Hyperparameters(np.log([block.expected for block in features.blocks]), _EXPECTED.copy())


class _Kernel:
    """The kernel between two sets of inputs; what does not depend on hyperparameters is computed once."""

    def __init__(self, features: Features, a: _Inputs, b: _Inputs) -> None:
        self.features, self.a, self.b = features, a, b
        self.differing = 1 - a.one_hot @ b.one_hot.T / max(1, len(features.tables))
        self.inside = self._inside()

    def _inside(self) -> Floats:
        """Sum over stages of the products of two different decisions' kernels, over the mean number of pairs."""
        total = -self.a.squared @ self.b.squared.T
        for stage in np.unique(self.features.stage_of):
            at = np.flatnonzero(self.features.column_stages == stage)
            total += (self.a.linear[:, at] @ self.b.linear[:, at].T) ** 2
        return np.asarray(total / (2 * max(1, self.features.stage_pairs)))

    def parts(self, h: Hyperparameters) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Linear part, main effects, pairs, inside, rest: each of shape (N, M), weighted but for `main` and `pairs`."""
        weights, squares = _column_weights(self.features, h)
        decisions = self.features.decision_columns
        main = (self.a.linear[:, decisions] * weights[decisions]) @ self.b.linear[:, decisions].T
        rest = slice(decisions.stop, None)
        linear = main + (self.a.linear[:, rest] * weights[rest]) @ self.b.linear[:, rest].T
        pairs = (main**2 - (self.a.squared * squares) @ self.b.squared.T) / 2
        residual = np.exp(h.others[2] - np.exp(h.others[3]) * self.differing)
        return linear, main, pairs, np.exp(h.others[1]) * self.inside, residual

    def value(self, h: Hyperparameters) -> Floats:
        """The kernel, (N, M)."""
        linear, _, pairs, inside, residual = self.parts(h)
        return _CONSTANT + linear + _pair_scale(h) * pairs + inside + residual


def _pair_scale(h: Hyperparameters) -> float:
    # Main effects hold a variance of about a half, so their pairs hold about an eighth at scale 1.
    return float(4 * np.exp(h.others[0]))


def _column_weights(features: Features, h: Hyperparameters) -> tuple[Floats, Floats]:
    widths = [block.columns.stop - block.columns.start for block in features.blocks]
    squares = [table.shape[1] for table in features.squares]
    own = np.exp(h.blocks)
    return np.repeat(own, widths), np.repeat(own[: len(squares)] ** 2, squares)


def _diagonal(features: Features, inputs: _Inputs, h: Hyperparameters) -> Floats:
    weights, squares = _column_weights(features, h)
    d = features.decision_columns
    linear = (inputs.linear**2) @ weights
    main = (inputs.linear[:, d] ** 2) @ weights[d]
    pairs = (main**2 - (inputs.squared**2) @ squares) / 2
    inside = -(inputs.squared**2).sum(axis=1)
    for stage in np.unique(features.stage_of):
        inside += (inputs.linear[:, d][:, features.column_stages == stage] ** 2).sum(axis=1) ** 2
    inside = inside / (2 * max(1, features.stage_pairs))
    return np.asarray(_CONSTANT + linear + _pair_scale(h) * pairs + np.exp(h.others[1]) * inside + np.exp(h.others[2]))


def fit(
    features: Features, codes: Codes, targets: Floats, *, doubt: Floats | None = None, iterations: int = 40
) -> Hyperparameters:
    """Maximise the marginal likelihood times the priors.

    Args:
        codes: (N, decisions).
        targets: (N,), of any location and scale.
        doubt: (N,): the noise variance of each over the one that is fitted; None = all alike.
        iterations: of L-BFGS, always from the same start, so that equal data give equal results.
    """
    start = default_hyperparameters(features)
    inputs = _Inputs(features, codes)
    kernel = _Kernel(features, inputs, inputs)
    y = _standardised(targets)[0]
    centre = start.vector()
    loose = np.concatenate([np.full(len(start.blocks), _BLOCK_LOOSENESS), _LOOSENESS])
    n = len(start.blocks)

    def loss(vector: Floats) -> tuple[float, Floats]:
        value, gradient = _evidence(kernel, Hyperparameters(vector[:n], vector[n:]), y, doubt)
        off = (vector - centre) / loose
        return -value + 0.5 * float(off @ off), -gradient + off / loose

    bounds = [(c - 4 * s, c + 4 * s) for c, s in zip(centre, loose, strict=True)]
    found = scipy.optimize.minimize(
        loss, centre, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": iterations}
    )
    return Hyperparameters(found.x[:n], found.x[n:])


def _standardised(targets: Floats) -> tuple[Floats, float, float]:
    mean, spread = float(targets.mean()), float(targets.std())
    spread = spread if spread > 1e-12 else 1.0
    return (targets - mean) / spread, mean, spread


def _evidence(kernel: _Kernel, h: Hyperparameters, y: Floats, doubt: Floats | None = None) -> tuple[float, Floats]:
    """Log marginal likelihood and its gradient with respect to the logarithms."""
    features = kernel.features
    linear, main, pairs, inside, residual = kernel.parts(h)
    scale, noise = _pair_scale(h), float(np.exp(h.others[4]))
    covariance = _CONSTANT + linear + scale * pairs + inside + residual
    doubt = np.ones(len(y)) if doubt is None else doubt
    covariance[np.diag_indices_from(covariance)] += noise * doubt + _JITTER
    factor = scipy.linalg.cho_factor(covariance, lower=True, overwrite_a=True, check_finite=False)
    alpha = scipy.linalg.cho_solve(factor, y, check_finite=False)
    value = -0.5 * float(y @ alpha) - float(np.log(np.diag(factor[0])).sum())
    q = np.outer(alpha, alpha) - scipy.linalg.cho_solve(factor, np.eye(len(y)), check_finite=False)
    weights, squares = _column_weights(features, h)
    phi, d = kernel.a.linear, features.decision_columns
    by_column = (phi * (q @ phi)).sum(axis=0)
    by_column[d] += scale * (phi[:, d] * ((q * main) @ phi[:, d])).sum(axis=0)
    by_column = by_column * weights
    by_square = (kernel.a.squared * (q @ kernel.a.squared)).sum(axis=0) * squares * scale
    blocks = np.array([by_column[block.columns].sum() for block in features.blocks])
    starts = np.concatenate([[0], np.cumsum([table.shape[1] for table in features.squares])])
    blocks[: len(features.squares)] -= np.add.reduceat(by_square, starts[:-1]) if len(by_square) else 0
    rate = -np.exp(h.others[3]) * float((q * residual * kernel.differing).sum())
    others = [scale * float((q * pairs).sum()), float((q * inside).sum()), float((q * residual).sum()), rate]
    return value, 0.5 * np.concatenate([blocks, others, [noise * float(np.diag(q) @ doubt)]])


def log_evidence(
    features: Features, h: Hyperparameters, codes: Codes, targets: Floats, doubt: Floats | None = None
) -> float:
    """Log density of the targets (N,) themselves, not of the standardised ones; without the constant in 2 pi."""
    inputs = _Inputs(features, codes)
    y, _, spread = _standardised(targets)
    return _evidence(_Kernel(features, inputs, inputs), h, y, doubt)[0] - len(y) * float(np.log(spread))


class Posterior:
    """What the data say of other architectures.

    Args:
        codes, targets: (N, decisions), (N,).
        doubt: (N,), see `fit`.
    """

    def __init__(
        self, features: Features, h: Hyperparameters, codes: Codes, targets: Floats, doubt: Floats | None = None
    ) -> None:
        self.features, self.h, self.codes, self.targets = features, h, codes, targets
        self.doubt = np.ones(len(codes)) if doubt is None else doubt
        self.y, self.mean, self.spread = _standardised(targets)
        self._condition(codes)

    def assuming(self, codes: Codes) -> Posterior:
        """Count architectures (M, decisions) as observed at their predicted means: surer there, unmoved elsewhere."""
        if not len(codes):
            return self
        believed, _ = self.predict(codes)
        other = copy(self)
        other.y = np.concatenate([self.y, (believed - self.mean) / self.spread])
        other.doubt = np.concatenate([self.doubt, np.ones(len(codes))])
        other._condition(np.concatenate([self.codes, codes]))
        return other

    def _condition(self, codes: Codes) -> None:
        self.inputs = _Inputs(self.features, codes)
        covariance = _Kernel(self.features, self.inputs, self.inputs).value(self.h)
        covariance[np.diag_indices_from(covariance)] += float(np.exp(self.h.others[4])) * self.doubt + _JITTER
        self.factor = scipy.linalg.cho_factor(covariance, lower=True, overwrite_a=True, check_finite=False)
        self.alpha = scipy.linalg.cho_solve(self.factor, self.y, check_finite=False)

    def left_out(self) -> tuple[Floats, Floats]:
        """How far each target (N,) is from what all others say of it, and the standard deviation of that."""
        inverse = scipy.linalg.lapack.dpotri(self.factor[0], lower=1)[0]
        variance = 1 / np.diag(inverse)
        return self.alpha * variance * self.spread, np.sqrt(variance) * self.spread

    @property
    def noise(self) -> float:
        """Standard deviation of the observations around the function, in units of the targets."""
        return float(np.exp(self.h.others[4] / 2) * self.spread)

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the function (not of a noisy observation), each (N,)."""
        inputs = _Inputs(self.features, codes)
        cross = _Kernel(self.features, self.inputs, inputs).value(self.h)
        mean = cross.T @ self.alpha
        half = scipy.linalg.solve_triangular(self.factor[0], cross, lower=True, check_finite=False)
        variance = _diagonal(self.features, inputs, self.h) - (half**2).sum(axis=0)
        return mean * self.spread + self.mean, np.sqrt(np.maximum(variance, 1e-12)) * self.spread
