"""The records of an architecture, their canonical JSON and their block strings. Numbers and strings only; no torch."""

from __future__ import annotations

import hashlib
import json
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import cached_property
from typing import Any

# Every op the records know, with its code in Google's block strings (`c1`) and in timm's (`er`).
OP_CODES = {"mbconv": ("c0", "ir"), "fused_mbconv": ("c1", "er")}

STAGE_FIELDS = ("op", "layers", "kernel_size", "expansion", "channels", "stride", "se_ratio")


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
    return float(value)


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

    op: str  # a key of OP_CODES
    layers: int  # blocks, >= 1
    kernel_size: int  # odd
    expansion: int  # expanded channels / input channels, >= 1
    channels: int  # output channels
    stride: int  # of the first block: 1 or 2
    se_ratio: float = 0.0  # squeeze channels / block input channels; 0 = no squeeze-and-excitation

    def __post_init__(self) -> None:
        if not isinstance(self.op, str) or self.op not in OP_CODES:
            raise ValueError(f"unknown op {self.op!r}; known: {', '.join(sorted(OP_CODES))}")
        for name in ("layers", "kernel_size", "expansion", "channels", "stride"):
            object.__setattr__(self, name, _whole("stage", name, getattr(self, name), 1))
        if self.kernel_size % 2 == 0:
            raise ValueError(f"stage kernel_size must be odd, got {self.kernel_size}")
        if self.stride > 2:
            raise ValueError(f"stage stride must be 1 or 2, got {self.stride}")
        object.__setattr__(self, "se_ratio", _fraction("stage", "se_ratio", self.se_ratio, 1.0))


@dataclass(frozen=True)
class Architecture:
    """A network as data: a 3x3 stem convolution, stages, a 1x1 head convolution, and hints for its use.

    Hints do not change the layers: the image sizes it is evaluated and trained at (square, pixels; None = not said)
    and the dropout rate before the classifier.

    Raises: ValueError if a field is of the wrong type or out of range.
    """

    stem_channels: int
    stages: tuple[Stage, ...]
    head_channels: int
    stem_stride: int = 2
    image_size: int | None = None
    train_image_size: int | None = None
    dropout: float = 0.2

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
        # Not `asdict`: it copies what it finds deeply, and searches ask for thousands of arch_ids.
        stages = [{name: getattr(stage, name) for name in STAGE_FIELDS} for stage in self.stages]
        return {**{f.name: getattr(self, f.name) for f in fields(self)}, "stages": stages}

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no white space; equal architectures give the same text."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Architecture:
        """Read what `to_dict` wrote. Raises ValueError naming an unknown, missing or bad key."""
        check_keys("architecture", record, [f.name for f in fields(cls)], ("stem_channels", "stages", "head_channels"))
        if not isinstance(record["stages"], list | tuple):
            raise ValueError(f"architecture stages must be a list, got {type(record['stages']).__name__}")
        stages = []
        for number, stage in enumerate(record["stages"], start=1):
            check_keys(f"stage {number}", stage, STAGE_FIELDS, STAGE_FIELDS[:-1])
            try:
                stages.append(Stage(**stage))
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


_BLOCK_PART = re.compile(r"(se|[rksecio])([0-9.]+)")
_TIMM_OPS = {"ir": "mbconv", "ds": "mbconv", "er": "fused_mbconv", "cn": "fused_mbconv"}
_TIMM_CODES = {("mbconv", 1): "ds", ("fused_mbconv", 1): "cn"}  # timm has codes of their own for expansion 1


def to_block_strings(architecture: Architecture, dialect: str = "google") -> list[str]:
    """Write the stages as block strings, one per stage.

    Args:
        dialect: `google` (`r4_k3_s2_e4_i24_o48_c1`) or `timm` (`er_r4_k3_s2_e4_c48`; expansion 1 is written as timm's
            own networks do, `cn_..._skip` for one convolution and `ds_...` for a depthwise-separable block).
    Raises: ValueError for an unknown dialect, and for a stage that timm has no block for.
    """
    if dialect not in ("google", "timm"):
        raise ValueError(f"unknown dialect {dialect!r}; known: google, timm")
    strings, in_channels = [], architecture.stem_channels
    for number, stage in enumerate(architecture.stages, start=1):
        google_code, timm_code = OP_CODES[stage.op]
        size = f"r{stage.layers}_k{stage.kernel_size}_s{stage.stride}_e{stage.expansion}"
        se = f"_se{Decimal(repr(stage.se_ratio)):f}" if stage.se_ratio else ""  # every digit, never an exponent
        if dialect == "google":
            code = f"_{google_code}" if google_code != "c0" else ""
            strings.append(f"{size}_i{in_channels}_o{stage.channels}{se}{code}")
        else:
            code = _TIMM_CODES.get((stage.op, stage.expansion), timm_code)
            if code == "cn" and se:
                raise ValueError(f"stage {number}: timm has no one-convolution block with squeeze-and-excitation")
            strings.append(f"{code}_{size}_c{stage.channels}{se}{'_skip' if code == 'cn' else ''}")
        in_channels = stage.channels
    return strings


