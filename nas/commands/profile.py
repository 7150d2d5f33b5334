"""`nas profile`: what architectures cost, counted and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nas.architectures import find_architecture
from nas.commands.terminal import Column, console, fixed, short, show, table
from nas.measure.fields import timing_fields
from nas.runs.folder import config_if_run
from search_space.architecture import Architecture
from search_space.block_strings import to_block_strings

if TYPE_CHECKING:
    from nas.measure.profile import ProfileRow

# The last ones go first where a terminal is narrow.
_ROWS = (
    Column("name", "architecture"),
    Column("params", "params", short),
    Column("macs", "MACs", short),
    Column("step_time_ms", "step ms", fixed(1)),
    Column("s_normalised", "S", fixed(3)),
    Column("interval", "interval"),
    Column("peak_memory_mb", "MiB", fixed(0)),
    Column("step_time_p10_ms", "p10", fixed(1)),
    Column("step_time_p90_ms", "p90", fixed(1)),
    Column("activations", "activations", short),
)
_PARTS = (
    Column("name", "part"),
    Column("what", "what"),
    Column("params", "params", short),
    Column("macs", "MACs", short),
    Column("forward_ms", "fwd ms", fixed(2)),
    Column("backward_ms", "bwd ms", fixed(2)),
    Column("share", "share", "{:.1%}".format),
    Column("activations", "activations", short),
)


def profile_command(
    names: Sequence[str],
    reference: str,
    device: str,
    precision: Literal["auto", "fp32", "bf16"],
    batch: int,
    image_size: int | None,
    form: str,
) -> int:
    """Measure architectures beside a reference and print a row for each, then its parts."""
    architectures = [find_architecture(name) for name in names]
    unit = find_architecture(reference)
    from nas.measure.profile import profile
    from nas.training.device import limit_threads, resolve_device

    on = resolve_device(device)
    if on.type == "cpu":
        limit_threads(1)  # more threads than free cores make a step slower and its time meaningless
    profiles = []
    for name, architecture in zip(names, architectures, strict=True):
        size = image_size or architecture.train_image_size or architecture.image_size or _run_size(name) or 224
        profiles.append(
            profile(architecture, reference=unit, device=on, image_size=size, batch_size=batch, precision=precision)
        )
    rows = [_row(name, each) for name, each in zip(names, profiles, strict=True)]
    if form != "table":
        show(rows, form, ())
        return 0
    first = profiles[0].step_time
    console().print(
        f"{first.device_name}, batch {first.batch_size}, {first.precision}, {first.memory_format}, "
        f"{first.clock} time; S: step time over {reference}'s, with its confidence interval",
        soft_wrap=True,
    )
    console().print(table(rows, _ROWS))
    for name, each in zip(names, profiles, strict=True):
        console().print(f"\n{name}, {each.step_time.image_size} px", soft_wrap=True)
        console().print(table([_part(part) for part in each.parts], _PARTS))
    return 0


def _run_size(name: str) -> int | None:
    """The image size that a run searched at, if `name` is one."""
    config = config_if_run(Path(name))
    return config["image_size"] if config else None


def _row(name: str, measured: ProfileRow) -> dict[str, Any]:
    timing = measured.step_time
    return {
        "name": _short_name(name, measured.architecture),
        "arch_id": measured.architecture.arch_id,
        **measured.cost._asdict(),
        "image_size": timing.image_size,
        "batch_size": timing.batch_size,
        "micro_batch": timing.micro_batch,
        "precision": timing.precision,
        "memory_format": timing.memory_format,
        "device_name": timing.device_name,
        **timing_fields(timing),
        "interval": f"{timing.ratio_low:.3f} .. {timing.ratio_high:.3f}",
        "parts": [asdict(part) for part in measured.parts],
    }


def _part(part: Any) -> dict[str, Any]:
    return asdict(part) | {"forward_ms": part.forward_s * 1e3, "backward_ms": part.backward_s * 1e3}


def _short_name(name: str, architecture: Architecture) -> str:
    return name if len(name) <= 24 else f"{to_block_strings(architecture)[0]}.."
