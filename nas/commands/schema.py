"""`nas schema`: the JSON schema of a configuration, for editors."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from nas.commands.arguments import command
from nas.commands.terminal import say
from nas.whole_files import write_whole


def add(commands: Any) -> None:
    """Declare the arguments of `nas schema`."""
    sub = command(commands, "schema", "the JSON schema of a configuration, by which editors complete and check", run)
    sub.add_argument(
        "of", nargs="?", choices=("search", "training"), default="search", help="whose file (default: search)"
    )
    sub.add_argument("--out", type=Path, metavar="FILE", help="write it there (default: print it)")


def run(a: argparse.Namespace) -> int:
    """Print or write a schema; give the exit status."""
    from nas.schema import config_schema

    text = json.dumps(config_schema(a.of), indent=2)
    if a.out is None:
        print(text)
        return 0
    write_whole(a.out, text + "\n")
    say(f"{a.out} written. First line of a configuration:")
    say(f"# yaml-language-server: $schema={a.out}")
    return 0
