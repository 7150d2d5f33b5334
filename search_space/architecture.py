"""The records of an architecture, and their canonical JSON. Numbers and strings only; no torch."""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property, lru_cache
from typing import Any

from search_space.ops import STAGE_FIELDS as STAGE_FIELDS
from search_space.ops import find_op
from search_space.ops.option import NO_OPTIONS

# The fields that the JSON of every architecture has. Those added later stand in it only where they are not at their
# default, so that what was written before they came keeps its JSON and its id.
ARCHITECTURE_FIELDS = (
    "stem_channels",
    "stages",
    "head_channels",
    "stem_stride",
    "image_size",
    "train_image_size",
    "dropout",
)


def _whole(owner: str, name: str, value: Any, lowest: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{owner} {name} must be a whole number, got {value!r}") from None
    if isinstance(value, bool) or number < lowest:
        raise ValueError(f"{owner} {name} must be a whole number >= {lowest}, got {value!r}")
    return number


def _fraction(owner: str, name: str, value: Any, highest: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
        raise ValueError(f"{owner} {name} must be a number in [0, {highest:g}], got {value!r}")
    return float(value) + 0.0  # -0.0 is 0.0, and must not make a second JSON


def check_keys(owner: str, given: Any, known: Sequence[str], required: Sequence[str] = ()) -> None:
    """Raise a ValueError unless `given` is a mapping; name its first unknown or missing key and what is allowed."""
    if not isinstance(given, Mapping):
        raise ValueError(f"{owner} must be a mapping, got {type(given).__name__}")
    for key in given:
        if key not in known:
            raise ValueError(f"unknown key {key!r} in {owner}; known: {', '.join(known)}")
    for key in required:
        if key not in given:
            raise ValueError(f"missing key {key!r} in {owner}")


@dataclass(frozen=True)
class Stage:
    """One stage: `layers` blocks of the same op; only the first block strides and changes the channels.

    Raises: ValueError if a field is of the wrong type or out of range.
    Source: EfficientNetV2 (arXiv:2104.00298), table 4.
    """

    op: str  # a key of OPS, or `module:Name`
    layers: int  # blocks, >= 1
    kernel_size: int  # odd
    expansion: int  # expanded channels / input channels, >= 1
    channels: int  # output channels
    stride: int  # of the first block: 1 or 2
    se_ratio: float = 0.0  # squeeze channels / block input channels; 0 = no squeeze-and-excitation
    options: Mapping[str, Any] = NO_OPTIONS  # the op's own hyperparameters, each of them; left out = its default

    def __post_init__(self) -> None:
        op = find_op(self.op)
        for name in ("layers", "kernel_size", "expansion", "channels", "stride"):
            object.__setattr__(self, name, _whole("stage", name, getattr(self, name), 1))
        if self.kernel_size % 2 == 0:
            raise ValueError(f"stage kernel_size must be odd, got {self.kernel_size}")
        if self.stride > 2:
            raise ValueError(f"stage stride must be 1 or 2, got {self.stride}")
        object.__setattr__(self, "se_ratio", _fraction("stage", "se_ratio", self.se_ratio, 1.0))
        if self.options is not NO_OPTIONS or op.options:
            object.__setattr__(self, "options", op.checked(self.op, self.options))

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain data, less options at their default."""
        record = {name: getattr(self, name) for name in STAGE_FIELDS}
        record.update(_added(self, _SAID))
        if changed := self.changed_options():
            record["options"] = changed
        return record

    def changed_options(self) -> dict[str, Any]:
        """The options that are not at the op's default."""
        return find_op(self.op).without_defaults(self.options) if self.options else {}

    def to_json(self) -> str:
        """Canonical JSON, as it stands in that of an architecture."""
        return self._plain_json if not self.options else _canonical(self.to_dict())

    @cached_property
    def _plain_json(self) -> str:
        return _canonical(self.to_dict())

    @property
    def label(self) -> str:
        """The op with its options, for a reader: `ghost (ratio 3)`."""
        options = ", ".join(f"{name} {value}" for name, value in self.options.items())
        return f"{self.op} ({options})" if options else self.op

    def named(self) -> dict[str, Any]:
        """What a table has columns of: the fields that every stage has, then the op's own options."""
        return {name: getattr(self, name) for name in STAGE_FIELDS} | dict(self.options)


_SAID = (*STAGE_FIELDS, "options")


@dataclass(frozen=True)
class Architecture:
    """A network as data: a 3x3 stem convolution, stages, a 1x1 head convolution, and hints for its use.

    Hints do not change the layers: the image sizes it is evaluated and trained at (square, pixels; None = not said)
    and the dropout rate before the classifier.

    Raises: ValueError if a field is of the wrong type or out of range.
    """

    stem_channels: int  # output channels
    stages: tuple[Stage, ...]  # in order
    head_channels: int  # output channels
    stem_stride: int = 2  # 1 or 2
    image_size: int | None = None  # pixels
    train_image_size: int | None = None  # pixels
    dropout: float = 0.2  # [0, 0.99]

    def __post_init__(self) -> None:
        for name in ("stem_channels", "head_channels", "stem_stride"):
            object.__setattr__(self, name, _whole("architecture", name, getattr(self, name), 1))
        if self.stem_stride > 2:
            raise ValueError(f"architecture stem_stride must be 1 or 2, got {self.stem_stride}")
        object.__setattr__(self, "stages", tuple(self.stages))
        if not self.stages or not all(isinstance(stage, Stage) for stage in self.stages):
            raise ValueError("architecture stages must be one or more Stage records")
        for name in ("image_size", "train_image_size"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _whole("architecture", name, getattr(self, name), 1))
        object.__setattr__(self, "dropout", _fraction("architecture", "dropout", self.dropout, 0.99))

    @cached_property
    def arch_id(self) -> str:
        """Twelve hexadecimal digits of the hash of the canonical JSON: equal architectures, equal ids."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings; `from_dict` gives the same architecture back."""
        return self._fields() | {"stages": [stage.to_dict() for stage in self.stages]}

    def _fields(self) -> dict[str, Any]:
        # Not `asdict`: it copies what it finds deeply, and searches ask for thousands of arch_ids.
        return {name: getattr(self, name) for name in ARCHITECTURE_FIELDS} | _added(self, ARCHITECTURE_FIELDS)

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no white space; equal architectures give the same text."""
        around = _canonical(self._fields() | {"stages": None})
        stages = ",".join([stage.to_json() for stage in self.stages])  # which many architectures share
        return around.replace('"stages":null', f'"stages":[{stages}]', 1)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Architecture:
        """Read what `to_dict` wrote. Raises ValueError naming an unknown, missing or bad key."""
        kind: Any = cls  # whose hash mypy takes for its instances'
        check_keys("architecture", record, _names(kind), ("stem_channels", "stages", "head_channels"))
        if not isinstance(record["stages"], list | tuple):
            raise ValueError(f"architecture stages must be a list, got {type(record['stages']).__name__}")
        stages = []
        for number, stage in enumerate(record["stages"], start=1):
            if type(stage) is not dict or stage.keys() != _USUAL:
                check_keys(f"stage {number}", stage, _names(Stage), STAGE_FIELDS[:-1])
            try:
                stages.append(_stage(stage))
            except ValueError as error:
                raise ValueError(f"stage {number}: {error}") from None
        return cls(**{**record, "stages": tuple(stages)})

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """Read canonical (or any other) JSON of an architecture. Raises ValueError."""
        try:
            record = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from None
        return cls.from_dict(record)


def from_canonical(texts: Iterable[str]) -> Iterator[Architecture]:
    """Read what `Architecture.to_json` gave, of many architectures: they share most of their stages.

    Raises: ValueError as `Architecture.from_json` does.
    """
    known: dict[str, Stage] = {}
    arounds: dict[tuple[str, str], dict[str, Any]] = {}
    for text in texts:
        before, _, rest = text.partition(_BEFORE_STAGES)
        stages, _, after = rest.rpartition("}]")
        around = arounds.get((before, after))
        parts = stages.split("},{")
        if around is None or not known.keys() >= set(parts):
            architecture = Architecture.from_json(text)
            if all(stage.options is NO_OPTIONS for stage in architecture.stages) and text == architecture.to_json():
                known.update(zip(parts, architecture.stages, strict=True))
                arounds[before, after] = {k: v for k, v in vars(architecture).items() if k != "stages"}
            yield architecture
            continue
        architecture = object.__new__(Architecture)
        vars(architecture).update(around, stages=tuple([known[part] for part in parts]))
        yield architecture


_BEFORE_STAGES = '"stages":[{'
_USUAL = frozenset(STAGE_FIELDS)


def _stage(record: Mapping[str, Any]) -> Stage:
    """Read a stage; one that was read before, as most of a log's, is not checked again."""
    if "options" in record or find_op(record["op"]).options:
        return Stage(**record)
    try:
        return _known_stage(**record)
    except TypeError:  # a list or a mapping, of which Stage says what is wrong
        return Stage(**record)


@lru_cache(maxsize=1 << 14, typed=True)
def _known_stage(**record: Any) -> Stage:
    return Stage(**record)


def _canonical(record: Mapping[str, Any]) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":"))


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))


def _added(record: Any, first: Sequence[str]) -> dict[str, Any]:
    """Give the fields that came after the `first` ones and are not at their default."""
    later = _later(record.__class__, tuple(first))
    return {name: value for name, default in later if (value := getattr(record, name)) != default}


@cache
def _later(kind: Any, first: tuple[str, ...]) -> tuple[tuple[str, Any], ...]:
    return tuple((f.name, f.default) for f in fields(kind) if f.name not in first)
