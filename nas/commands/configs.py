"""`nas configs`: the configurations that come along, listed or printed."""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path
from typing import Any

from nas.commands.arguments import command
from nas.commands.terminal import console

WIDTH = 80  # columns


def add(commands: Any) -> None:
    """Declare the arguments of `nas configs`."""
    sub = command(commands, "configs", "list the configurations that come along, or print one to be changed", run)
    sub.add_argument("name", nargs="?", metavar="NAME", help="print this one: `nas configs digits > mine.yaml`")


def run(a: argparse.Namespace) -> int:
    """Print one configuration as it is, or the names of all with what each is."""
    from nas.config.examples import example_config, example_configs

    if a.name is not None:
        sys.stdout.write(example_config(a.name))
        return 0
    for kind, usage in (("search", "nas search NAME"), ("train", "nas train ARCH NAME")):
        console().print(f"{usage}", soft_wrap=True)
        for name, path in example_configs(kind).items():  # type: ignore[arg-type]  # both are kinds
            lines = textwrap.wrap(first_sentence(path), WIDTH - 6)
            console().print("\n".join([f"  {name}", *(f"      {line}" for line in lines)]), soft_wrap=True)
    return 0


def first_sentence(path: Path) -> str:
    """Give what a configuration says of itself: its comment up to the end of a sentence, or to `Run:`."""
    said: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.removeprefix("#").strip()
        if not line.startswith("#") or text.split(" ")[0].endswith(":"):  # `Run:` and the like
            break
        said.append(text)
        if text.endswith("."):
            break
    return " ".join(said)
