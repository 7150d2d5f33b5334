"""Architectures as numbers a model can learn from: effects of each decision, shared trends, closed-form costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_space.cost import count_batch, output_size, stage_cost
from search_space.space import Decision, SearchSpace

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]  # (N, decisions), as `space.encode` gives


@dataclass(frozen=True)
class Block:
    """Columns of the linear features that share one variance, and what that variance is expected to be."""

    name: str
    columns: slice
    expected: float


class Features:
    """Maps encodings to the features of a Gaussian process.

    Args:
        space: whose encodings come.
        by_stage: whether costs enter stage by stage and in proportion, as step time wants them; otherwise the network's
            totals enter as logarithms, with squares, as accuracy wants them.
        costs: of the space, where they were counted already.
    """

    def __init__(self, space: SearchSpace, *, by_stage: bool, costs: StageCosts | None = None) -> None:
        self.space, self.by_stage = space, by_stage
        self.size = space.constraints.image_size if not space.image_size else space.image_size
        self.lengths = np.array([len(d.choices) for d in space.decisions], dtype=np.int64)
        self.tables = [_effects(decision) for decision in space.decisions]
        self.squares = [_root((table @ table.T) ** 2) for table in self.tables]
        self.fields = sorted({d.field for d in space.decisions})
        self.costs = StageCosts(space, self.size) if costs is None else costs
        raw = self._costs(space.sample_encodings(1024, np.random.default_rng(0)))
        self.centre, self.spread = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-12)
        self.blocks = self._blocks()
        self.embedding = self._embedded()
        self.left, self.right, self.stage_pairs = self._inside()
        linear = self.blocks[-1].columns.stop
        squared = linear + sum(table.shape[1] for table in self.squares)
        self.linear, self.squared = slice(0, linear), slice(linear, squared)  # of `columns`
        self.inside = slice(squared, squared + len(self.left))

    def _blocks(self) -> list[Block]:
        start, blocks = 0, []
        for decision, table in zip(self.space.decisions, self.tables, strict=True):
            blocks.append(Block(decision.name, slice(start, start + table.shape[1]), 0.4 / len(self.tables)))
            start += table.shape[1]
        for name in self.fields:
            blocks.append(Block(name, slice(start, start + 1), 0.1))
            start += 1
        widths = {"total_0": 1, "total_1": 1, "total_2": 1}
        if self.by_stage:
            widths |= {f"stages_{i}": len(self.space.stages) for i in range(3)}
        else:
            widths["squares"] = 3
        for name, width in widths.items():
            blocks.append(Block(name, slice(start, start + width), 0.02 if name == "squares" else 0.1))
            start += width
        return blocks

    @property
    def decision_columns(self) -> slice:
        """The columns of the decisions' own effects: the first ones."""
        return slice(0, sum(table.shape[1] for table in self.tables))

    def _embedded(self) -> Floats:
        """For each choice of each decision: effects, shares in the fields' trends, and roots of squared kernels."""
        fields = [[d.field == name for name in self.fields] for d in self.space.decisions]
        places = map(_positions, self.space.decisions)
        shares = [np.outer(place - 0.5, field) for place, field in zip(places, fields, strict=True)]
        shared = np.concatenate(shares) if shares else np.empty((0, 0))
        return np.concatenate([_block_diagonal(self.tables), shared, _block_diagonal(self.squares)], axis=1)

    def _inside(self) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """The columns of effects whose products are features, left and right, and the number of pairs of decisions."""
        owner = np.repeat(np.arange(len(self.tables)), [table.shape[1] for table in self.tables])
        stage = np.array([d.stage for d in self.space.decisions], dtype=np.int64)
        left, right = np.nonzero((stage[owner][:, None] == stage[owner]) & (owner[:, None] < owner))
        return left, right, len(np.unique(owner[left] * len(self.tables) + owner[right]))

    def columns(self, codes: Codes) -> tuple[Floats, NDArray[np.float32]]:
        """What describes encodings.

        Returns: features with linear effects, then ones whose products are the squared kernels of the decisions, then
            products of two decisions' effects inside a stage, side by side, (N, columns); and `one_hot`.
        """
        one_hot = self.one_hot(codes)
        # What is no decision of an architecture has no effect there.
        active = np.repeat(self.space.active(codes), self.lengths, axis=1) if self.space.is_conditional else 1.0
        embedded = (one_hot * active).astype(np.float64) @ self.embedding
        ends = self.decision_columns.stop + len(self.fields)
        inside = embedded[:, self.left] * embedded[:, self.right]
        return np.concatenate([embedded[:, :ends], self._scaled(codes), embedded[:, ends:], inside], axis=1), one_hot

    def one_hot(self, codes: Codes) -> NDArray[np.float32]:
        """Zeros and ones: the product of two rows is the number of decisions on which they agree."""
        starts = np.concatenate([[0], np.cumsum(self.lengths)])
        rows = np.zeros((len(codes), int(starts[-1])), dtype=np.float32)
        rows[np.arange(len(codes))[:, None], codes + starts[:-1]] = 1.0
        return rows

    def _costs(self, codes: Codes) -> Floats:
        if not self.by_stage:
            return np.log(self.costs.totals(codes))
        parts = self.costs.stages(codes)
        return np.concatenate([self.costs.totals(codes), parts.reshape(len(codes), -1)], axis=1)

    def _scaled(self, codes: Codes) -> Floats:
        costs = self._costs(codes)
        if not self.by_stage:
            scaled = (costs - self.centre) / self.spread
            return np.concatenate([scaled, scaled**2 - 1], axis=1)
        # A stage's cost is measured with its total's ruler: a second is a second in every stage.
        ruler = np.concatenate([self.spread[:3], np.repeat(self.spread[:3], len(self.space.stages))])
        return np.asarray((costs - self.centre) / ruler)


