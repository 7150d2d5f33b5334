"""What the code says of its own settings: type, default, comment, and what its checks allow. For schema and reference.

Comments are read from the source, and what is allowed from the errors that wrong values meet, so that neither is
written down a second time.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import math
import re
import textwrap
import tokenize
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args, get_type_hints

from nas.comparable import locating_fields, may_change_fields

MISSING = dataclasses.MISSING  # the default of what has none


@dataclasses.dataclass(frozen=True)
class Declared:
    """One setting, as the code declares it."""

    name: str
    kind: Any  # its type hint, resolved
    default: Any  # MISSING = it must be given
    about: str = ""  # its comment in one line
    allowed: str = ""  # of its values, in the words of the check: `in [0, 1]`, `>= 1`
    may_change: bool = False  # a run may go on with another value
    locates: bool = False  # a run may go on with another value if the data there are the same


def settings_of(kind: type[Any]) -> list[Declared]:
    """Describe the fields of a settings dataclass, in their order."""
    hints, about = get_type_hints(kind), comments_of(kind)
    free, places = may_change_fields(kind), locating_fields(kind)
    return [
        Declared(
            name=field.name,
            kind=hints[field.name],
            default=_default(field),
            about=about.get(field.name, ""),
            allowed=allowed(kind, field.name, hints[field.name]),
            may_change=field.name in free,
            locates=field.name in places,
        )
        for field in dataclasses.fields(kind)
        if field.init
    ]


def arguments_of(function: Callable[..., Any]) -> list[Declared]:
    """Describe the arguments of a function that a configuration gives: of a reward, a ready-made space, a callback."""
    call = function.__init__ if isinstance(function, type) else function  # type: ignore[misc]
    about, hints = _documented(inspect.getdoc(function) or ""), get_type_hints(call)
    return [
        Declared(
            name, hints.get(name, Any), MISSING if each.default is each.empty else each.default, about.get(name, "")
        )
        for name, each in inspect.signature(function).parameters.items()
        if each.kind in (each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


# ---- comments


def comments_of(kind: type[Any]) -> dict[str, str]:
    """Give each field's comment: what stands in the lines above it, and behind it. Of inherited fields, too."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if dataclasses.is_dataclass(each):
            found |= _comments(each)
    return found


def _comments(kind: type[Any]) -> dict[str, str]:
    try:
        source = textwrap.dedent(inspect.getsource(kind))
    except (OSError, TypeError):  # a class that was made, not written
        return {}
    lines = {
        token.start[0]: token.string.removeprefix("#").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found, end = {}, 0
    [written] = ast.parse(source).body
    assert isinstance(written, ast.ClassDef)
    for node in written.body:
        last = node.end_lineno or node.lineno
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            said = [lines[number] for number in range(end + 1, last + 1) if number in lines]
            found[node.target.id] = " ".join(text.removeprefix("noqa").strip() for text in said)
        end = last
    return found


def _documented(text: str) -> dict[str, str]:
    """Give what the part `Args:` of a docstring says of each argument."""
    found: dict[str, str] = {}
    for line in _part(text.splitlines()):
        if match := re.match(r"(\w+(?:, \w+)*): (.*)", line):
            names, said = match[1].split(", "), match[2]
            found |= dict.fromkeys(names, said)
        elif found:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def _part(lines: list[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        if inside and line and not line.startswith(" "):
            return
        if inside and line:
            yield line.removeprefix("    ")
        inside = inside or line == "Args:"


# ---- what is allowed

_NUMBERS = (-1, 0, 1, 2, 10**15, math.inf)


def allowed(kind: type[Any], name: str, hint: Any) -> str:
    """Give what a settings dataclass allows of a number or a pair of numbers, in the words of its own errors.

    Wrong values are tried; what raises says what is allowed. Empty for other types and for what is not checked.
    """
    words = _refused(kind, name, hint, {})
    numbers = {each.name: each.default for each in dataclasses.fields(kind) if type(each.default) is int}
    others = [{other: 2 * default} for other, default in numbers.items() if other != name]
    depends = any(_refused(kind, name, hint, other) not in (words, "") for other in others)
    return f"for the other settings' defaults {words}" if depends else words


def _refused(kind: type[Any], name: str, hint: Any, others: Mapping[str, Any]) -> str:
    for value in _tried(hint):
        try:
            kind(**{name: value, **others})
        except ValueError as error:
            if match := re.match(rf"(?:constraint )?{name} must be (.+), got ", str(error)):
                return match[1]
        except TypeError:  # it has fields without a default
            return ""
    return ""


def _tried(hint: Any) -> Iterator[Any]:
    kinds = get_args(hint) if type(None) in get_args(hint) else (hint,)
    for each in kinds:
        if each in (int, float):
            yield from _NUMBERS
        elif each in (tuple[int, int], tuple[float, float]):
            yield from ((-1, -1), (2, 1))


_N = r"(-?[\d.]+(?:e[+-]?\d+)?|inf)"  # a number, as checks write it
_BOUNDS = (
    (rf"in \[{_N}, {_N}\]", "minimum", "maximum"),
    (rf"in \({_N}, {_N}\)", "exclusiveMinimum", "exclusiveMaximum"),
    (rf">= {_N} and < {_N}", "minimum", "exclusiveMaximum"),
    (rf"(?:a whole number )?>= {_N}", "minimum"),
    (rf"at least {_N}", "minimum"),
    (rf"(?:> |above ){_N}", "exclusiveMinimum"),
)


def bounds(words: str) -> Mapping[str, float]:
    """Give what is allowed as JSON schema has it.

    >>> bounds(">= 1 and finite"), bounds("in (0, 1)")
    ({'minimum': 1}, {'exclusiveMinimum': 0, 'exclusiveMaximum': 1})
    """
    for pattern, *names in _BOUNDS:
        if match := re.match(pattern, words):
            values = zip(names, match.groups(), strict=True)
            return {name: _number(text) for name, text in values if math.isfinite(float(text))}
    return {}


def _number(text: str) -> float:
    value = float(text)
    return int(value) if value.is_integer() else value
