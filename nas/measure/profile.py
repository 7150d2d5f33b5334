"""What an architecture costs: parameters, MACs, activations, step time and memory; in all, and part by part."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch

from nas.measure.clock import choose_clock
from nas.measure.device_lock import DeviceLock
from nas.measure.settings import StepTimeSettings
from nas.measure.stage_time import PartTime, part_times
from nas.measure.step_time import StepTime, make_batch, step_time
from nas.training.settings import EXECUTION, ExecutionSettings, TrainSettings
from nas.training.step import make_step
from search_space import cost
from search_space.architecture import Architecture
from search_space.block_strings import to_block_strings
from search_space.cost import Cost
from search_space.layer_table import layer_table
from search_space.network import build_network

STEPS = 10  # eager steps whose parts are timed


class StaticPart(NamedTuple):
    """What can be counted of a part: parameters; MACs and activations for one image."""

    what: str  # a stage's block string
    params: int
    macs: int
    activations: int


@dataclass(frozen=True)
class PartRow:
    """One part of a network: its static costs (counted by fvcore) and its share of the training step."""

    name: str  # stem, stage1, ..., head; update
    what: str  # a stage's block string
    params: int  # 0 for the update, as are MACs and activations
    macs: int  # for one image
    activations: int  # for one image
    forward_s: float
    backward_s: float
    share: float  # of the step's time, [0, 1]; all parts make up 1


@dataclass(frozen=True)
class ProfileRow:
    """One architecture: its costs in all, its step time beside the reference network's, and its parts."""

    architecture: Architecture
    cost: Cost  # for one image; closed form
    step_time: StepTime
    parts: tuple[PartRow, ...]


def profile(
    architecture: Architecture,
    *,
    reference: Architecture,
    device: torch.device,
    image_size: int,
    batch_size: int,
    num_classes: int = 1000,
    in_channels: int = 3,
    precision: Literal["auto", "fp32", "bf16"] | None = None,
    settings: StepTimeSettings | None = None,
    train_settings: TrainSettings | None = None,
    execution: ExecutionSettings = EXECUTION,
) -> ProfileRow:
    """Measure one architecture on a device.

    Times of parts are those within real steps (see `part_times`), in proportion to the step time measured beside the
    reference. They are eager: where the step is captured as a CUDA graph, launching costs weigh more in the parts.

    Args:
        reference: the architecture whose step time is 1.
        device: as `resolve_device` gives it.
        image_size: height and width, pixels.
        batch_size: images per step.
        precision: in place of that of `execution`.
        settings: of the timer; default: its defaults.
        train_settings, execution: of the training whose step this is; default: their defaults.
    Raises: StepOutOfMemory if not even one image fits.
    """
    settings = settings or StepTimeSettings()
    train_settings = replace(train_settings or TrainSettings(), batch_size=batch_size)
    if precision is not None:
        execution = replace(execution, precision=precision)
    candidate, other = (
        build_network(each, num_classes, in_channels, drop_path=train_settings.drop_path)
        for each in (architecture, reference)
    )
    measured = step_time(
        candidate,
        other,
        settings,
        train_settings,
        execution=execution,
        image_size=image_size,
        in_channels=in_channels,
        num_classes=num_classes,
        batch_size=batch_size,
        device=device,
    )
    eager = replace(execution, cuda_graph="off", micro_batch=measured.micro_batch)
    with DeviceLock(device).timing() if settings.lock else nullcontext():
        step = make_step(candidate, train_settings, device=device, total_steps=STEPS, execution=eager)
        batch = make_batch((batch_size, in_channels, image_size, image_size), num_classes, eager, device)
        step(*batch)
        times = part_times(step, batch, STEPS, choose_clock(settings.clock, device)[1])
    static = static_parts(architecture, image_size, num_classes, in_channels)
    total_s = sum(time.forward_s + time.backward_s for time in times)
    scale = measured.step_time_s / total_s
    return ProfileRow(
        architecture,
        cost.count(architecture, image_size, num_classes, in_channels),
        measured,
        tuple(_row(time, static.get(time.name), scale, total_s) for time in times),
    )


def static_parts(
    architecture: Architecture, image_size: int, num_classes: int = 1000, in_channels: int = 3
) -> dict[str, StaticPart]:
    """Count the parts of an architecture with fvcore, without computing anything: stem, stage1, ..., head."""
    with torch.device("meta"):
        network = build_network(architecture, num_classes, in_channels)
    rows = {row.name: row for row in layer_table(network, image_size, in_channels)}
    stages = range(len(architecture.stages))
    modules = {
        "stem": ("conv_stem", "bn1"),
        **{f"stage{number + 1}": (f"blocks.{number}",) for number in stages},
        "head": ("conv_head", "bn2", "classifier"),
    }
    blocks = to_block_strings(architecture)
    what = {"stem": f"conv {architecture.stem_channels}", "head": f"conv {architecture.head_channels}, classifier"}
    what |= {f"stage{number + 1}": blocks[number] for number in stages}
    return {
        part: StaticPart(
            what[part],
            sum(rows[name].params for name in names),
            sum(rows[name].macs for name in names),
            sum(rows[name].activations for name in names),
        )
        for part, names in modules.items()
    }


def _row(time: PartTime, static: StaticPart | None, scale: float, total_s: float) -> PartRow:
    share = (time.forward_s + time.backward_s) / total_s
    what, params, macs, activations = static or ("", 0, 0, 0)
    return PartRow(time.name, what, params, macs, activations, time.forward_s * scale, time.backward_s * scale, share)
