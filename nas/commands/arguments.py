"""What the commands' parsers share: errors of one line, and the types of arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

FORMATS = ("table", "json", "csv")


class Parser(argparse.ArgumentParser):
    """Errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit with status 2."""
        self.exit(2, f"{self.prog}: {message}\n")


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


def count(text: str) -> int:
    """Read a whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1, got {text!r}")
    return value


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
