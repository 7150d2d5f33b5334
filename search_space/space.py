"""A search space: which choices each field of each stage has, and how to draw, change, mix and encode architectures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_space import yaml_text
from search_space.architecture import ARCHITECTURE_FIELDS, STAGE_FIELDS, Architecture, Stage, check_keys
from search_space.choices import Constraints, StageChoices
from search_space.coding import Coding, Encoding
from search_space.coding import Decision as Decision
from search_space.cost import Cost, count_batch
from search_space.cost_range import cost_range
from search_space.ops import find_op


class Infeasible(ValueError):
    """No architecture of the space meets the constraints, or none could be found."""


@dataclass(frozen=True)
class SearchSpace:
    """Every architecture that some choice of every decision gives, less those outside the constraints.

    Source: EfficientNetV2 (arXiv:2104.00298), section 3.2, the stage-factorised space; any field may be a decision.
    """

    stem_channels: int  # output channels of the first, 3x3 convolution
    stages: tuple[StageChoices, ...]  # one mapping a stage
    head_channels: int  # output channels of the last, 1x1 convolution, before pooling
    stem_stride: int = 2  # 1 or 2
    image_size: int | None = None  # pixels that candidates are meant to be used at; a hint
    train_image_size: int | None = None  # pixels that they are meant to be trained at; a hint
    dropout: float = 0.2  # before the classifier, [0, 0.99]
    constraints: Constraints = field(default_factory=Constraints)  # bounds of params and MACs
    # What a ready-made space names as its natural reference; no part of the space's text, nor of what makes two equal.
    reference: Architecture | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        if not self.stages or not all(isinstance(stage, StageChoices) for stage in self.stages):
            raise ValueError("space stages must be one or more StageChoices records")
        object.__setattr__(self, "dropout", self._decoded((0,) * len(self.decisions)).dropout)  # checks every field

    @cached_property
    def _coding(self) -> Coding:
        return Coding(self.stages)

    @cached_property
    def _choices(self) -> list[tuple[tuple[Any, ...], ...]]:
        return [tuple(stage.named().values()) for stage in self.stages]

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The fields and options with more than one choice, stage by stage: the columns of an encoding."""
        return self._coding.decisions

    @property
    def size(self) -> int:
        """Number of architectures, constraints not counted; exact."""
        return self._coding.size

    # ---- encoding

    def encode(self, architecture: Architecture) -> Encoding:
        """Give the index of each decision's choice, int64 of shape (number of decisions,); 0 for one that is inactive.

        Raises: ValueError naming the first field whose value is no choice of this space. Constraints are not looked at.
        """
        for name in ARCHITECTURE_FIELDS:
            if name != "stages" and getattr(architecture, name) != getattr(self, name):
                raise ValueError(f"{name} {getattr(architecture, name)!r} is not the space's {getattr(self, name)!r}")
        if len(architecture.stages) != len(self.stages):
            raise ValueError(f"the space has {len(self.stages)} stages, the architecture {len(architecture.stages)}")
        code: list[int] = []
        for number, stage in enumerate(architecture.stages, start=1):
            known = self._encoded.get((number, id(stage)))
            if known is not None and known[0] is stage:
                code += known[1]
            else:
                code += self._encoded_stage(number, stage)
        return np.array(code, dtype=np.int64)

    @cached_property
    def _encoded(self) -> dict[tuple[int, int], tuple[Stage, list[int]]]:
        """Codes of stages that architectures read from a log share, by number and identity."""
        return {}

    def _encoded_stage(self, number: int, stage: Stage) -> list[int]:
        code, choices, ignored = [], self.stages[number - 1], find_op(stage.op).ignores
        for name in STAGE_FIELDS:
            value, known = getattr(stage, name), getattr(choices, name)
            if name in ignored and value != known[0]:
                raise ValueError(f"stage{number}_{name} must be {known[0]!r} in the space, for {stage.op} ignores it")
            if value not in known:
                raise ValueError(f"stage{number}_{name} {value!r} is not in the space; choices: {list(known)}")
            if len(known) > 1:
                code.append(known.index(value))
        if stage.options or choices.options:
            return code + self._encoded_options(number, stage)
        if len(self._encoded) >= _MOST_ENCODED:
            self._encoded.clear()
        self._encoded[number, id(stage)] = stage, code
        return code

    def _encoded_options(self, number: int, stage: Stage) -> list[int]:
        choices, known = self.stages[number - 1].options, find_op(stage.op).options
        for name, value in stage.options.items():
            allowed = choices.get(name, (known[name].default,))
            if value not in allowed:
                raise ValueError(f"stage{number}_{name} {value!r} is not in the space; choices: {list(allowed)}")
        several = [(name, values) for name, values in choices.items() if len(values) > 1]
        return [values.index(stage.options[name]) if name in stage.options else 0 for name, values in several]

    def decode(self, encoding: Sequence[int] | NDArray[np.integer[Any]]) -> Architecture:
        """Give the architecture of an encoding. Raises ValueError for a wrong length or an index out of range."""
        return self._decoded(self.check_encodings(np.asarray(encoding)[None, :])[0].tolist())

    def _decoded(self, code: Sequence[int]) -> Architecture:
        chosen = iter(code)
        stages = []
        for stage, choices in zip(self.stages, self._choices, strict=True):
            stages.append(stage.stage([known[next(chosen)] if len(known) > 1 else known[0] for known in choices]))
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
        """Give `encodings` (N, decisions) back if every row is one of this space, else raise ValueError."""
        return self._coding.check(encodings)

    def canonical(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give `codes` (N, decisions), any indices of choices, as encodings: 0 where a decision is inactive."""
        return self._coding.canonical(codes)

    def active(self, encodings: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each decision is one in each row, bool (N, decisions): not what the chosen op has not, or ignores."""
        return self._coding.active(encodings)

    @property
    def is_conditional(self) -> bool:
        """Whether any decision is inactive in some architecture."""
        return bool(self._coding.conditions)

    def columns(self, encodings: NDArray[np.integer[Any]]) -> list[dict[str, Any]]:
        """Per stage, every field's values for all rows: a number where fixed, an int64 or float array where chosen.

        `ops` is the tuple of ops and `op` the index into it; options stand beside the fields, each of them in all rows.
        """
        by_decision = np.ascontiguousarray(encodings.T)
        stages: list[dict[str, Any]] = [
            {name: choices[0] for name, choices in stage.named().items()} | {"ops": stage.op, "op": 0}
            for stage in self.stages
        ]
        for decision, indices in zip(self.decisions, by_decision, strict=True):
            is_op = decision.field == "op"
            stages[decision.stage][decision.field] = indices if is_op else np.array(decision.choices)[indices]
        return stages

    # ---- membership

    def allowed(self, encodings: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Whether each encoding (N, decisions) keeps the constraints: bool of shape (N,)."""
        return self._violations(encodings) == 0 if self.constraints else np.ones(len(encodings), dtype=bool)

    def _violations(self, encodings: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        c = self.constraints
        costs = count_batch(self, encodings, c.image_size, c.num_classes, c.in_channels)
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
            return self._coding.draw(n, rng)
        kept: list[NDArray[np.int64]] = []
        found, drawn, batch = 0, 0, max(16, n)
        while found < n:
            draws = self._coding.draw(batch, rng)
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

    def _walked_inside(self, rng: np.random.Generator) -> Encoding:
        """Walk from a draw to an allowed encoding, always to the neighbour nearest the bounds."""
        for draw in self._coding.draw(_MOST_WALKS, rng):
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

    def _listed(self) -> NDArray[np.int64]:
        return np.concatenate([codes[self.allowed(codes)] for codes in self._coding.listed()])

    def cost_range(self) -> tuple[Cost, Cost]:
        """Least and greatest params, MACs and activations over the whole space, constraints not counted; exact."""
        return cost_range(self)

    def _neighbour_codes(self, code: Encoding) -> NDArray[np.int64]:
        return np.concatenate([code[None, :][:0], *(self._coding.changed(code, i) for i in range(len(code)))])

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """Every allowed architecture that differs in exactly one decision, beside what is one in only one of both."""
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
            changed = self._coding.changed(code, index)
            changed = changed[self.allowed(changed)]
            if len(changed):
                return self._decoded(changed[rng.integers(len(changed))].tolist())
        for rate in np.linspace(2 / max(2, len(code)), 1, 8).repeat(32):
            fresh = self.canonical(np.where(rng.random((64, len(code))) < rate, self._coding.draw(64, rng), code))
            fresh = fresh[self.allowed(fresh) & (fresh != code).any(axis=1)]
            if len(fresh):
                return self._decoded(fresh[0].tolist())
        listed = self._listed() if self.size <= _MOST_LISTED else self._coding.draw(0, rng)
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
            mixes = self._coding.mixes(parents, rng.random((16, parents.shape[1])) < 0.5)
            mixes = mixes[self.allowed(mixes)]
            if len(mixes):
                return self._decoded(mixes[0].tolist())
        parents = parents[self.allowed(parents)]
        if not len(parents):
            raise Infeasible("found no mix of the two architectures that keeps the constraints")
        return self._decoded(parents[rng.integers(len(parents))].tolist())

    def __iter__(self) -> Iterator[Architecture]:
        """Every allowed architecture, in the order of the encodings. For small spaces."""
        for codes in self._coding.listed():
            yield from (self._decoded(code.tolist()) for code in codes[self.allowed(codes)])

    # ---- as plain data

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings; fixed fields are bare values."""
        record = {name: getattr(self, name) for name in self._keys()}
        return record | {"stages": [s.to_dict() for s in self.stages], "constraints": asdict(self.constraints)}

    @classmethod
    def _keys(cls) -> list[str]:
        return [f.name for f in fields(cls) if f.name != "reference"]

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> SearchSpace:
        """Read what `to_dict` wrote, or the same typed by hand. Raises ValueError naming the key or value at fault."""
        check_keys("space", record, cls._keys(), ("stem_channels", "stages", "head_channels"))
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
_MOST_ENCODED = 1 << 14
