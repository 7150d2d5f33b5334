"""Stages as one line of text each: Google's block strings and timm's, written and read."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from search_space.architecture import Architecture, Stage
from search_space.ops import OPS, TimmBlock, find_op

_NUMBER = re.compile(r"(se|[rksecio])([0-9.]+)")
_GOOGLE_CODE = re.compile(r"(c)([\w.:-]+)", re.ASCII)


def to_block_strings(architecture: Architecture, dialect: str = "google") -> list[str]:
    """Write the stages as block strings, one per stage.

    Args:
        dialect: `google` (`r4_k3_s2_e4_i24_o48_c1`) or `timm` (`er_r4_k3_s2_e4_c48`; expansion 1 is written as timm's
            own networks do, `cn_..._skip` for one convolution and `ds_...` for a depthwise-separable block). In
            Google's, an op that has no number there is written by its name, and options that are not at their default
            stand behind it, each `_` in a name as `-`: `r4_k3_s2_e4_i24_o48_cghost_group-size=2`.
    Raises: ValueError for an unknown dialect, and for a stage that timm has no block for.
    """
    if dialect not in _WRITERS:
        raise ValueError(f"unknown dialect {dialect!r}; known: {', '.join(_WRITERS)}")
    strings, in_channels = [], architecture.stem_channels
    for number, stage in enumerate(architecture.stages, start=1):
        try:
            strings.append(_WRITERS[dialect](stage, in_channels))
        except ValueError as error:
            raise ValueError(f"stage {number}: {error}") from None
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


def timm_block(stage: Stage) -> TimmBlock:
    """Give timm's block that a stage is made of. Raises ValueError where there is none."""
    block = find_op(stage.op).timm_block(stage.expansion)
    if block is None:
        raise ValueError(f"timm has no block for op {stage.op!r} with expansion {stage.expansion}")
    if stage.changed_options():
        raise ValueError(f"timm's {block.code!r} has no option {next(iter(stage.changed_options()))!r}")
    if block.single and stage.se_ratio:
        raise ValueError("timm has no one-convolution block with squeeze-and-excitation")
    return block


def _google(stage: Stage, in_channels: int) -> str:
    op, code = find_op(stage.op), _google_code(stage.op)
    if not _GOOGLE_CODE.fullmatch(code) or "_" in code or _google_op(code) != stage.op:
        raise ValueError(f"conv type {code} of op {stage.op!r} could not be read again")
    options = [f"_{k.replace('_', '-')}={op.options[k].to_text(v)}" for k, v in stage.changed_options().items()]
    shown = f"_{code}" if code != "c0" else ""
    return f"{_size(stage)}_i{in_channels}_o{stage.channels}{_se(stage)}{shown}{''.join(options)}"


def _timm(stage: Stage, in_channels: int) -> str:
    block = timm_block(stage)
    if (owner := _timm_ops()[block.code]) != stage.op:
        raise ValueError(f"timm's {block.code!r} is read as op {owner!r}, not as {stage.op!r}")
    return f"{block.code}_{_size(stage)}_c{stage.channels}{_se(stage)}{'_skip' if block.single else ''}"


_WRITERS: dict[str, Callable[[Stage, int], str]] = {"google": _google, "timm": _timm}


def _size(stage: Stage) -> str:
    return f"r{stage.layers}_k{stage.kernel_size}_s{stage.stride}_e{stage.expansion}"


def _se(stage: Stage) -> str:
    return f"_se{Decimal(repr(stage.se_ratio)):f}" if stage.se_ratio else ""  # every digit, never an exponent


def _google_code(op: str) -> str:
    return find_op(op).google or f"c{op.replace('_', '-')}"  # `_` stands between the parts


def _google_op(code: str) -> str:
    codes = {name: _google_code(name) for name in OPS}
    named = [name for name, known in codes.items() if known == code]
    if len(named) > 1:
        raise ValueError(f"ops {' and '.join(named)} have the same conv type {code}")
    if not named and ":" in code:  # `module:Name`
        find_op(name := code[1:].replace("-", "_"))
        return name
    if not named:
        raise ValueError(f"unknown conv type {code}; known: {', '.join(sorted(codes.values()))}")
    return named[0]


def _timm_ops() -> dict[str, str]:
    """Which op timm's codes mean; the first one where several claim a code."""
    blocks = [(block, name) for name, op in OPS.items() for block in (op.timm, op.timm_unexpanded) if block]
    return {block.code: name for block, name in reversed(blocks)}


def _parse_block(text: str) -> tuple[Stage, int | None]:
    """Read one block string; the second value is its input's channels, where it gives them."""
    head, *parts = text.strip().split("_")
    timm = head in (timm_ops := _timm_ops())
    values, options = _split(text, parts if timm else [head, *parts], timm=timm)
    try:
        expansion = float(values.get("e", "1"))
        if not expansion.is_integer():
            raise ValueError(f"expansion must be a whole number, got {expansion:g}")
        op = timm_ops[head] if timm else _google_op(f"c{values.get('c', '0')}")
        stage = Stage(
            op=op,
            layers=int(values["r"]),
            kernel_size=int(values["k"]),
            expansion=int(expansion),
            channels=int(values["c" if timm else "o"]),
            stride=int({"11": "1", "22": "2"}.get(values["s"], values["s"])),
            se_ratio=float(values.get("se", "0")),
            options=_read_options(op, options),
        )
        in_channels = int(values["i"]) if "i" in values else None
    except KeyError as error:
        raise ValueError(f"block string {text!r} has no {error.args[0]!r}") from None
    except ValueError as error:
        raise ValueError(f"cannot read block string {text!r}: {error}") from None
    if timm:
        _check_timm(text, head, stage, skips="skip" in parts)
    return stage, in_channels


def _split(text: str, parts: Sequence[str], *, timm: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Give the values by their letters, and the options by their names."""
    values: dict[str, str] = {}
    options: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        match = _NUMBER.fullmatch(part) or (None if timm else _GOOGLE_CODE.fullmatch(part))
        if match and match[1] not in values:
            values[match[1]] = match[2]
        elif equals and not timm and name not in options:
            options[name] = value
        elif part != "skip":  # `noskip` would be another network: every block here has its residual
            raise ValueError(f"cannot read {part!r} in block string {text!r}")
    return values, options


def _read_options(op: str, given: dict[str, str]) -> dict[str, Any]:
    known, texts = find_op(op).options, {name.replace("-", "_"): text for name, text in given.items()}
    return {
        name: known[name].from_text(f"op {op} option {name}", text) if name in known else text
        for name, text in texts.items()
    }


def _check_timm(text: str, head: str, stage: Stage, *, skips: bool) -> None:
    """Refuse the strings that timm builds another network of than this toolkit would."""
    # timm's `ir` and `er` keep their expanding convolution at expansion 1; its `ds` and `cn` never expand
    block = find_op(stage.op).timm_block(stage.expansion)
    if block is None or head != block.code:
        raise ValueError(f"block string {text!r}: timm's {head!r} with expansion {stage.expansion} is no op known here")
    if block.single and not skips:
        raise ValueError(f"block string {text!r} has no residual; only `{head}_..._skip` is known")
    if block.single and stage.se_ratio:
        raise ValueError(f"block string {text!r}: timm's {head!r} ignores squeeze-and-excitation")
