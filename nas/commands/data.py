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
    sub = command(verbs, "prepare", "decode and resize a data set once, into the cache", run)
    sub.add_argument("config", type=Path, metavar="CONFIG", help="YAML file, or a name of `nas configs`")


def run(a: argparse.Namespace) -> int:
    """Prepare a configuration's data set and say what it holds, what was left out and what is odd."""
    from nas.config.search import load_config
    from nas.data.prepare import found, prepare

    config = load_config(a.config)
    prepared = prepare(
        config.data,
        config.image_size,
        progress=True,
        say=lambda line: None,  # all of it is said below
        frame_size=config.augment.frame_size(config.image_size),
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
