"""The decisions of a search space, and the integers that stand for what they chose: drawn, listed, changed, checked.

An option that only some ops of a stage have, or a field that some ignore, is a decision only where one of the others is
chosen. Elsewhere it is inactive: its code is 0, so that every architecture has exactly one encoding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_space.architecture import STAGE_FIELDS
from search_space.choices import StageChoices
from search_space.ops import find_op

Encoding = NDArray[np.int64]  # (number of decisions,): the index of each decision's choice
Encodings = NDArray[np.int64]  # (N, number of decisions)


class Decision(NamedTuple):
    """One choice the search makes."""

    name: str  # such as `stage3_kernel_size`, stages counted from 1
    stage: int  # index of the stage, from 0
    field: str  # a field of Stage, or an option of its op
    choices: tuple[Any, ...]  # at least two, in the order they were given


class Condition(NamedTuple):
    """An option, or a field, that not every op of its stage has a use for."""

    column: int  # of its decision
    op_column: int  # of the op's decision, in the same stage
    having: NDArray[np.bool_]  # of each choice of op: whether it has the option, or reads the field


def _has_use(op: str, name: str) -> bool:
    known = find_op(op)
    return name in known.options or (name in STAGE_FIELDS and name not in known.ignores)


class Coding:
    """How the choices of stages become integers. All arrays of codes are (N, decisions)."""

    def __init__(self, stages: tuple[StageChoices, ...]) -> None:
        self.decisions = tuple(
            Decision(f"stage{number + 1}_{name}", number, name, choices)
            for number, stage in enumerate(stages)
            for name, choices in stage.named().items()
            if len(choices) > 1
        )
        self.lengths = np.array([len(d.choices) for d in self.decisions], dtype=np.int64)
        ops = {d.stage: column for column, d in enumerate(self.decisions) if d.field == "op"}
        self.conditions: list[Condition] = []
        for column, decision in enumerate(self.decisions):
            having = np.array([_has_use(op, decision.field) for op in stages[decision.stage].op])
            if not having.all():
                self.conditions.append(Condition(column, ops[decision.stage], having))

    @cached_property
    def parts(self) -> list[tuple[slice, Encodings]]:
        """The columns that can be drawn independently of the others, with every code they can take, in order.

        A decision alone; but where some are inactive for some ops, all decisions of the stage.
        """
        stages = {self.decisions[c.column].stage for c in self.conditions}
        found, column = [], 0
        while column < len(self.decisions):
            stage, end = self.decisions[column].stage, column + 1
            while stage in stages and end < len(self.decisions) and self.decisions[end].stage == stage:
                end += 1
            codes = np.array(list(product(*(range(n) for n in self.lengths[column:end]))), dtype=np.int64)
            for c in self.conditions:
                if column <= c.column < end:
                    codes = codes[c.having[codes[:, c.op_column - column]] | (codes[:, c.column - column] == 0)]
            found.append((slice(column, end), codes))
            column = end
        return found

    @cached_property
    def size(self) -> int:
        """Number of encodings; exact."""
        return math.prod(len(codes) for _, codes in self.parts)

    def active(self, codes: Encodings) -> NDArray[np.bool_]:
        """Whether each decision is one in each row, shape of `codes`: false for what the op has not, or ignores."""
        active = np.ones(codes.shape, dtype=bool)
        for c in self.conditions:
            active[:, c.column] = c.having[codes[:, c.op_column]]
        return active

    def canonical(self, codes: Encodings) -> Encodings:
        """Set what is inactive to 0."""
        return np.where(self.active(codes), codes, 0) if self.conditions else codes

    def check(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        """Give the codes back if every row is an encoding, else raise ValueError."""
        codes = np.asarray(codes)
        if codes.ndim != 2 or codes.shape[1] != len(self.decisions):
            raise ValueError(f"encodings must be (N, {len(self.decisions)}), got shape {codes.shape}")
        if not np.issubdtype(codes.dtype, np.integer) and codes.size:
            raise ValueError(f"encodings must be integers, got {codes.dtype}")
        if len(codes) and self.decisions:
            low, high = codes.min(axis=0), codes.max(axis=0)
            wrong = np.flatnonzero((low < 0) | (high >= self.lengths))
            if wrong.size:
                decision = self.decisions[wrong[0]]
                raise ValueError(f"{decision.name} must be an index in [0, {len(decision.choices) - 1}]")
        for c in self.conditions:
            if (codes[:, c.column] * ~c.having[codes[:, c.op_column]]).any():
                name, op = self.decisions[c.column].name, self.decisions[c.op_column].name
                raise ValueError(f"{name} must be 0 where {op} has no use for it")
        return codes

    def draw(self, n: int, rng: np.random.Generator) -> Encodings:
        """Draw encodings independently and uniformly."""
        if not self.conditions:
            return rng.integers(0, self.lengths, size=(n, len(self.lengths)), dtype=np.int64)
        drawn = rng.integers(0, [len(codes) for _, codes in self.parts], size=(n, len(self.parts)))
        return np.concatenate([codes[drawn[:, i]] for i, (_, codes) in enumerate(self.parts)], axis=1)

    def listed(self, at_once: int = 8192) -> Iterator[Encodings]:
        """Every encoding in order, in chunks."""
        for start in range(0, self.size, at_once):
            left = np.arange(start, min(start + at_once, self.size))
            chunk = np.zeros((len(left), len(self.decisions)), dtype=np.int64)
            for columns, codes in reversed(self.parts):
                left, index = np.divmod(left, len(codes))
                chunk[:, columns] = codes[index]
            yield chunk

    def changed(self, code: Encoding, column: int) -> Encodings:
        """Every encoding that another choice of one decision gives; none if it is inactive.

        What an op brings with it that was inactive takes any of its choices.
        """
        if self.conditions and not self.active(code[None, :])[0, column]:
            return code[None, :][:0]
        others = np.delete(np.arange(self.lengths[column]), code[column])
        rows = code[None, :].repeat(len(others), axis=0)
        rows[:, column] = others
        for c in self.conditions:
            if c.op_column == column and not c.having[code[column]]:
                new = c.having[rows[:, column]]
                any_choice = np.arange(self.lengths[c.column])
                brought = rows[new].repeat(len(any_choice), axis=0)
                brought[:, c.column] = np.tile(any_choice, new.sum())
                rows = np.concatenate([rows[~new], brought])
        return self.canonical(rows)

    def mixes(self, parents: Encodings, first: NDArray[np.bool_]) -> Encodings:
        """Take each decision from the first parent where `first` (N, decisions), else from the second.

        Args:
            parents: two encodings. What is inactive in one is taken from the other.
        """
        if self.conditions:
            parents = np.where(self.active(parents), parents, parents[::-1])
        return self.canonical(np.where(first, parents[0], parents[1]))
