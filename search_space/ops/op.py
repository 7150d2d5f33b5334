"""What an op is: everything the toolkit asks of one. No torch until a module is built."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from search_space.lookup import with_hint
from search_space.ops.option import NO_OPTIONS, Option, Options

if TYPE_CHECKING:
    from torch import nn

# What every stage has, whatever its op; an op's own hyperparameters are its options.
STAGE_FIELDS = ("op", "layers", "kernel_size", "expansion", "channels", "stride", "se_ratio")

MAY_IGNORE = ("kernel_size", "expansion", "se_ratio")  # the others say where a block stands

Int = Any  # an int, or an int64 array


class Block(NamedTuple):
    """One block's arguments: ints or, where many architectures are counted at once, arrays. No units."""

    in_channels: Int
    channels: Int
    kernel_size: Int
    expansion: Int
    squeeze: Int = 0  # channels between the two convolutions of squeeze-and-excitation; 0 = none
    in_pixels: Int = 1  # height * width
    out_pixels: Int = 1
    stride: Int = 1
    options: Mapping[str, Any] = NO_OPTIONS  # every option of the op; a value, or an array of them


@dataclass(frozen=True)
class TimmBlock:
    """The block of timm's EfficientNet that an op is."""

    code: str  # what timm's block strings begin with, such as `ir`
    renames: Mapping[str, str] = field(default_factory=dict)  # our layer -> timm's, where the two differ
    single: bool = False  # one convolution: never with squeeze-and-excitation, and its residual must be asked for


@dataclass(frozen=True, eq=False)  # the same or another one: it is a key of what is remembered of it
class Op:
    """An op: give it a name in `OPS`, and stages may use it. All but `module` and `cost` may be left out.

    Args:
        module: builds one block, (N, in_channels, H, W) -> (N, channels, ceil(H / stride), ceil(W / stride)). Its
            second argument is the drop path rate, which can change in training where the module uses
            `search_space.ops.layers.DropPath`. It imports torch itself, so that logs are read without.
        cost: parameters, MACs and activations of one block; plain arithmetic, for ints and arrays alike.
        options: the op's own hyperparameters.
        ignores: fields of a stage that neither `module` nor `cost` reads, of kernel_size, expansion and se_ratio: where
            this op is chosen they are no decision, and stand at their first choice.
        google: its code in Google's block strings, such as `c1`; None: `c` and its name.
        layers: the names of a block's layers in the order they act, in pairs: a convolution without bias and its norm,
            or `se.conv_reduce` and `se.conv_expand`. Weights are exchanged by them; None: they cannot be.
        timm: timm's block, and `timm_unexpanded` the one it has for expansion 1; None: timm has none.
        torchvision_squeeze: squeeze channels of torchvision's block, from its input channels; None: it has no such one.
    Raises: ValueError if an option is called like a field of a stage, or cannot be a part of a name, or a field cannot
        be ignored.
    """

    module: Callable[[Block, float], nn.Module]
    cost: Callable[[Block], tuple[Int, Int, Int]]
    options: Mapping[str, Option] = field(default_factory=dict)
    ignores: tuple[str, ...] = ()
    google: str | None = None
    layers: Callable[[Block], list[tuple[str, str]]] | None = None
    timm: TimmBlock | None = None
    timm_unexpanded: TimmBlock | None = None
    torchvision_squeeze: Callable[[int], int] | None = None

    def __post_init__(self) -> None:
        for name in self.options:
            if name in (*STAGE_FIELDS, "ops", "options") or not (name.isidentifier() and name.isascii()):
                raise ValueError(f"an op cannot have an option called {name!r}: it is a stage's, or no plain name")

        if wrong := set(self.ignores) - set(MAY_IGNORE):
            raise ValueError(f"an op can ignore {', '.join(MAY_IGNORE)}, not {sorted(wrong)[0]!r}")

    def checked(self, name: str, given: Any) -> Options:
        """Give every option's value, its default where `given` has none. Raises ValueError naming op and option."""
        if not isinstance(given, Mapping):
            raise ValueError(f"stage options must be a mapping, got {given!r}")
        for key in given:
            if key not in self.options:
                raise ValueError(f"op {name} has no option {with_hint(str(key), self.options)}")
        if not self.options:
            return NO_OPTIONS
        values = {key: given.get(key, option.default) for key, option in self.options.items()}
        return Options({k: self.options[k].read(f"op {name} option {k}", value) for k, value in values.items()})

    def counted(self, name: str, block: Block) -> tuple[Int, Int, Int]:
        """Give `cost` of a block. Raises ValueError naming the op, and the line, where the formula fails."""
        try:
            counts = self.cost(block)
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            raise ValueError(f"op {name}: its cost fails with {error!r} ({at.filename}, line {at.lineno})") from error
        if not isinstance(counts, tuple) or len(counts) != 3:
            raise ValueError(f"op {name}: its cost must give (parameters, MACs, activations), got {counts!r}")
        return counts

    def without_defaults(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the options that are not at their default."""
        return {name: value for name, value in options.items() if value != self.options[name].default}

    def timm_block(self, expansion: int) -> TimmBlock | None:
        """The block of timm's with this expansion."""
        return self.timm_unexpanded if expansion == 1 else self.timm
