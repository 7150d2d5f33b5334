"""`nas scale`: grow or shrink an architecture into a family."""

from __future__ import annotations

import argparse
import math
import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.commands.arguments import add_format, command, count
from nas.commands.terminal import Column, console, say, show, table
from nas.runs.folder import command_line
from nas.runs.text import short, times
from search_space.block_strings import to_block_strings

if TYPE_CHECKING:
    from nas.families import Family
    from scaling.family import Member

_TARGETS = ("params", "macs", "step_time")
_UNITS = {"k": 1e3, "M": 1e6, "G": 1e9}


def add(commands: Any) -> None:
    """Declare the arguments of `nas scale`."""
    sub = command(commands, "scale", "grow an architecture into a family", run)
    sub.add_argument("arch", metavar="ARCH", help="see below: `nas --help`")
    sub.add_argument("--to", default="m,l", metavar="SIZES", help="comma-separated, of s, m, l, xl (default: m,l)")
    sub.add_argument("--params", metavar="N,...", help="grow or shrink to these parameters instead: 50M,120M")
    sub.add_argument("--macs", metavar="N,...", help="grow or shrink to these MACs instead, such as 8G")
    sub.add_argument(
        "--step-time", metavar="N,...", help="grow or shrink to these multiples of its own training step time: 0.5x,4x"
    )
    sub.add_argument(
        "--equal", metavar="ARCH", help="grow or shrink, at its image size, to the step time of this one, such as a run"
    )
    sub.add_argument(
        "--by", choices=("step_time", "params", "macs"), help="what --equal makes equal (default: step_time)"
    )
    sub.add_argument(
        "--measure", action="store_true", help="measure step times and memory (default: estimate from a log)"
    )
    sub.add_argument("--device", help="to measure on: auto, cpu, cuda or cuda:N (default: auto)")
    sub.add_argument("--batch", type=count, metavar="N", help="images per measured step (default: the run's, or 32)")
    sub.add_argument("--image-size", type=count, metavar="PX", help="that ARCH is evaluated at (default: its own)")
    sub.add_argument("--rule", default="late_growth", help="late_growth, from_base or uniform (default: %(default)s)")
    sub.add_argument("--explain", action="store_true", help="what the rule misses of the published family")
    sub.add_argument("--out", type=Path, metavar="DIR", help="write there: architectures, table, picture, recipes")
    add_format(sub)


def run(a: argparse.Namespace) -> int:
    """Grow a family and print it, or explain what the rule misses."""
    from nas.families import Measuring, scale

    if not (a.measure or a.equal) and (a.device or a.batch):
        raise ValueError("--device and --batch are of a measurement: add --measure")
    if a.out is not None and a.out.exists() and not a.out.is_dir():  # measuring takes minutes
        raise ValueError(f"--out {a.out} is no folder")
    if a.explain:
        return _explain(a)
    given = {quantity: getattr(a, quantity) for quantity in _TARGETS if getattr(a, quantity) is not None}
    if a.by is not None and a.equal is None:
        raise ValueError("--by says what --equal makes equal: add --equal ARCH")
    if a.equal is not None:
        if given:
            raise ValueError(f"--equal is a target of its own: leave out --{next(iter(given)).replace('_', '-')}")
        return _equal(a)
    grown = scale(
        a.arch,
        to=a.to.split(","),
        rule=a.rule,
        measure=Measuring(a.device or "auto", a.batch) if a.measure else None,
        image_size=a.image_size,
        say=_say,
        **{quantity: _numbers(quantity, text) for quantity, text in given.items()},
    )
    for text in grown.missed():
        say(text, stderr=a.format != "table")
    if a.format == "table":
        _print(grown)
    else:
        architectures = [one.architecture.to_dict() for one in (grown.start, *grown.members)]
        rows = [row | {"architecture": one} for row, one in zip(grown.rows(), architectures, strict=True)]
        show(rows, a.format, ())
    if a.out is not None:
        grown.write(a.out, command=shlex.join(command_line()))
        count = len(grown.members)
        _say(f"{count} {'size' if count == 1 else 'sizes'} written to {a.out}")
        if grown.start.architecture.train_image_size is None:
            _say(f"no training recipes: {a.arch} says no image size; add --image-size")
    return 0


