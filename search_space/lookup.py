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


def with_hint(word: str, known: Iterable[str]) -> str:
    """Quote a word that is not known, with the nearest that is, or all that are."""
    known = tuple(known)
    near = difflib.get_close_matches(word, known, n=1)
    return f"{word!r}; did you mean {near[0]!r}?" if near else f"{word!r}; known: {', '.join(known) or 'none'}"


def describe(error: BaseException) -> str:
    """Put an error into one line: its message, after its kind where the message alone would not say it."""
    message = " ".join(str(error).split())
    plain = isinstance(error, ValueError | ImportError | AttributeError)
    return message if plain and message else f"{type(error).__name__}: {message}".rstrip(": ")
