"""Finding a thing by its name: in a table of ours, or as `module:Name` in any package that can be imported."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T")


def find(kind: str, name: str, table: Mapping[str, T]) -> T:
    """Give the thing of that name.

    Args:
        kind: what it is, for messages: `op`, `reward`, `algorithm`.
        name: a key of the table, or `module:Name` of something that need not be in it.
        table: the known ones.
    Raises: ValueError for an unknown name, with the nearest known one, or for what cannot be imported.
    """
    if name in table:
        return table[name]
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ValueError(f"unknown {kind} {with_hint(name, table)}")
    try:
        thing: Any = import_module(module)
        for part in attribute.split("."):
            thing = getattr(thing, part)
    except Exception as error:  # whatever a module raises while it is imported
        raise ValueError(f"{kind} {name!r} cannot be imported: {describe(error)}") from error
    return thing  # type: ignore[no-any-return]


def import_module(name: str) -> ModuleType:
    """Import a module by name, looking first in the folder that the command was started in, as Ray's workers do."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # for what the module imports later
    sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(here)  # the first, which is ours


def with_hint(word: str, known: Iterable[str], path: str = "") -> str:
    """Quote a word that is not known, with the nearest that is, or all that are.

    Args:
        path: where the words stand, such as `training.`; quoted with them.
    """
    known = tuple(known)
    near = nearest(word, known)
    unknown = repr(path + word)
    return f"{unknown}; did you mean {path + near!r}?" if near else f"{unknown}; known: {', '.join(known) or 'none'}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Give the known word that is spelt most like one that is not; None if none is like it."""
    return next(iter(difflib.get_close_matches(word, tuple(known), n=1)), None)


def describe(error: BaseException) -> str:
    """Put an error into one line: its message, after its kind where the message alone would not say it."""
    message = one_line(message_of(error))
    plain = isinstance(error, ValueError | ImportError | AttributeError)
    return message if plain and message else f"{type(error).__name__}: {message}".rstrip(": ")


def message_of(error: BaseException) -> str:
    """Give the message of an error of anybody's; an error that cannot say it has none."""
    try:
        return str(error)
    except Exception as failed:
        return f"(its message cannot be had: {type(failed).__name__})"


def one_line(text: str, most: int = 1000) -> str:
    r"""Put any text into one line that every log, table and terminal takes.

    What is not to be printed, such as control characters and surrogates (of file names that are no UTF-8), is escaped.

    >>> one_line("line\none\x1b[2J, caf\udce9")
    'line one\\x1b[2J, caf\\udce9'

    Args:
        most: characters that are kept of it.
    """
    line = " ".join(text[: 4 * most].split())
    line = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in line)
    whole = len(line) <= most and len(text) <= 4 * most
    return line if whole else f"{line[:most]}... ({len(text):,} characters)"
