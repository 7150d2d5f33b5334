"""Every command with its arguments, as its own parser has them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from nas.cli import EXAMPLES, _parser

WIDTH = 88  # of usage lines, in characters


def commands() -> str:
    """Give all commands."""
    parts = [f"```text\n{EXAMPLES}\n```\n"]
    for words, parser in each_command(_parser(())):
        parts += _command(words, parser)
    return "\n".join(parts)


def each_command(parser: argparse.ArgumentParser, words: str = "nas") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Give every command that can be run, with what parses it: `nas search`, `nas space size`."""
    verbs = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not verbs:
        yield words, parser
    for action in verbs:
        for word, below in action.choices.items():
            yield from each_command(below, f"{words} {word}")


def _command(words: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    formatter = argparse.HelpFormatter(parser.prog, width=WIDTH)
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups, prefix="")
    yield f"## `{words}`\n"
    yield f"{parser.description}\n"
    yield f"```text\n{formatter.format_help().strip()}\n```\n"
    yield f"```{{program}} {words}\n```\n"
    for action in parser._actions:
        if action.dest not in ("help", "plugin"):
            yield from _argument(action, formatter)


def _argument(action: argparse.Action, formatter: argparse.HelpFormatter) -> Iterator[str]:
    metavar = formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
    if action.option_strings:
        takes = "" if action.nargs == 0 else f" {metavar}"
        yield f"```{{option}} {', '.join(f'{name}{takes}' for name in action.option_strings)}\n"
    else:
        yield f"```{{option}} {action.metavar or action.dest}\n"
    text = formatter._expand_help(action) if action.help else ""
    choices = f"One of {', '.join(f'`{each}`' for each in action.choices)}." if action.choices else ""
    yield " ".join(part for part in (f"{text[:1].upper()}{text[1:]}." if text else "", choices) if part) or "A file."
    yield "```\n"
