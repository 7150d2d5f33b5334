"""A search space: which choices each field of each stage has, and how to draw, change, mix and encode architectures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_space import cost, yaml_text
from search_space.architecture import STAGE_FIELDS, Architecture, Stage, check_keys
from search_space.choices import Constraints, StageChoices

Encoding = NDArray[np.int64]  # (number of decisions,): the index of each decision's choice


class Infeasible(ValueError):
    """No architecture of the space meets the constraints, or none could be found."""


class Decision(NamedTuple):
    """One choice the search makes."""

    name: str  # such as `stage3_kernel_size`, stages counted from 1
    stage: int  # index of the stage, from 0
    field: str  # a field of Stage
    choices: tuple[Any, ...]  # at least two, in the order they were given


@dataclass(frozen=True)
class SearchSpace:
    """Every architecture that some choice of every decision gives, less those outside the constraints.

    Source: EfficientNetV2 (arXiv:2104.00298), section 3.2, the stage-factorised space; any field may be a decision.
    """

    stem_channels: int
    stages: tuple[StageChoices, ...]
    head_channels: int
    stem_stride: int = 2
    image_size: int | None = None
    train_image_size: int | None = None
    dropout: float = 0.2
    constraints: Constraints = field(default_factory=Constraints)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        if not self.stages or not all(isinstance(stage, StageChoices) for stage in self.stages):
            raise ValueError("space stages must be one or more StageChoices records")
        object.__setattr__(self, "dropout", self._decoded((0,) * len(self.decisions)).dropout)  # checks every field

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """The fields with more than one choice, stage by stage: the columns of an encoding and of the trial table."""
        return tuple(
            Decision(f"stage{number + 1}_{name}", number, name, choices)
            for number, stage in enumerate(self.stages)
            for name in STAGE_FIELDS
            if len(choices := getattr(stage, name)) > 1
        )

    @cached_property
    def size(self) -> int:
        """Number of architectures, constraints not counted; exact."""
        return math.prod(len(decision.choices) for decision in self.decisions)

    # ---- encoding

    @cached_property
    def _lengths(self) -> Encoding:
        return np.array([len(d.choices) for d in self.decisions], dtype=np.int64)

    def encode(self, architecture: Architecture) -> Encoding:
        """Give the index of each decision's choice, int64 of shape (number of decisions,).

        Raises: ValueError naming the first field whose value is no choice of this space. Constraints are not looked at.
        """
        for name in ("stem_channels", "head_channels", "stem_stride", "image_size", "train_image_size", "dropout"):
            if getattr(architecture, name) != getattr(self, name):
                raise ValueError(f"{name} {getattr(architecture, name)!r} is not the space's {getattr(self, name)!r}")
        if len(architecture.stages) != len(self.stages):
            raise ValueError(f"the space has {len(self.stages)} stages, the architecture {len(architecture.stages)}")
        code = []
        for number, (stage, choices) in enumerate(zip(architecture.stages, self.stages, strict=True), start=1):
            for name in STAGE_FIELDS:
                value, known = getattr(stage, name), getattr(choices, name)
                if value not in known:
                    raise ValueError(f"stage{number}_{name} {value!r} is not in the space; choices: {list(known)}")
                if len(known) > 1:
                    code.append(known.index(value))
        return np.array(code, dtype=np.int64)

    def decode(self, encoding: Sequence[int] | NDArray[np.integer[Any]]) -> Architecture:
        """Give the architecture of an encoding. Raises ValueError for a wrong length or an index out of range."""
        return self._decoded(self.check_encodings(np.asarray(encoding)[None, :])[0].tolist())

    def _decoded(self, code: Sequence[int]) -> Architecture:
        chosen = iter(code)
        stages = []
        for stage in self.stages:
            choices = (getattr(stage, name) for name in STAGE_FIELDS)
            stages.append(Stage(*(options[next(chosen)] if len(options) > 1 else options[0] for options in choices)))
        return Architecture(
            stem_channels=self.stem_channels,
            stages=tuple(stages),
            head_channels=self.head_channels,
            stem_stride=self.stem_stride,
            image_size=self.image_size,
            train_image_size=self.train_image_size,
            dropout=self.dropout,
        )

    def check_encodings(self, encodings: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        """Give `encodings` (N, decisions) back if every value is a choice's index, else raise ValueError."""
        encodings = np.asarray(encodings)
        if encodings.ndim != 2 or encodings.shape[1] != len(self.decisions):
            raise ValueError(f"encodings must be (N, {len(self.decisions)}), got shape {encodings.shape}")
        if not np.issubdtype(encodings.dtype, np.integer) and encodings.size:
            raise ValueError(f"encodings must be integers, got {encodings.dtype}")
        if len(encodings) and self.decisions:
            low, high = encodings.min(axis=0), encodings.max(axis=0)
            wrong = np.flatnonzero((low < 0) | (high >= self._lengths))
            if wrong.size:
                decision = self.decisions[wrong[0]]
                raise ValueError(f"{decision.name} must be an index in [0, {len(decision.choices) - 1}]")
        return encodings

    def columns(self, encodings: NDArray[np.integer[Any]]) -> list[dict[str, Any]]:
        """Per stage, every field's values for all rows: a number where fixed, an int64 or float array where chosen.

        `ops` is the tuple of ops and `op` the index into it.
        """
        by_decision = np.ascontiguousarray(encodings.T)
        stages: list[dict[str, Any]] = [
            {name: getattr(stage, name)[0] for name in STAGE_FIELDS} | {"ops": stage.op, "op": 0}
            for stage in self.stages
        ]
        for decision, indices in zip(self.decisions, by_decision, strict=True):
            is_op = decision.field == "op"
            stages[decision.stage][decision.field] = indices if is_op else np.array(decision.choices)[indices]
        return stages

    # ---- membership

    def allowed(self, encodings: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Whether each row (N, decisions) keeps the constraints: bool of shape (N,)."""
        return self._violations(encodings) == 0 if self.constraints else np.ones(len(encodings), dtype=bool)

    def _violations(self, encodings: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        c = self.constraints
        costs = cost.count_batch(self, encodings, c.image_size, c.num_classes, c.in_channels)
        return np.asarray(c.violation(costs.params, costs.macs))

    def contains(self, architecture: Architecture) -> bool:
        """Whether every field is among the choices and the constraints are kept."""
        try:
            return bool(self.allowed(self.encode(architecture)[None, :])[0])
        except ValueError:
            return False

    # ---- drawing and changing

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draw uniformly from the architectures that keep the constraints; see `sample_encodings`.

        Raises: Infeasible if there is none, or none was found.
        """
        return self._decoded(self.sample_encodings(1, rng)[0].tolist())

    def sample_encodings(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw `n` encodings, independently and uniformly among those allowed: int64 (n, decisions).

        Where 300,000 draws give none that is allowed, a space of up to a million architectures is listed and drawn
        from; in a larger one, draws are walked to the bounds, and are uniform no more.

        Raises: Infeasible if there is none allowed, or none was found.
        """
        if not self.constraints:
            return self._draw(n, rng)
        kept: list[NDArray[np.int64]] = []
        found, drawn, batch = 0, 0, max(16, n)
        while found < n:
            draws = self._draw(batch, rng)
            kept.append(draws[self.allowed(draws)])
            found, drawn = found + len(kept[-1]), drawn + batch
            if not found and drawn > _MOST_DRAWS:
                return self._draw_rare(n, rng)
            batch = min(4 * batch, 65536)
        return np.concatenate(kept)[:n]

    def _draw_rare(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        if self.size > _MOST_LISTED:
            return np.stack([self._walked_inside(rng) for _ in range(n)])
        listed = self._listed()
        if not len(listed):
            raise Infeasible(self._infeasible_message(proven=True))
        return listed[rng.integers(len(listed), size=n)]

    def _draw(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        return rng.integers(0, self._lengths, size=(n, len(self._lengths)), dtype=np.int64)

    def _walked_inside(self, rng: np.random.Generator) -> Encoding:
        """Walk from a draw to an allowed encoding, always to the neighbour nearest the bounds."""
        for draw in self._draw(_MOST_WALKS, rng):
            code: Encoding = draw
            violation = self._violations(code[None, :])[0]
            while violation > 0:
                near = self._neighbour_codes(code)
                violations = self._violations(near)
                if violations.min() >= violation:
                    break
                code, violation = near[violations.argmin()], violations.min()
            else:
                return code
        raise Infeasible(self._infeasible_message(proven=False))

    def _infeasible_message(self, *, proven: bool) -> str:
        c, (low, high) = self.constraints, self.cost_range()
        given = {k: v for k, v in asdict(c).items() if v is not None and k.endswith(("_min", "_max"))}
        return (
            f"{'no' if proven else 'found no'} architecture that meets the constraints {given}; with {c.num_classes} "
            f"classes the space spans params {low.params:,} to {high.params:,}, and MACs {low.macs:,} to {high.macs:,} "
            f"at {c.image_size} pixels"
        )

    def _codes(self) -> Iterator[NDArray[np.int64]]:
        """Every encoding in order, in chunks (n, decisions)."""
        for start in range(0, self.size, _LISTED_AT_ONCE):
            left = np.arange(start, min(start + _LISTED_AT_ONCE, self.size))
            codes = np.zeros((len(left), len(self.decisions)), dtype=np.int64)
            for column in reversed(range(len(self.decisions))):
                left, codes[:, column] = np.divmod(left, self._lengths[column])
            yield codes

    def _listed(self) -> NDArray[np.int64]:
        return np.concatenate([codes[self.allowed(codes)] for codes in self._codes()])

    def cost_range(self) -> tuple[cost.Cost, cost.Cost]:
        """Least and greatest params, MACs and activations over the whole space, constraints not counted; exact."""
        from search_space.cost_range import cost_range  # it reads this module's records

        return cost_range(self)

    def _neighbour_codes(self, code: Encoding) -> NDArray[np.int64]:
        rows = []
        for index, decision in enumerate(self.decisions):
            for choice in range(len(decision.choices)):
                if choice != code[index]:
                    rows.append(code.copy())
                    rows[-1][index] = choice
        return np.array(rows, dtype=np.int64).reshape(len(rows), len(code))

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """Every allowed architecture that differs in exactly one decision."""
        codes = self._neighbour_codes(self.encode(architecture))
        return [self._decoded(code.tolist()) for code in codes[self.allowed(codes)]]

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Change one decision, drawn uniformly among those that can change, to another of its choices.

        Where the constraints leave no such neighbour, more decisions change. The result always differs and is inside.

        Raises: ValueError if the architecture is not of this space; Infeasible if there is no other one, or none was
            found.
        """
        code = self.encode(architecture)
        for index in rng.permutation(len(self.decisions)):
            others = np.delete(np.arange(self._lengths[index]), code[index])
            changed = code[None, :].repeat(len(others), axis=0)
            changed[:, index] = others
            changed = changed[self.allowed(changed)]
            if len(changed):
                return self._decoded(changed[rng.integers(len(changed))].tolist())
        for rate in np.linspace(2 / max(2, len(code)), 1, 8).repeat(32):
            fresh = np.where(rng.random((64, len(code))) < rate, self._draw(64, rng), code)
            fresh = fresh[self.allowed(fresh) & (fresh != code).any(axis=1)]
            if len(fresh):
                return self._decoded(fresh[0].tolist())
        listed = self._listed() if self.size <= _MOST_LISTED else self._draw(0, rng)
        listed = listed[(listed != code).any(axis=1)]
        if len(listed):
            return self._decoded(listed[rng.integers(len(listed))].tolist())
        raise Infeasible("found no other architecture of the space that keeps the constraints")

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Take each decision from either parent with equal chance; a parent if no mix drawn keeps the constraints.

        Raises: ValueError if a parent is not of this space; Infeasible if neither parent keeps the constraints and no
            mix was found that does.
        """
        parents = np.stack([self.encode(a), self.encode(b)])
        for _ in range(8):
            mixes = np.where(rng.random((16, parents.shape[1])) < 0.5, parents[0], parents[1])
            mixes = mixes[self.allowed(mixes)]
            if len(mixes):
                return self._decoded(mixes[0].tolist())
        parents = parents[self.allowed(parents)]
        if not len(parents):
            raise Infeasible("found no mix of the two architectures that keeps the constraints")
        return self._decoded(parents[rng.integers(len(parents))].tolist())

    def __iter__(self) -> Iterator[Architecture]:
        """Every allowed architecture, in the order of the encodings. For small spaces."""
        for codes in self._codes():
            yield from (self._decoded(code.tolist()) for code in codes[self.allowed(codes)])

    # ---- as plain data

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings; fixed fields are bare values."""
        record = asdict(self)
        record["stages"] = [
            {name: list(c) if len(c := getattr(stage, name)) > 1 else c[0] for name in STAGE_FIELDS}
            for stage in self.stages
        ]
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> SearchSpace:
        """Read what `to_dict` wrote, or the same typed by hand. Raises ValueError naming the key or value at fault."""
        check_keys("space", record, [f.name for f in fields(cls)], ("stem_channels", "stages", "head_channels"))
        if not isinstance(record["stages"], list | tuple):
            raise ValueError("space stages must be a list")
        stages = [
            StageChoices.from_dict(stage, f"space stage {n}") for n, stage in enumerate(record["stages"], start=1)
        ]
        constraints = Constraints.from_dict(record.get("constraints") or {})
        return cls(**{**record, "stages": tuple(stages), "constraints": constraints})

    def to_yaml(self) -> str:
        """YAML text; `from_yaml` gives an equal space back."""
        return yaml_text.dump(self.to_dict())

    @classmethod
    def from_yaml(cls, text: str) -> SearchSpace:
        """Read YAML text. Raises ValueError naming the key or value at fault."""
        return cls.from_dict(yaml_text.load(text))


_MOST_DRAWS = 300_000  # half a second
_MOST_LISTED = 2**20  # architectures: a second
_MOST_WALKS = 100
_LISTED_AT_ONCE = 8192