def _equal(a: argparse.Namespace) -> int:
    """Print an architecture that was made to cost what another does."""
    from nas.architectures import find
    from nas.families import Measuring, equalise
    from scaling.family import member, write_family

    measure = Measuring(a.device or "auto", a.batch) if a.device or a.batch else None
    found, other = find(a.arch), find(a.equal)
    made = equalise(a.arch, a.equal, by=a.by or "step_time", image_size=a.image_size, measure=measure, say=_say)
    several = {"start": found.architecture, "equal": made.architecture, "to": other.architecture}
    if other.architecture.image_size is None:  # what a run says of it, for the MACs
        several = {size: replace(each, image_size=a.image_size or other.image_size) for size, each in several.items()}
    sizes = {size: member(size, each, *other.classes) for size, each in several.items()}
    say(f"{a.arch} beside {a.equal}: {made.said}", stderr=a.format != "table")
    show([one.row() for one in sizes.values()], a.format, _columns(""))
    if a.out is not None:
        about = {"from": a.arch, "equal_to": a.equal, "said": made.said, "command": shlex.join(command_line())}
        write_family(a.out, [replace(sizes["equal"], architecture=made.architecture)], about)
        _say(f"{a.out / 'equal.json'} written")
    elif a.format == "table":
        say(f"\nequal:\n{' '.join(to_block_strings(made.architecture))}")
    return 0


def _numbers(quantity: str, text: str) -> dict[str, float]:
    """Targets by the names of their sizes, which are the words typed: `params-50M`."""
    option = quantity.replace("_", "-")
    words = [word.strip() for word in text.split(",")]
    numbers = {f"{option}-{word}": _number(option, word) for word in words}
    for word in words:
        if words.count(word) > 1:
            raise ValueError(f"size {word!r} is given twice")
    return numbers


def _number(option: str, text: str) -> float:
    units = {"x": 1.0} if option == "step-time" else _UNITS
    try:
        number = float(text[:-1] if text[-1:] in units else text) * units.get(text[-1:], 1.0)
    except ValueError:
        number = math.nan
    if not (number > 0 and math.isfinite(number)):
        example = "3x or 1.5" if option == "step-time" else "50M or 4.5G"
        raise ValueError(f"--{option} takes numbers such as {example}, got {text!r}")
    return number


def _print(grown: Family) -> None:
    mark = "est. " if grown.start.is_estimate else ""
    console().print(table(grown.rows(), _columns(mark)))
    if grown.start.step_time is not None:
        beyond = [f"{size} ({n:.1f} times the largest trial)" for size, n in grown.beyond.items()]
        extrapolated = f" Extrapolated: {', '.join(beyond)}." if beyond else ""
        say(f"\nStep time is over the start's, each at its train px. {grown.step_times}{extrapolated}")
    for one in grown.members:
        say(f"\n{one.size}{_reached(one, mark)}:")
        say(" ".join(to_block_strings(one.architecture)))


def _reached(one: Member, mark: str) -> str:
    if not one.notes:
        return ""
    write = times if one.size.startswith("step-time") else short
    text = f"{write(one.notes['reached'])} of {write(one.notes['target'])}, {one.notes['error']:+.1%}"
    return f" ({mark if write is times else ''}{text})"


def _say(text: str) -> None:
    say(text, stderr=True)


def _columns(mark: str) -> tuple[Column, ...]:
    return (
        Column("size", "size"),
        Column("params", "params", short),
        Column("macs", "MACs", short),
        Column("image_size", "px"),
        Column("train_image_size", "train px"),
        Column("step_time", f"{mark}step", times),
        Column("step_time_ms", f"{mark}ms", short),
        Column("peak_memory_mb", f"{mark}MiB", short),
    )


def _explain(a: argparse.Namespace) -> int:
    from nas.families import explain

    rows = [asdict(row) for row in explain(a.arch, to=a.to.split(","), rule=a.rule, image_size=a.image_size)]
    if a.rule == "uniform":  # which is what the others are compared with
        rows = [{name: value for name, value in row.items() if not name.startswith("uniform")} for row in rows]
    show(rows, a.format, _RESIDUALS)
    return 0


def _any(value: Any) -> str:
    return short(value) if isinstance(value, int | float) else str(value)


_RESIDUALS = (
    Column("size", "size"),
    Column("name", "what"),
    Column("ours", "this rule", _any),
    Column("published", "published", _any),
    Column("share", "off by", "{:+.1%}".format),
    Column("uniform", "uniform", _any),
    Column("uniform_share", "off by", "{:+.1%}".format),
)
