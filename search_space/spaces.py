"""Ready-made search spaces: EfficientNetV2's, that of Vertex AI around its B0, and a small one for 32-pixel images."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from search_space.architecture import Architecture, check_keys
from search_space.choices import Constraints, StageChoices
from search_space.families import published
from search_space.lookup import find
from search_space.middle import middle_of
from search_space.ops import find_op
from search_space.ops.option import NO_OPTIONS
from search_space.space import SearchSpace

OPS_OF_THE_PAPER = ("mbconv", "fused_mbconv")


def efficientnetv2(
    backbone: str = "efficientnet_b4",
    *,
    op: str | Sequence[str] = OPS_OF_THE_PAPER,
    se_ratio: float | Sequence[float] = 0.25,
    layers: Sequence[float] = (0.5, 0.75, 1, 1.5, 2),
    image_size: int | None = None,
    constraints: Mapping[str, Any] | None = None,
) -> SearchSpace:
    """Give the space of the EfficientNetV2 paper: op, kernel size, expansion and layers of each stage of a backbone.

    Args:
        backbone: a published name; its channels and strides are kept, "as they are already searched".
        op: of every stage, one or several: `module:NAME` is one of yours.
        se_ratio: of every stage; several values make it a decision (the paper's search kept it; its winner S has none
            in its fused stages, so `[0, 0.25]` is the space that could have found it).
        layers: choices per stage as multiples of the backbone's layers, rounded, at least 1. The paper gives no list.
        image_size: evaluation size of the candidates, pixels; default: the backbone's.
        constraints: fields of Constraints.
    Raises: ValueError for an unknown backbone or a bad choice.
    Source: arXiv:2104.00298, section 3.2.
    """
    base = published(backbone)
    if not isinstance(layers, list | tuple) or not all(isinstance(f, int | float) and f > 0 for f in layers):
        raise ValueError(f"space efficientnetv2 layers must be a list of positive factors, got {layers!r}")
    stages = tuple(
        StageChoices(
            op=op,  # type: ignore[arg-type]  # one or several, as every field
            layers=tuple(sorted({max(1, int(stage.layers * factor + 0.5)) for factor in layers})),
            kernel_size=(3, 5),
            expansion=(1, 4, 6),
            channels=(stage.channels,),
            stride=(stage.stride,),
            se_ratio=se_ratio,  # type: ignore[arg-type]  # one or several, as every field
        )
        for stage in base.stages
    )
    return _around(base, stages, image_size, constraints)


def _around(
    base: Architecture,
    stages: tuple[StageChoices, ...],
    image_size: int | None,
    constraints: Mapping[str, Any] | None,
) -> SearchSpace:
    """Give the space of these stages between a backbone's stem and head, with the backbone for its reference."""
    return SearchSpace(
        stem_channels=base.stem_channels,
        stages=stages,
        head_channels=base.head_channels,
        image_size=image_size or base.image_size,
        train_image_size=base.train_image_size,
        dropout=base.dropout,
        constraints=_constraints(constraints),
        reference=base,
    )


def vertex(
    *,
    op: str | Sequence[str] = OPS_OF_THE_PAPER,
    activation: str | Sequence[str] = ("swish", "relu"),
    image_size: int | None = None,
    constraints: Mapping[str, Any] | None = None,
) -> SearchSpace:
    """Give the EfficientNetV2 space that Vertex AI published: around V2-B0, with channels and squeeze-and-excitation.

    Each stage has a layer less or more, 0.75 or 1.25 times the channels (in whole numbers, no multiples of eight),
    expansion 1, 2, 4 or 6, and kernel 3 or 5: 3.8e14 architectures.

    Args:
        op: of every stage, one or several: `module:NAME` is one of yours.
        activation: of the ops that have an option `activation`, 2.4e16 architectures then; the paper's have none.
        image_size: evaluation size of the candidates, pixels; default: B0's.
        constraints: fields of Constraints.
    Source: google/vertex-ai-nas, nas_architecture/tunable_efficientnetv2_search_space.py.
    """
    base = published("efficientnetv2_b0")
    names = (op,) if isinstance(op, str) else op
    options = {"activation": activation} if any("activation" in find_op(name).options for name in names) else NO_OPTIONS
    stages = tuple(
        StageChoices(
            op=op,  # type: ignore[arg-type]
            layers=tuple(n for n in (stage.layers - 1, stage.layers, stage.layers + 1) if n > 0),
            kernel_size=(3, 5),
            expansion=(1, 2, 4, 6),
            channels=tuple(int(stage.channels * factor) for factor in (0.75, 1, 1.25)),
            stride=(stage.stride,),
            se_ratio=(0.0, 0.25),
            options=options,  # type: ignore[arg-type]
        )
        for stage in base.stages
    )
    return _around(base, stages, image_size, constraints)


