"""`nas profile`: what architectures cost, counted and measured."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.commands.arguments import add_format, command, count
from nas.commands.terminal import Column, console, say, show, table
from nas.runs.text import fixed, short
from search_space.block_strings import to_block_strings

if TYPE_CHECKING:
    from nas.data_profile import DataProfile
    from nas.measure.profile import PartRow
    from nas.profiling import Profiled

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

_DATA = (
    Column("image_size", "px"),
    Column("batch_size", "batch"),
    Column("loader", "loading images/s", "{:,.0f}".format),
    Column("step", "step images/s", "{:,.0f}".format),
    Column("wait_share", "waiting", "{:.0%}".format),
    Column("threads_needed", "threads needed"),
    Column("loader_core", "a CPU second", "{:,.0f}".format),
)


def add(commands: Any) -> None:
    """Declare the arguments of `nas profile`."""
    sub = command(commands, "profile", "params, MACs, measured step time and memory of architectures", run)
    sub.add_argument("arch", nargs="*", metavar="ARCH", help="see `nas --help`")
    sub.add_argument(
        "--data",
        type=Path,
        metavar="CONFIG",
        help="do the trainings of a search, or that of ARCH, wait for their data? Takes --device, --format",
    )
    sub.add_argument("--reference", default="efficientnet_b0", metavar="ARCH", help="S = 1 (default: %(default)s)")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    sub.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="default: auto")
    sub.add_argument("--batch", type=count, default=32, metavar="N", help="images per step (default: 32)")
    sub.add_argument("--image-size", type=count, metavar="PX", help="default: the architecture's or run's, or 224")
    sub.add_argument("--num-classes", type=count, metavar="N", help="default: the run's, or 1000")
    sub.add_argument("--in-channels", type=count, metavar="N", help="of the images (default: the run's, or 3)")
    sub.add_argument("--threads", type=count, default=1, metavar="N", help="of a CPU (default: 1)")
    add_format(sub)


def run(a: argparse.Namespace) -> int:
    """Measure architectures beside a reference and print a row for each, then its parts; or the data of a search."""
    if a.data is not None:
        return _data(a)
    if not a.arch:
        raise ValueError("an architecture is needed, or --data CONFIG")
    from nas.profiling import profile

    profiled = profile(
        *a.arch,
        reference=a.reference,
        device=a.device,
        precision=a.precision,
        batch_size=a.batch,
        image_size=a.image_size,
        num_classes=a.num_classes,
        in_channels=a.in_channels,
        threads=a.threads,
    )
    rows = [each.row() | {"name": _short_name(each)} for each in profiled]
    if a.format != "table":
        show(rows, a.format, ())
        return 0
    first = profiled[0].costs.step_time
    say(
        f"{first.device_name}, batch {first.batch_size}, {first.precision}, {first.memory_format}, "
        f"{first.clock} time; S: step time over {a.reference}'s, with its confidence interval",
    )
    console().print(table(rows, _ROWS))
    for each in profiled:
        say(f"\n{each.name}, {each.costs.step_time.image_size} px")
        console().print(table([_part(part) for part in each.costs.parts], _PARTS))
    return 0


def _data(a: argparse.Namespace) -> int:
    """Print what loading gives beside what training takes: of a search's reference, or at every size of a training."""
    from nas.data_profile import profile_data, profile_training_data

    if len(a.arch) > 1:
        raise ValueError(f"--data measures one training: {' '.join(a.arch)} cannot be given together")
    if a.arch:
        from nas.full_training.train import resolve_training

        given = resolve_training(a.data, a.arch[0])
        found = profile_training_data(
            given.architecture, given if a.device == "auto" else replace(given, device=a.device)
        )
    else:
        from nas.search.given import config_of

        config = config_of(a.data)
        found = [profile_data(config if a.device == "auto" else replace(config, device=a.device))]
    if a.format != "table":
        show([_record(each) for each in found], a.format, ())
        return 0
    first = found[0]
    kept = f"{first.storage}{', held on the device' * first.resident}"
    say(f"{first.device_name}, {_threads(first.threads)} a training; images are kept as {kept}")
    console().print(table([_record(each) for each in found], _DATA))
    for each in found:
        say(f"{each.image_size} px: {each.advice()}")
    return 0


def _record(found: DataProfile) -> dict[str, Any]:
    numbers = {"wait_share": found.wait_share, "threads_needed": found.threads_needed, "advice": found.advice()}
    return asdict(found) | numbers


def _threads(count: int) -> str:
    return f"{count} CPU thread{'s' * (count > 1)}"


def _part(part: PartRow) -> dict[str, Any]:
    return asdict(part) | {"forward_ms": part.forward_s * 1e3, "backward_ms": part.backward_s * 1e3}


def _short_name(profiled: Profiled) -> str:
    """Block strings are long: the first stands for them."""
    name = profiled.name
    return name if len(name) <= 24 else f"{to_block_strings(profiled.costs.architecture)[0]}.."
