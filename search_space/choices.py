"""What a search space is made of: the choices of a stage, and the bounds an architecture must keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

import numpy as np

from search_space.architecture import STAGE_FIELDS, Stage, check_keys
from search_space.ops import find_op
from search_space.ops.op import MAY_IGNORE
from search_space.ops.option import NO_OPTIONS, Options


@dataclass(frozen=True)
class StageChoices:
    """The choices of one stage: per field of Stage, a tuple of one (fixed) or more values; a bare value is fixed.

    Raises: ValueError if a field has no choice, a choice twice, or one that Stage refuses.
    """

    op: tuple[str, ...]
    layers: tuple[int, ...]
    kernel_size: tuple[int, ...]
    expansion: tuple[int, ...]
    channels: tuple[int, ...]
    stride: tuple[int, ...]
    se_ratio: tuple[float, ...] = (0.0,)
    options: Mapping[str, tuple[Any, ...]] = NO_OPTIONS  # of the ops that have them; others are at their default

    def __post_init__(self) -> None:
        valid: dict[str, Any] = dict(zip(STAGE_FIELDS, ("mbconv", 1, 3, 1, 8, 1, 0.0), strict=True))
        for name in STAGE_FIELDS:
            choices = tuple(getattr(Stage(**{**valid, name: choice}), name) for choice in _several(getattr(self, name)))
            object.__setattr__(self, name, _distinct(name, choices))
        for name in MAY_IGNORE:
            if len(getattr(self, name)) > 1 and all(name in find_op(op).ignores for op in self.op):
                ops = ", ".join(self.op)
                raise ValueError(f"{name} has several choices, but no op of the stage reads it ({ops}): give it one")
        if self.options is not NO_OPTIONS:
            object.__setattr__(self, "options", self._checked_options())

    def _checked_options(self) -> Options:
        if not isinstance(self.options, Mapping):
            raise ValueError(f"options must be a mapping of each option's choices, got {self.options!r}")
        checked: dict[str, tuple[Any, ...]] = {}
        for name, given in self.options.items():
            ops = {op: find_op(op) for op in self.op if name in find_op(op).options}
            for op in ops or self.op[:1]:  # one that has no such option says so
                choices = tuple(find_op(op).checked(op, {name: choice})[name] for choice in _several(given))
                if list(map(type, checked.get(name, choices))) != list(map(type, choices)):
                    raise ValueError(f"option {name} is of another type in op {op}: ops of one stage must agree on it")
                checked[name] = _distinct(name, choices)
        return Options(checked)

    def named(self) -> dict[str, tuple[Any, ...]]:
        """The choices of every field, then those of every option: what an encoding's columns are made of, in order."""
        return {name: getattr(self, name) for name in STAGE_FIELDS} | dict(self.options)

    def stage(self, values: Sequence[Any]) -> Stage:
        """Make a stage of one value for each of `named`.

        An option that the chosen op has not is left out; a field that it ignores is at the first choice.
        """
        op = find_op(values[0])
        if not (self.options or op.ignores):
            return Stage(*values)
        options = zip(self.options, values[len(STAGE_FIELDS) :], strict=True)
        fixed = dict(zip(STAGE_FIELDS, values, strict=False)) | {name: getattr(self, name)[0] for name in op.ignores}
        return Stage(**fixed, options={name: value for name, value in options if name in op.options})

    def combinations(self, **instead: Sequence[Any]) -> Iterator[Stage]:
        """Every combination of choices, the last field or option changing fastest.

        Where an op lacks an option, or ignores a field, its stage comes once for each of the choices.

        Args:
            instead: choices of a field that take the place of its own.
        """
        return map(self.stage, product(*(self.named() | instead).values()))

    def to_dict(self) -> dict[str, Any]:
        """Plain data; what is fixed is a bare value."""
        record = {name: _bare(getattr(self, name)) for name in STAGE_FIELDS}
        options = {name: _bare(choices) for name, choices in self.options.items()}
        return record | ({"options": options} if options else {})

    @classmethod
    def from_dict(cls, record: Any, owner: str = "stage choices") -> StageChoices:
        """Read a mapping of the fields. Raises ValueError naming `owner` and the key or value at fault."""
        check_keys(owner, record, [f.name for f in fields(cls)], STAGE_FIELDS[:-1])
        try:
            return cls(**record)
        except ValueError as error:
            raise ValueError(f"{owner}: {error}") from None


def _several(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, list | tuple) else (given,)


def _bare(choices: tuple[Any, ...]) -> Any:
    return list(choices) if len(choices) > 1 else choices[0]


def _distinct(name: str, choices: tuple[Any, ...]) -> tuple[Any, ...]:
    if not choices:
        raise ValueError(f"{name} has no choices")
    if len(set(choices)) < len(choices):
        raise ValueError(f"{name} has a choice twice: {list(choices)}")
    return choices


@dataclass(frozen=True)
class Constraints:
    """Bounds an architecture must keep, inclusive; None = no bound. MACs are counted at `image_size`."""

    params_min: int | None = None  # parameters
    params_max: int | None = None  # parameters
    macs_min: int | None = None  # multiply-accumulates of one image
    macs_max: int | None = None  # multiply-accumulates of one image
    image_size: int = 224  # pixels that MACs are counted at; a search fills in its own
    num_classes: int = 1000  # that the classifier is counted for; a search fills in its data's, where it knows them
    in_channels: int = 3  # that the stem is counted for; likewise

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            if value is None and name.endswith(("_min", "_max")):
                continue
            lowest = 0 if name.endswith(("_min", "_max")) else 1
            whole = isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
            if not whole or value < lowest:
                raise ValueError(f"constraint {name} must be a whole number >= {lowest}, got {value!r}")
            object.__setattr__(self, name, int(value))
        for name in ("params", "macs"):
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            if low is not None and high is not None and low > high:
                raise ValueError(f"constraint {name}_min {low} is above {name}_max {high}")

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Constraints:
        """Read a mapping of some of the fields. Raises ValueError naming the key or value at fault."""
        check_keys("space constraints", record, [f.name for f in fields(cls)])
        return cls(**record)

    def __bool__(self) -> bool:
        return any(bound is not None for bound in (self.params_min, self.params_max, self.macs_min, self.macs_max))

    def violation(self, params: Any, macs: Any) -> Any:
        """How far outside the bounds: 0 inside; else the sum of the logarithms of the factors missing. Arrays too."""
        total = np.zeros(np.shape(params))
        for value, low, high in ((params, self.params_min, self.params_max), (macs, self.macs_min, self.macs_max)):
            if low:
                total = total + np.maximum(0.0, np.log(low) - np.log(value))
            if high is not None:
                total = total + np.maximum(0.0, np.log(value) - np.log(max(high, 1e-9)))
        return total