def small(
    *,
    op: str | Sequence[str] = OPS_OF_THE_PAPER,
    stem_stride: int = 1,
    image_size: int | None = 32,
    constraints: Mapping[str, Any] | None = None,
) -> SearchSpace:
    """Give a space of four stages for 32-pixel images whose candidates train in seconds to minutes on a CPU core.

    Args:
        op: of every stage, one or several: `module:NAME` is one of yours.
        stem_stride: 1, or 2 to make every candidate about four times cheaper.
        image_size: evaluation size of the candidates, pixels.
        constraints: fields of Constraints.
    """
    stages = tuple(
        StageChoices(
            op=op,  # type: ignore[arg-type]
            layers=layers,
            kernel_size=(3, 5),
            expansion=(1, 4, 6),
            channels=(channels,),
            stride=(stride,),
            se_ratio=(0.0, 0.25),
        )
        for channels, stride, layers in ((16, 1, (1, 2)), (24, 2, (1, 2, 3)), (40, 2, (1, 2, 3)), (64, 2, (1, 2, 3)))
    )
    space = SearchSpace(16, stages, 256, stem_stride, image_size, None, 0.1, _constraints(constraints))
    plain = tuple(replace(stage, op=OPS_OF_THE_PAPER) for stage in stages)  # one unit of S, whichever the ops
    return replace(space, reference=_middle_choices(replace(space, stages=plain)))


# To add one: `SPACES["mine"] = function`. What stands beside `name` in a configuration are the function's arguments.
SPACES: dict[str, Callable[..., SearchSpace]] = {"efficientnetv2": efficientnetv2, "vertex": vertex, "small": small}


def space_from_config(record: Mapping[str, Any]) -> SearchSpace:
    """Read a space as a configuration gives it: `{name: small, ...}` for a ready-made one, else the fields themselves.

    Args:
        record: `name` is a key of SPACES, or `module:function` of one that is not there.
    Raises: ValueError naming the key or value at fault.
    """
    if not isinstance(record, Mapping) or "name" not in record:
        return SearchSpace.from_dict(record)
    name, arguments = record["name"], {key: value for key, value in record.items() if key != "name"}
    if not isinstance(name, str):
        raise ValueError(f"unknown space {name!r}; known: {', '.join(SPACES)}")
    make = find("space", name, SPACES)
    _check_arguments(name, make, arguments)
    space = make(**arguments)
    if not isinstance(space, SearchSpace):
        raise ValueError(f"space {name} must give a SearchSpace, got {type(space).__name__}")
    return space


def _check_arguments(name: str, make: Callable[..., Any], given: Mapping[str, Any]) -> None:
    if not callable(make):
        raise ValueError(f"space {name} must be a function that gives a SearchSpace, got {make!r}")
    parameters = inspect.signature(make).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    needed = [p.name for p in parameters if p.default is p.empty]
    check_keys(f"space {name}", given, [p.name for p in parameters], needed)


def backbone_of(space: SearchSpace) -> Architecture:
    """Give a space's natural reference: the one it names, such as its backbone, else its middle in cost."""
    return space.reference if space.reference is not None else middle_of(space)


def _middle_choices(space: SearchSpace) -> Architecture:
    """Give the middle choice of every decision."""
    middle = np.array([[(len(decision.choices) - 1) // 2 for decision in space.decisions]], dtype=np.int64)
    return space.decode(space.canonical(middle)[0])


def _constraints(given: Mapping[str, Any] | None) -> Constraints:
    return Constraints.from_dict(given or {})
