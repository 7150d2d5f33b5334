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
JITTER = 1e-6
CONSTANT = 1.0  # variance of the unknown mean


@dataclass(frozen=True)
class Inputs:
    """Features of some encodings, made once, a row for each: see `Features.columns`."""

    columns: Floats | NDArray[np.float32]
    one_hot: NDArray[np.float32]

    def first(self, n: int) -> Inputs:
        """Give the first n rows."""
        return Inputs(self.columns[:n], self.one_hot[:n])

    def single(self) -> Inputs:
        """Give the same in single precision."""
        return Inputs(self.columns.astype(np.float32), self.one_hot)

    def joined(self, other: Inputs) -> Inputs:
        """Give the rows of both."""
        return Inputs(np.concatenate([self.columns, other.columns]), np.concatenate([self.one_hot, other.one_hot]))


def default_hyperparameters(features: Features) -> Hyperparameters:
    """What is believed before any data: the centres of the priors."""
    return Hyperparameters(np.log([block.expected for block in features.blocks]), _EXPECTED.copy())


def covariance(features: Features, h: Hyperparameters, a: Inputs, b: Inputs) -> Floats:
    """The kernel between two sets of inputs, (N, M), as precise as these; the second should be the smaller."""
    effects = features.decision_columns
    weighted = b.columns * column_weights(features, h).astype(b.columns.dtype)
    main = a.columns[:, effects] @ weighted[:, effects].T
    total = a.columns @ weighted.T
    total += CONSTANT
    main *= main
    main *= pair_scale(h) / 2
    total += main
    rate = float(np.exp(h.others[3]))
    rest = (a.one_hot @ b.one_hot.T).astype(total.dtype, copy=False)  # decisions that are alike
    rest *= rate / max(1, len(features.tables))
    rest += float(h.others[2]) - rate
    total += np.exp(rest, out=rest)
    return np.asarray(total)


def variance(features: Features, h: Hyperparameters, inputs: Inputs) -> Floats:
    """The diagonal of the kernel between the inputs and themselves, (N,)."""
    squares, weights, effects = inputs.columns**2, column_weights(features, h), features.decision_columns
    main = squares[:, effects] @ weights[effects]
    return np.asarray(CONSTANT + squares @ weights + pair_scale(h) / 2 * main**2 + np.exp(h.others[2]))


def column_weights(features: Features, h: Hyperparameters) -> Floats:
    """What each of `Features.columns` counts for; `covariance` has half of `pair_scale` times main**2 beside them.

    Of a pair of decisions the squared kernels are taken away again: main**2 holds each decision with itself.
    """
    weights, squares = _weights(features, h)
    inside = np.full(len(features.left), np.exp(h.others[1]) / max(1, features.stage_pairs))
    return np.concatenate([weights, -pair_scale(h) / 2 * squares, inside])


def pair_scale(h: Hyperparameters) -> float:
    """What pairs count for: main effects hold a variance of about a half, so their pairs about an eighth at scale 1."""
    return float(4 * np.exp(h.others[0]))


def _weights(features: Features, h: Hyperparameters) -> tuple[Floats, Floats]:
    widths = [block.columns.stop - block.columns.start for block in features.blocks]
    squares = [table.shape[1] for table in features.squares]
    own = np.exp(h.blocks)
    return np.repeat(own, widths), np.repeat(own[: len(squares)] ** 2, squares)


class _Kernel:
    """The parts of the kernel among some inputs; what does not depend on hyperparameters is computed once."""

    def __init__(self, features: Features, inputs: Inputs) -> None:
        self.features = features
        self.linear = inputs.columns[:, features.linear]
        self.squared = inputs.columns[:, features.squared]
        alike = (inputs.one_hot @ inputs.one_hot.T).astype(np.float64)
        self.differing = 1 - alike / max(1, len(features.tables))  # share of the decisions
        inside = inputs.columns[:, features.inside]
        self.inside = inside @ inside.T / max(1, features.stage_pairs)

    def parts(self, h: Hyperparameters) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Linear part, main effects, pairs, inside, rest: each of shape (N, N), weighted but for `main` and `pairs`."""
        weights, squares = _weights(self.features, h)
        decisions = self.features.decision_columns
        main = (self.linear[:, decisions] * weights[decisions]) @ self.linear[:, decisions].T
        rest = slice(decisions.stop, None)
        linear = main + (self.linear[:, rest] * weights[rest]) @ self.linear[:, rest].T
        pairs = (main**2 - (self.squared * squares) @ self.squared.T) / 2
        residual = np.exp(h.others[2] - np.exp(h.others[3]) * self.differing)
        return linear, main, pairs, np.exp(h.others[1]) * self.inside, residual


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
    kernel = _Kernel(features, Inputs(*features.columns(codes)))
    y = standardised(targets)[0]
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


def standardised(targets: Floats) -> tuple[Floats, float, float]:
    """Targets of mean 0 and standard deviation 1, and what these were."""
    mean, spread = float(targets.mean()), float(targets.std())
    spread = spread if spread > 1e-12 else 1.0
    return (targets - mean) / spread, mean, spread


def _evidence(kernel: _Kernel, h: Hyperparameters, y: Floats, doubt: Floats | None = None) -> tuple[float, Floats]:
    """Log marginal likelihood and its gradient with respect to the logarithms."""
    features = kernel.features
    linear, main, pairs, inside, residual = kernel.parts(h)
    scale, noise = pair_scale(h), float(np.exp(h.others[4]))
    covariance = CONSTANT + linear + scale * pairs + inside + residual
    doubt = np.ones(len(y)) if doubt is None else doubt
    covariance[np.diag_indices_from(covariance)] += noise * doubt + JITTER
    factor = scipy.linalg.cho_factor(covariance, lower=True, overwrite_a=True, check_finite=False)
    alpha = scipy.linalg.cho_solve(factor, y, check_finite=False)
    value = -0.5 * float(y @ alpha) - float(np.log(np.diag(factor[0])).sum())
    q = np.outer(alpha, alpha) - scipy.linalg.cho_solve(factor, np.eye(len(y)), check_finite=False)
    weights, squares = _weights(features, h)
    phi, d = kernel.linear, features.decision_columns
    by_column = (phi * (q @ phi)).sum(axis=0)
    by_column[d] += scale * (phi[:, d] * ((q * main) @ phi[:, d])).sum(axis=0)
    by_column = by_column * weights
    by_square = (kernel.squared * (q @ kernel.squared)).sum(axis=0) * squares * scale
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
    kernel = _Kernel(features, Inputs(*features.columns(codes)))
    y, _, spread = standardised(targets)
    return _evidence(kernel, h, y, doubt)[0] - len(y) * float(np.log(spread))