def from_block_strings(
    strings: Sequence[str], *, stem_channels: int | None = None, head_channels: int = 1280, **hints: Any
) -> Architecture:
    """Read block strings of either dialect.

    Args:
        stem_channels: default: the first string's `i`, or timm's default of 32 where strings carry no `i`.
        head_channels: default 1280, that of timm and of EfficientNetV2.
        hints: further fields of Architecture, such as `stem_stride` or `image_size`.
    Raises: ValueError that quotes the string which cannot be read, whose `i` is not the previous stage's output, or
        which means a block that no op here builds.
    """
    if not strings:
        raise ValueError("no block strings given")
    parsed = [_parse_block(text) for text in strings]
    if stem_channels is None:
        stem_channels = parsed[0][1] or 32
    stages, in_channels = [], stem_channels
    for text, (stage, given) in zip(strings, parsed, strict=True):
        if given not in (None, in_channels):
            raise ValueError(f"block string {text!r} takes {given} channels but gets {in_channels}")
        stages.append(stage)
        in_channels = stage.channels
    return Architecture(stem_channels, tuple(stages), head_channels, **hints)


def _parse_block(text: str) -> tuple[Stage, int | None]:
    """Read one block string; the second value is its input's channels, where it gives them."""
    head, *parts = text.strip().split("_")
    timm = head in _TIMM_OPS
    values: dict[str, str] = {}
    for part in parts if timm else [head, *parts]:
        match = _BLOCK_PART.fullmatch(part)
        if match and match[1] not in values:
            values[match[1]] = match[2]
        elif part != "skip":  # `noskip` would be another network: every block here has its residual
            raise ValueError(f"cannot read {part!r} in block string {text!r}")
    try:
        expansion = float(values.get("e", "1"))
        if not expansion.is_integer():
            raise ValueError(f"expansion must be a whole number, got {expansion:g}")
        stage = Stage(
            op=_TIMM_OPS[head] if timm else _google_op(values.get("c", "0")),
            layers=int(values["r"]),
            kernel_size=int(values["k"]),
            expansion=int(expansion),
            channels=int(values["c" if timm else "o"]),
            stride=int({"11": "1", "22": "2"}.get(values["s"], values["s"])),
            se_ratio=float(values.get("se", "0")),
        )
        in_channels = int(values["i"]) if "i" in values else None
    except KeyError as error:
        raise ValueError(f"block string {text!r} has no {error.args[0]!r}") from None
    except ValueError as error:
        raise ValueError(f"cannot read block string {text!r}: {error}") from None
    if timm:
        _check_timm(text, head, stage, skips="skip" in parts)
    return stage, in_channels


def _google_op(code: str) -> str:
    codes = {google.removeprefix("c"): name for name, (google, _) in OP_CODES.items()}
    if code not in codes:
        raise ValueError(f"unknown conv type c{code}; known: {', '.join(f'c{known}' for known in sorted(codes))}")
    return codes[code]


def _check_timm(text: str, head: str, stage: Stage, *, skips: bool) -> None:
    """Refuse the strings that timm builds another network of than this toolkit would."""
    # timm's `ir` and `er` keep their expanding convolution at expansion 1; its `ds` and `cn` never expand
    if head != _TIMM_CODES.get((stage.op, stage.expansion), OP_CODES[stage.op][1]):
        raise ValueError(f"block string {text!r}: timm's {head!r} with expansion {stage.expansion} is no op known here")
    if head == "cn" and not skips:
        raise ValueError(f"block string {text!r} has no residual; only `cn_..._skip` is known")
    if head == "cn" and stage.se_ratio:
        raise ValueError(f"block string {text!r}: timm's 'cn' ignores squeeze-and-excitation")
