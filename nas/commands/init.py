"""`nas init`: looks at a data set and writes the configuration of a first search on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from shlex import quote
from typing import Any

from nas.commands.arguments import command, count
from nas.commands.terminal import say, show_facts


def add(commands: Any) -> None:
    """Declare the arguments of `nas init`."""
    sub = command(commands, "init", "look at a data set, and write a configuration for it and this machine", run)
    sub.add_argument(
        "data",
        nargs="?",
        metavar="DATA",
        help="folder of images, parquet or IDX file, hub's name, module:Reader (default: digits)",
    )
    sub.add_argument("--out", type=Path, metavar="PATH", help="file or folder (default: NAME.yaml in this folder)")
    sub.add_argument("--seconds", type=count, default=20, metavar="S", help="to measure for (default: %(default)s)")
    sub.add_argument("--no-timing", action="store_true", help="measure nothing: estimate the hours by the cost")


def run(a: argparse.Namespace) -> int:
    """Write the configuration; give the exit status."""
    from nas.data.description import describe_data
    from nas.search.suggest import check_new, hours_text, name_of, suggest

    if a.out is not None and not a.out.is_dir():
        if a.out.suffix not in (".yaml", ".yml"):
            raise ValueError(f"--out {a.out} is no folder, and no file that ends in .yaml")
        path = a.out
        check_new(path)  # before anything is read
    data = describe_data(a.data)
    if a.out is None or a.out.is_dir():
        path = (a.out or Path()) / f"{name_of(data)}.yaml"
        check_new(path)  # before anything is measured
    found = suggest(data, seconds=0 if a.no_timing else a.seconds, say=lambda text: say(text, stderr=True))
    found.write(path)
    search = found.config.search
    show_facts(
        found.data.lines()
        | {"written": f"{path}: {search.trials} trials, {search.workers} at once"}
        | {"takes": f"about {hours_text(found.hours)} ({found.how})"}
        | {"next": "nas check {0}; nas search {0}".format(quote(str(path)))}
    )
    return 0