def _effects(decision: Decision) -> Floats:
    """Rows are choices; their products are a kernel of mean 0 and mean variance 1. Near numbers have near effects."""
    position = _positions(decision)
    apart = np.abs(position[:, None] - position[None, :])
    kernel = np.eye(len(position)) if _is_words(decision) else np.exp(-apart)
    centring = np.eye(len(position)) - 1 / len(position)
    kernel = centring @ kernel @ centring
    return _root(kernel / kernel.diagonal().mean())


def _positions(decision: Decision) -> Floats:
    """From 0 to 1, where each choice stands: numbers in their order, whichever way a space lists them."""
    n = len(decision.choices)
    order = np.arange(n) if _is_words(decision) else np.argsort(np.argsort(decision.choices))
    return order / (n - 1)


def _is_words(decision: Decision) -> bool:
    return isinstance(decision.choices[0], str)  # such as ops


def _root(kernel: Floats) -> Floats:
    """A matrix whose rows' products are `kernel`, with no more columns than its rank."""
    values, vectors = np.linalg.eigh(kernel)
    kept = values > 1e-9 * values.max()
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept]))


class StageCosts:
    """Params, MACs and activations as sums over stages of a table each: a look-up where counting would take arithmetic.

    Exact where channels and strides are fixed. Where they are decisions a stage's table assumes the previous stage's
    first choice, which will do for a feature, and totals are counted in full.
    """

    def __init__(self, space: SearchSpace, image_size: int) -> None:
        self.space, self.image_size = space, image_size
        self.tables: list[tuple[list[int], tuple[int, ...], Floats]] = []
        channels, size = space.stem_channels, output_size(image_size, space.stem_stride)
        for number, choices in enumerate(space.stages):
            columns = [i for i, d in enumerate(space.decisions) if d.stage == number]
            lengths = tuple(len(space.decisions[i].choices) for i in columns)
            costs = np.array([stage_cost(s, channels, size) for s in choices.combinations()], dtype=np.float64)
            self.tables.append((columns, lengths, costs))
            channels, size = choices.channels[0], output_size(size, choices.stride[0])
        self.additive = not any(d.field in ("channels", "stride") for d in space.decisions)
        first = np.zeros((1, len(space.decisions)), dtype=np.int64)
        self.rest = self._counted(first) - self.stages(first).sum(axis=2)

    def stages(self, codes: Codes) -> Floats:
        """Costs by stage, (N, 3, stages)."""
        return np.stack([costs[_mixed(codes, columns, lengths)] for columns, lengths, costs in self.tables], axis=2)

    def totals(self, codes: Codes) -> Floats:
        """Costs of the network, (N, 3)."""
        return self.stages(codes).sum(axis=2) + self.rest if self.additive else self._counted(codes)

    def _counted(self, codes: Codes) -> Floats:
        return np.stack(count_batch(self.space, codes, self.image_size), axis=1).astype(np.float64)


def _mixed(codes: Codes, columns: list[int], lengths: tuple[int, ...]) -> Codes:
    if not columns:
        return np.zeros(len(codes), dtype=np.int64)
    return np.asarray(np.ravel_multi_index(tuple(codes[:, columns].T), lengths), dtype=np.int64)


def _block_diagonal(blocks: list[Floats]) -> Floats:
    whole = np.zeros((sum(len(block) for block in blocks), sum(block.shape[1] for block in blocks)))
    row = column = 0
    for block in blocks:
        whole[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return whole
