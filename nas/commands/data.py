"""`nas data`: decode a data set once."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.commands.arguments import command
from nas.commands.terminal import show_facts

if TYPE_CHECKING:
    from nas.data.prepare import Found, Prepared


def add(commands: Any) -> None:
    """Declare the arguments of `nas data prepare`."""
    verbs = commands.add_parser("data", help="prepare a data set").add_subparsers(required=True, metavar="VERB")
    sub = command(verbs, "prepare", "decode and resize a data set once, into the cache; again goes on", run)
    sub.add_argument("config", type=Path, metavar="CONFIG", help="YAML file, or a name of `nas configs`")
    sub.add_argument("--arch", metavar="ARCH", help="CONFIG is that of a training, of this: see `nas --help`")
    sub.add_argument(
        "--processes", action="store_true", help="decode in a process for each CPU, not in threads: on many CPUs"
    )
    sub.add_argument("--address", metavar="A", help="Ray cluster whose nodes decode (default: this machine)")


def run(a: argparse.Namespace) -> int:
    """Prepare a configuration's data set and say what it holds, what was left out and what is odd."""
    from nas.architectures import find_architecture
    from nas.config.search import load_config
    from nas.config.train import load_training
    from nas.data.prepare import found
    from nas.preparation import prepare_data

    prepared = prepare_data(
        load_config(a.config) if a.arch is None else load_training(a.config, find_architecture(a.arch), {}),
        processes=a.processes,
        address=a.address,
        progress=True,
        say=lambda line: None,  # all of it is said below
    )
    show_facts(_facts(prepared, found(prepared)))
    return 0


def _facts(prepared: Prepared, found: Found) -> Iterator[tuple[str, str]]:
    black, white = found.value_range or (0, 255)
    colours = "grey" if prepared.channels == 1 else "RGB"
    names = prepared.class_names or tuple(str(number) for number in range(prepared.num_classes))
    yield "images", f"train {prepared.train:,}, minival {prepared.minival:,}, test {prepared.test:,}"
    yield "classes", f"{prepared.num_classes}: {', '.join(names[:8])}{', ...' * (len(names) > 8)}"
    size = f"{prepared.image_size} px" + f", of whole images at {prepared.frame_size}" * bool(prepared.frame_size)
    yield "pixels", f"{size}, {colours}, black {black:g}, white {white:g}"
    if prepared.storage == "jpeg":
        yield "kept as", "JPEGs"
    yield from (("left out", line) for line in found.left_out)
    yield from (("copies", line) for line in found.copies)
    yield from (("warning", line) for line in found.warnings)
    yield "fingerprint", prepared.fingerprint
    yield "folder", prepared.folder
