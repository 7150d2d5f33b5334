"""`nas data`: decode a data set once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nas.commands.arguments import command
from nas.commands.terminal import console


def add(commands: Any) -> None:
    """Declare the arguments of `nas data prepare`."""
    verbs = commands.add_parser("data", help="prepare a data set").add_subparsers(required=True, metavar="VERB")
    sub = command(verbs, "prepare", "decode and resize a data set once, into the cache", run)
    sub.add_argument("config", type=Path, metavar="CONFIG")


def run(a: argparse.Namespace) -> int:
    """Prepare a configuration's data set and say what it holds."""
    from nas.config.search import load_config
    from nas.data.prepare import prepare

    config = load_config(a.config)
    prepared = prepare(config.data, config.image_size, progress=True)
    counts = f"train {prepared.train:,}, minival {prepared.minival:,}, test {prepared.test:,}"
    console().print(f"{prepared.folder}", soft_wrap=True)
    console().print(
        f"{counts}; {prepared.num_classes} classes, {prepared.channels} channels, {prepared.image_size} px, "
        f"fingerprint {prepared.fingerprint}",
        soft_wrap=True,
    )
    return 0
