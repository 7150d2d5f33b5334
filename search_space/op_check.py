"""Does an op's formula say what its module costs? One that does not gives wrong sizes and rewards without a word."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from search_space.cost import output_size, stage_blocks, stage_inputs
from search_space.ops import BUILT_IN, Block, find_op
from search_space.space import SearchSpace

_PUT_OUT = ("convolution", "addmm", "mm", "bmm", "baddbmm")  # what convolutions and linear layers come down to
_SIDES = (8, 7)  # pixels; an odd number shows how a stride rounds


class OpFault(NamedTuple):
    """Where a block is not what its op says."""

    what: str  # "shape", "params", "MACs", "activations", "ignores", or "module" where none can be built or run
    text: str  # one line


def space_faults(space: SearchSpace, samples: int = 32) -> list[OpFault]:
    """Compare the ops of a space that do not come with the toolkit with their modules, which are built.

    Args:
        samples: architectures whose blocks are looked at.
    Returns: the first of each kind of each op.
    Raises: ValueError for a formula that cannot be computed.
    """
    found: dict[tuple[str, str], OpFault] = {}
    for name, block in _own_blocks(space, samples):
        for fault in op_faults(name, block):
            found.setdefault((name, fault.what), fault)
    return list(found.values())


def _own_blocks(space: SearchSpace, samples: int) -> Iterator[tuple[str, Block]]:
    """Give each different block of a sample once."""
    rng, seen = np.random.default_rng(0), set()
    for _ in range(samples):
        for stage, channels, _size in stage_inputs(space.sample(rng), 1):
            if find_op(stage.op) in BUILT_IN:
                continue
            for block in stage_blocks(stage, channels)[: stage.layers]:
                if (key := (stage.op, block)) not in seen:
                    seen.add(key)
                    yield key


def op_faults(name: str, block: Block) -> list[OpFault]:
    """Build a block of an op, and compare it with what the op says of it, at an even and an odd image size.

    Args:
        name: a key of `OPS`, or `module:Name`.
        block: its arguments; pixels are chosen here.
    Returns: what differs, one of a kind, counted as `search_space.cost` counts; none if nothing does. A wrong shape
        hides the others.
    Raises: ValueError for a formula that cannot be computed.
    """
    faults: dict[str, OpFault] = {}
    where = f"op {name}, a block of {_described(block)}"
    try:
        runs = _run(name, block)
    except Exception as error:
        return [OpFault("module", f"{where}: its module fails: {error!r}")]
    for side, (shape, built) in zip(_SIDES, runs, strict=True):
        out = output_size(side, block.stride)
        said = find_op(name).counted(name, block._replace(in_pixels=side**2, out_pixels=out**2))
        if shape != (block.channels, out, out):
            text = f"{where}: its module makes {_shape(block.in_channels, side, side)} into {_shape(*shape)}"
            return [OpFault("shape", f"{text}, not {_shape(block.channels, out, out)}")]
        for what, formula, has in zip(("params", "MACs", "activations"), said, built, strict=True):
            if int(formula) != has:
                size = "" if what == "params" else f" at {side} px"
                text = f"{where}: its cost says {formula:,} {what}{size}, its module has {has:,}"
                faults.setdefault(what, OpFault(what, text))
    return [*faults.values(), *_read_though_ignored(name, block, where)]


def _read_though_ignored(name: str, block: Block, where: str) -> Iterator[OpFault]:
    """Give the fields that an op says it ignores and that change what it counts."""
    op = find_op(name)
    others = {
        "kernel_size": block._replace(kernel_size=block.kernel_size + 2),
        "expansion": block._replace(expansion=block.expansion + 1),
        "se_ratio": block._replace(squeeze=block.squeeze + 1),
    }
    for field in op.ignores:
        if op.counted(name, others[field]) != op.counted(name, block):
            yield OpFault("ignores", f"{where}: its cost changes with {field}, which it says that it ignores")


class _Ran(NamedTuple):
    """What became of one image."""

    shape: tuple[int, ...]  # (channels, height, width)
    counts: tuple[int, int, int]  # parameters, MACs, activations


def _run(name: str, block: Block) -> list[_Ran]:
    """Build a block and run it at each of the sizes."""
    try:
        return _run_on("meta", name, block)  # needs neither memory nor time
    except Exception:
        return _run_on("cpu", name, block)  # what looks at numbers


def _run_on(device: str, name: str, block: Block) -> list[_Ran]:
    with torch.random.fork_rng(devices=()), torch.device(device):
        module: nn.Module = find_op(name).module(block, 0.0).eval()
        params = sum(each.numel() for each in module.parameters())
        return [_ran(module, params, torch.zeros(1, block.in_channels, side, side)) for side in _SIDES]


def _ran(module: nn.Module, params: int, image: Tensor) -> _Ran:
    flops, activations = FlopCounterMode(display=False), _Activations()
    with torch.no_grad(), warnings.catch_warnings(), flops, activations:
        warnings.simplefilter("ignore")
        out = module(image)
    return _Ran(tuple(out.shape[1:]), (params, flops.get_total_flops() // 2, activations.count))


class _Activations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the elements that convolutions and linear layers put out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in _PUT_OUT:
            self.count += out.numel()
        return out


def _shape(*sides: int) -> str:
    return " x ".join(map(str, sides))


def _described(block: Block) -> str:
    options = "".join(f", {name} {value}" for name, value in block.options.items())
    return (
        f"{block.in_channels} to {block.channels} channels (kernel {block.kernel_size}, expansion {block.expansion}, "
        f"stride {block.stride}{options})"
    )
