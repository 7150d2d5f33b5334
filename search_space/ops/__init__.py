"""The ops: one file each, and the table that gives them their names. To add one: `OPS["mine"] = Op(...)`."""

from __future__ import annotations

from typing import Any

from search_space.lookup import find
from search_space.ops.fused_mbconv import FUSED_MBCONV
from search_space.ops.mbconv import MBCONV
from search_space.ops.op import STAGE_FIELDS, Block, Op, TimmBlock
from search_space.ops.option import Option, Options

OPS: dict[str, Op] = {"mbconv": MBCONV, "fused_mbconv": FUSED_MBCONV}
BUILT_IN = (MBCONV, FUSED_MBCONV)


def find_op(name: Any) -> Op:
    """Give the op of that name: a key of OPS, or `module:Name`, which then is one.

    Raises: ValueError for an unknown name, with the nearest known one, or for what is no Op.
    """
    try:
        return OPS[name]
    except (KeyError, TypeError):
        pass
    if not isinstance(name, str):
        raise ValueError(f"unknown op {name!r}; known: {', '.join(OPS)}")
    op = find("op", name, OPS)
    if not isinstance(op, Op):
        raise ValueError(f"op {name!r} is no search_space.ops.Op but {op!r}")
    OPS[name] = op  # so that what goes through all ops finds it, too
    return op


def option_names() -> set[str]:
    """The names of all options that any op has."""
    return {name for op in OPS.values() for name in op.options}


__all__ = [
    "BUILT_IN",
    "OPS",
    "STAGE_FIELDS",
    "Block",
    "Op",
    "Option",
    "Options",
    "TimmBlock",
    "find_op",
    "option_names",
]
