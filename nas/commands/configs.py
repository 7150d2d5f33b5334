"""`nas configs`: the configurations that come along, listed or printed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from nas.commands.arguments import command
from nas.commands.terminal import say, show_facts


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
        say(usage)
        for name, path in example_configs(kind).items():  # type: ignore[arg-type]  # both are kinds
            say(f"  {name}")
            show_facts([("", first_sentence(path))], indent=4)
    return 0


def first_sentence(path: Path) -> str:
    """Give what a configuration says of itself: its comment up to the end of a sentence, or to `Run:`."""
    said: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.removeprefix("#").strip()
        if not line.startswith("#") or (text[:1].isupper() and text.split(" ")[0].endswith(":")):  # `Run:`
            break
        said.append(text)
        if text.endswith("."):
            break
    return " ".join(said)
