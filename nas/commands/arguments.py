"""What the commands' parsers share: errors of one line, and the types of arguments."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

FORMATS = ("table", "json", "csv")


class Parser(argparse.ArgumentParser):
    """Errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit with status 2."""
        self.exit(2, f"{self.prog}: {message}\n")


class Version(argparse.Action):
    """Says which versions run here, and exits: for a report of a fault, on one line."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        """Look the versions up only now: that takes longer than many a command's parser."""
        import nas
        from nas.runs.folder import installed_version

        others = ", ".join(f"{name} {installed_version(name) or 'not installed'}" for name in ("torch", "ray"))
        print(f"nas {nas.__version__} (Python {platform.python_version()}, {others})")
        parser.exit()


def command(commands: Any, name: str, text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    """Add a command that `run` answers: given what was parsed, it gives the exit status.

    Args:
        commands: what `add_subparsers` gave.
        text: for the list of commands, without a full stop.
    """
    sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    sub.add_argument(
        "--plugin", action="append", default=[], metavar="MODULE", help="import this first; again for several"
    )
    sub.set_defaults(call=run)
    assert isinstance(sub, argparse.ArgumentParser)
    return sub


def add_format(sub: argparse.ArgumentParser) -> None:
    """Add `--format`: a table for people, or rows for another program."""
    sub.add_argument("--format", choices=FORMATS, default="table", help="default: table")


def add_trainings(options: Any, *, recipe: str, folder: str, seeds: int | None = None) -> None:
    """Add what commands ask of the trainings that they compare: how many, how long, measured on what, where.

    Args:
        options: a parser, or a group of one.
        recipe: what is trained by unless --config is given.
        folder: what they are written to unless --out is given, in the run's.
        seeds: what --seeds is where it is not given; None = that it was not given can be seen.
    """
    add = options.add_argument
    add("--seeds", type=count, default=seeds, metavar="N", help="trainings of each (default: 3)")
    text = f"YAML file as `nas train` takes it (default: {recipe})"
    add("--config", type=Path, metavar="RECIPE", help=text)
    add("--epochs", type=count, metavar="N", help="instead of the recipe's")
    add("--test", action="store_true", help="measure on the test split instead of minival")
    add("--parallel", type=count, metavar="N", help="trainings at once (default: as many as fit)")
    add("--address", metavar="A", help="Ray cluster to train on (default: this machine)")
    add("--out", type=Path, metavar="DIR", help=f"default: {folder} in the run folder")


def count(text: str) -> int:
    """Read a whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1, got {text!r}")
    return value


def counts(text: str) -> tuple[int, ...]:
    """Read whole numbers of at least 1 with commas between them."""
    return tuple(count(part) for part in text.split(","))


def numbers(text: str) -> tuple[float, ...]:
    """Read numbers with commas between them."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be numbers with commas between them, got {text!r}") from None


def setting(text: str) -> tuple[str, float]:
    """Read NAME=NUMBER."""
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be NAME=NUMBER, got {text!r}") from None
