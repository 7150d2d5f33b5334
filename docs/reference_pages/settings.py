"""Every setting of the YAML files: type, default, what is allowed, and the comment that stands beside it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from nas.algorithms import ALGORITHMS
from nas.config import search as search_keys
from nas.config import train as train_keys
from nas.config.declared import MISSING, Declared, arguments_of, settings_of
from nas.data.settings import READERS
from nas.measure import MEASURERS
from nas.trackers import TRACKERS
from nas.training.progressive import PRESETS
from nas.training.settings import OBJECTIVES, OPTIMIZERS, ProgressiveSettings
from reference_pages.text import first_paragraph, names, yaml_text
from rewards import REWARDS
from rewards.signature import reads
from search_space.architecture import Stage
from search_space.choices import Constraints
from search_space.ops import OPS
from search_space.space import SearchSpace
from search_space.spaces import SPACES

# Settings whose value is a name, and where those names stand.
NAMES = {
    "data.source": READERS,
    "training.objective": OBJECTIVES,
    "training.optimizer": OPTIMIZERS,
    "algorithm.name": ALGORITHMS,
    "reward.name": REWARDS,
    "space.stages.op": OPS,
    "progressive": ("none", *PRESETS),
    "measure": MEASURERS,
    "callbacks": TRACKERS,
}


def search() -> str:
    """Give the settings of `nas search`."""
    parts = [*_whole_file(search_keys.Config, search_keys), *_space()]
    for name, kind in search_keys._SECTIONS.items():
        parts += _section(name, kind)
        if name == "algorithm":
            parts += _named("algorithm", {key: (each, settings_of(each.Settings)) for key, each in ALGORITHMS.items()})
        elif name == "reward":
            own = {key: (each, arguments_of(each)[len(reads(each)) :]) for key, each in REWARDS.items()}
            parts += _named("reward", own)
    return "\n".join(parts)


def training() -> str:
    """Give the settings of `nas train` that a search has not."""
    parts = _whole_file(train_keys.TrainConfig, train_keys, of="training")
    return "\n".join([*parts, *_section("progressive", ProgressiveSettings)])


# Type and default in words, of keys whose record does not say what a file has.
IN_WORDS = {
    "reference": ("text or mapping: `backbone`, a published name, or an architecture", "`backbone`"),
    "callbacks": ("list of text, or of mappings of a name to its settings", "`[]`"),
    "image_size": ("integer; >= 1", "none: it must be given"),
    "eval_image_size": ("integer; >= 1", "the architecture's, else `image_size`"),
    "checkpoint_every": ("integer; >= 1", "`1`"),
    "device": ("text", "`auto`"),
    "seed": ("integer; >= 0", "`0`"),
    "architecture": ("mapping", "the one that the command is given"),
    "progressive": ("text or mapping: a preset, or the settings below", "`none`"),
}


def _whole_file(record: type[Any], keys: Any, of: str = "") -> Iterator[str]:
    """The keys that are no section."""
    yield "## Keys of the whole file\n"
    said = {each.name: each for each in settings_of(record)}
    for name in keys._KEYS:
        if name not in keys._SECTIONS and name != "space":
            yield from _setting(name, said[name], of=of, words=IN_WORDS.get(name))


def _section(name: str, kind: type[Any]) -> Iterator[str]:
    yield f"## `{name}`\n"
    yield first_paragraph(kind) + "\n"
    yield from _fields(name, settings_of(kind))


def _fields(path: str, settings: Iterable[Declared]) -> Iterator[str]:
    for each in settings:
        if path in ("algorithm", "reward") and each.name == "settings":
            continue
        yield from _setting(f"{path}.{each.name}", each)
        if isinstance(each.kind, type) and dataclasses.is_dataclass(each.kind):
            yield from _fields(f"{path}.{each.name}", settings_of(each.kind))


def _named(section: str, things: dict[str, tuple[Any, list[Declared]]]) -> Iterator[str]:
    for name, (thing, settings) in things.items():
        yield f"### `{section}: {name}`\n"
        yield first_paragraph(thing) + "\n"
        if not settings:
            yield "It has no settings.\n"
        for each in settings:
            yield from _setting(f"{section}.{each.name}", each, of=name)


def _space() -> Iterator[str]:
    yield "## `space`\n"
    yield "The name of a ready-made space with its arguments, or a space of your own, field by field.\n"
    for name, make in SPACES.items():
        yield f"### `space: {{name: {name}}}`\n"
        yield first_paragraph(make) + "\n"
        for each in arguments_of(make):
            yield from _setting(f"space.{each.name}", each, of=name)
    yield "### A space of your own\n"
    yield first_paragraph(SearchSpace) + "\n"
    own = [each for each in settings_of(SearchSpace) if each.name != "reference"]
    yield from _fields("space", [dataclasses.replace(each, kind=dict) for each in own if each.name == "constraints"])
    yield from _fields("space.constraints", settings_of(Constraints))
    yield from _fields("space", [each for each in own if each.name != "constraints"])
    yield "Each field of a stage is one value or a list of them. A list of several is a decision of the search.\n"
    yield from _fields("space.stages", settings_of(Stage))


# ---- one setting


def _setting(path: str, each: Declared, *, of: str = "", words: tuple[str, str] | None = None) -> Iterator[str]:
    """One entry, with an address of its own.

    Args:
        of: what has it, where several have one of that name.
        words: its type and its default, in place of the dataclass's.
    """
    kind, default = words or (_type_words(each), _default_words(each))
    yield f"```{{confval}} {path}{f' ({of})' if of else ''}"
    yield f":type: {kind}"
    if default:
        yield f":default: {default}"
    yield ""
    yield re.sub(r"\bNone\b", "null", each.about).strip()
    if path in NAMES:
        yield f"\nKnown: {names(NAMES[path])}."
    if each.may_change:
        yield "\nMay change while a run goes on."
    if each.locates:
        yield "\nMay change while a run goes on, as long as images, labels and splits are the same."
    yield "```\n"


def _default_words(each: Declared) -> str:
    if each.default is MISSING:
        return "none: it must be given"
    return "" if dataclasses.is_dataclass(each.default) else f"`` {yaml_text(each.default)} ``"


def _type_words(each: Declared) -> str:
    words = type_words(each.kind)
    if each.allowed.startswith("two numbers"):
        return each.allowed
    return f"{words}; {each.allowed}" if each.allowed else words


def type_words(kind: Any) -> str:
    """Say a type in words of YAML."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(type_words(part) for part in parts)
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin is tuple and parts[-1] is ...:
        return f"list of {type_words(parts[0])}"
    if origin is tuple:
        return f"list of {len(parts)}: {', '.join(type_words(part) for part in parts)}"
    if (isinstance(origin, type) and issubclass(origin, list)) or getattr(origin, "__name__", "") == "Sequence":
        return f"list of {type_words(parts[0])}" if parts else "list"
    if origin is not None or (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return "mapping"
    return {int: "integer", float: "number", bool: "true or false", str: "text", NoneType: "null"}.get(kind, "mapping")
