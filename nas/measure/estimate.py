"""What a network would cost that nobody measured: a fit over measured ones. No torch.

A training step is a sum over layers, so the fit is one, too: closed-form costs times weights that are not negative. It
cannot fall where a network grows, and beyond what was measured it goes on in proportion.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from search_space.architecture import Architecture
from search_space.cost import count, stage_cost, stage_inputs
from search_space.ops import OPS

Floats = NDArray[np.float64]

FEWEST = 8  # measured architectures
_FOLDS = 50  # up to as many architectures, each is held out alone
_TOTALS = ("macs", "activations", "params")
_BY_OP = "MACs, activations and layers by op, params"


def terms(ops: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Give what the fits to choose from add up, from plain to rich; every one has a constant, too.

    Args:
        ops: names of the ops that the last of them tells apart.
    """
    return {
        "MACs": ("macs",),
        "MACs and activations": ("macs", "activations"),
        "MACs, activations and params": _TOTALS,
        "MACs, activations, params and layers": (*_TOTALS, "layers"),
        _BY_OP: (*(f"{name}_{op}" for op in ops for name in ("macs", "activations", "layers")), "params"),
    }


@dataclass(frozen=True)
class Fit:
    """A fitted sum, and how far it was off where it could be checked. Errors are relative: 0.1 = 10 %."""

    terms: str  # a key of `terms`
    weights: tuple[float, ...]  # of the constant and of each term
    measured: int  # architectures
    error: float  # root mean square, each architecture (or fold of them) predicted by a fit of the others
    error_beyond: float  # the third with the most MACs, predicted by a fit of the smaller ones
    largest: tuple[float, ...]  # of each term, among what was measured
    num_classes: int
    in_channels: int
    ops: tuple[str, ...]  # that were measured

    def predict(self, architecture: Architecture, image_size: int) -> float:
        """Predict, in the unit of what was measured, at `image_size` pixels, height and width."""
        return float(np.dot(self.weights, [1.0, *self._terms(architecture, image_size)]))

    def beyond(self, architecture: Architecture, image_size: int) -> float:
        """How many times the largest measured one's the architecture's terms are, the greatest of them; 1 = within."""
        if self.terms == _BY_OP and any(stage.op not in self.ops for stage in architecture.stages):
            return np.inf
        terms = zip(self._terms(architecture, image_size), self.largest, strict=True)
        return max(term / largest if largest else np.inf for term, largest in terms if term)

    def _terms(self, architecture: Architecture, image_size: int) -> list[float]:
        costs = named_costs(architecture, image_size, self.num_classes, self.in_channels)
        return [costs[name] for name in terms(self.ops)[self.terms]]


def fit(
    architectures: Sequence[Architecture],
    measured: Sequence[float],
    image_size: int,
    num_classes: int,
    in_channels: int,
) -> Fit:
    """Fit each of `terms`, and keep the plainest of those that predict what they have not seen about best.

    About: within one standard error of the least. The richer ones follow noise, and miss what is larger.

    Args:
        architectures: measured at one image size and batch size; of one measured twice, the median counts.
        measured: of each, > 0: step time, memory or whatever adds up over layers.
        image_size: pixels, height and width.
    Raises: ValueError for fewer than FEWEST architectures, or a measured value that is not positive and finite.
    """
    if not all(0 < value < np.inf for value in measured):
        raise ValueError(f"measured values must be positive and finite, got {min(measured)} to {max(measured)}")
    values: dict[Architecture, list[float]] = {}
    for architecture, value in zip(architectures, measured, strict=True):
        values.setdefault(architecture, []).append(value)
    if len(values) < FEWEST:
        raise ValueError(f"an estimate needs {FEWEST} or more measured architectures, there are {len(values)}")
    costs = [named_costs(each, image_size, num_classes, in_channels) for each in values]
    target = np.array([float(np.median(several)) for several in values.values()])
    used = {stage.op for architecture in values for stage in architecture.stages}
    ops = tuple(name for name in OPS if name in used)
    matrices = {name: np.array([[1.0, *(c[n] for n in names)] for c in costs]) for name, names in terms(ops).items()}
    squares = {name: _held_out(matrix, target) for name, matrix in matrices.items()}
    best = _plainest(squares)
    return Fit(
        terms=best,
        weights=tuple(map(float, _weights(matrices[best], target))),
        measured=len(target),
        error=float(np.sqrt(squares[best].mean())),
        error_beyond=float(np.sqrt(_beyond(matrices[best], target, np.array([c["macs"] for c in costs])).mean())),
        largest=tuple(map(float, matrices[best][:, 1:].max(axis=0))),
        num_classes=num_classes,
        in_channels=in_channels,
        ops=ops,
    )


def named_costs(architecture: Architecture, image_size: int, num_classes: int, in_channels: int) -> dict[str, float]:
    """Give everything that `terms` of all ops name: totals for one image, and sums over the stages of each op."""
    costs: dict[str, float] = dict(count(architecture, image_size, num_classes, in_channels)._asdict())
    costs["layers"] = sum(stage.layers for stage in architecture.stages)
    costs |= {f"{name}_{op}": 0.0 for op in OPS for name in ("macs", "activations", "layers")}
    for stage, channels, size in stage_inputs(architecture, image_size):
        cost = stage_cost(stage, channels, size)
        for name, value in (("macs", cost.macs), ("activations", cost.activations), ("layers", stage.layers)):
            costs[f"{name}_{stage.op}"] += value
    return costs


def _weights(matrix: Floats, target: Floats) -> Floats:
    """Least squares of relative errors. Columns are brought to one size, for their numbers differ by 10**9."""
    largest = np.maximum(matrix.max(axis=0), 1e-300)
    return np.asarray(nnls(matrix / largest / target[:, None], np.ones(len(target)))[0] / largest)


def _plainest(squares: dict[str, Floats]) -> str:
    """The first whose mean square is within a standard error of the least; `terms` go from plain to rich."""
    least = min(squares.values(), key=lambda each: float(each.mean()))
    enough = least.mean() + least.std() / np.sqrt(len(least)) + 1e-12  # rounding is no difference
    return next(name for name, each in squares.items() if each.mean() <= enough)


def _held_out(matrix: Floats, target: Floats) -> Floats:
    fold = np.arange(len(target)) % _FOLDS
    predicted = np.empty(len(target))
    for number in range(min(_FOLDS, len(target))):
        out = fold == number
        predicted[out] = matrix[out] @ _weights(matrix[~out], target[~out])
    return _squares(predicted, target)


def _beyond(matrix: Floats, target: Floats, macs: Floats) -> Floats:
    order = np.argsort(macs, kind="stable")
    inside, out = np.split(order, [2 * len(order) // 3])
    return _squares(matrix[out] @ _weights(matrix[inside], target[inside]), target[out])


def _squares(predicted: Floats, target: Floats) -> Floats:
    """Squared differences of the logarithms: twice too much and half are equally wrong."""
    return np.asarray(np.log(np.maximum(predicted / target, 1e-9)) ** 2)
