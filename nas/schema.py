"""A configuration's JSON schema, made of the settings themselves: for editors that complete keys and mark mistakes.

It says what can be said of one key at a time. What depends on several (an optimiser without momentum, a data source
that needs a path), the search says when it reads the file.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from nas.algorithms import ALGORITHMS
from nas.config import search as search_keys
from nas.config import train as train_keys
from nas.config.check import type_schema
from nas.config.declared import MISSING, Declared, arguments_of, bounds, settings_of
from nas.data.settings import READERS, DataSettings
from nas.measure import MEASURERS
from nas.seeds import SEEDING
from nas.trackers import TRACKERS
from nas.training.progressive import PRESETS
from nas.training.settings import OBJECTIVES, OPTIMIZERS, ExecutionSettings, ProgressiveSettings, TrainSettings
from rewards import REWARDS
from search_space.architecture import Architecture, Stage
from search_space.families import PUBLISHED
from search_space.ops import OPS
from search_space.space import SearchSpace
from search_space.spaces import SPACES

Schema = dict[str, Any]
ELSEWHERE = {"type": "string", "pattern": r"^[\w.]+:[\w.]+$"}  # module:Name
_NAMED_KEYS: dict[type[Any], dict[str, Iterable[str]]] = {
    DataSettings: {"source": READERS},
    TrainSettings: {"objective": OBJECTIVES, "optimizer": OPTIMIZERS},
}
_CHOICES = "one value, or a list of them: a decision"


def config_schema(of: Literal["search", "training"] = "search") -> Schema:
    """Give the JSON schema (draft 2020-12) of the YAML file that `nas search` or `nas train` reads.

    Args:
        of: `search` or `training`.
    Returns: plain data for `json.dumps`. Algorithms, rewards, ops and the like of plug-ins that were loaded are in it.
    Raises: ValueError for another `of`.
    """
    if of not in ("search", "training"):
        raise ValueError(f"a schema is of search or training, got {of!r}")
    keys = search_keys if of == "search" else train_keys
    record = search_keys.Config if of == "search" else train_keys.TrainConfig
    said = {each.name: each for each in settings_of(record)}
    properties = {name: _section(name, kind) for name, kind in keys._SECTIONS.items()}
    properties |= _whole_file(of) | {name: _list(name) for name in keys._LISTS}
    for name, found in properties.items():
        if name in said and said[name].about and "description" not in found:
            found["description"] = _words(said[name].about)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"training-aware NAS: {'a search' if of == 'search' else 'a full training'}",
        "type": "object",
        "properties": {name: properties[name] for name in keys._KEYS},
        "required": ["space", "image_size"] if of == "search" else [],
        "additionalProperties": False,
    }


def _whole_file(of: str) -> Schema:
    """The keys that are no section of settings."""
    size = {"type": "integer", "minimum": 1}
    architecture = _object(Architecture)
    found: Schema = {
        "image_size": dict(size),
        "device": {"type": "string", "default": "auto"},
        "seed": {"type": "integer", "minimum": 0, "default": 0},
        "seeding": {"enum": list(range(1, SEEDING + 1))},
    }
    if of == "search":
        names = {"enum": ["backbone", *PUBLISHED], "default": "backbone"}
        return found | {"space": _space(), "reference": {"anyOf": [names, architecture]}}
    progressive = {"anyOf": [{"enum": ["none", None, *PRESETS]}, _object(ProgressiveSettings)]}
    return found | {
        "progressive": progressive,
        "eval_image_size": dict(size),
        "checkpoint_every": dict(size, default=1),
        "architecture": architecture,
        "start_from": {"type": "string", "default": ""},
    }


# ---- sections


def _section(name: str, kind: type[Any]) -> Schema:
    if name == "algorithm":
        tables = {key: settings_of(each.Settings) for key, each in ALGORITHMS.items()}
        return _named(kind, tables, {key: each.__doc__ or "" for key, each in ALGORITHMS.items()})
    if name == "reward":
        keywords = {key: [s for s in arguments_of(each) if s.default is not MISSING] for key, each in REWARDS.items()}
        return _named(kind, keywords, {key: each.__doc__ or "" for key, each in REWARDS.items()})
    found = _object(kind) | {"type": ["object", "null"]}
    if kind is TrainSettings:  # older files have both sections in one
        found["properties"] |= {key: each | {"deprecated": True} for key, each in _fields(ExecutionSettings).items()}
    return found


def _object(kind: type[Any]) -> Schema:
    settings = settings_of(kind)
    return {
        "type": "object",
        "description": _words((kind.__doc__ or "").split("\n\n")[0]),
        "properties": _fields(kind),
        "required": [each.name for each in settings if each.default is MISSING],
        "additionalProperties": False,
    }


def _fields(kind: type[Any]) -> Schema:
    found = {each.name: _value(each) for each in settings_of(kind)}
    for name, table in _NAMED_KEYS.get(kind, {}).items():
        del found[name]["type"]
        found[name]["anyOf"] = [{"enum": list(table)}, ELSEWHERE]
    return found


def _named(kind: type[Any], tables: Mapping[str, Iterable[Declared]], about: Mapping[str, str]) -> Schema:
    """A section that is a name, or a mapping of `name`, its own fields and the settings of what has that name."""
    own = {each.name: _value(each) for each in settings_of(kind) if each.name != "settings"}
    default = own["name"].get("default")
    own["name"] = {"anyOf": [{"enum": list(tables)}, ELSEWHERE], "default": default}
    each_name = []
    for name, settings in tables.items():
        is_it = {"properties": {"name": {"const": name}}} | ({} if name == default else {"required": ["name"]})
        allowed = own | {each.name: _value(each) for each in settings}
        then = {"description": _words(about[name].split("\n\n")[0]), "properties": allowed}
        each_name.append({"if": {"type": "object", **is_it}, "then": then | {"additionalProperties": False}})
    names = {"anyOf": [{"enum": list(tables)}, ELSEWHERE]}
    mapping = {"type": "object", "properties": own, "allOf": each_name}
    return {"anyOf": [names, mapping, {"type": "null"}]}


def _space() -> Schema:
    typed = _object(SearchSpace)
    del typed["properties"]["reference"]
    stages, one = typed["properties"]["stages"]["items"], _fields(Stage)
    one["op"] = {"anyOf": [{"enum": list(OPS)}, ELSEWHERE], "description": one["op"]["description"]}
    one["options"] = {"type": "object", "description": one["options"]["description"]}
    for name, each in one.items():
        several = {"type": "array", "items": each, "minItems": 1}
        stages["properties"][name] = each if name == "options" else {"anyOf": [each, several], "description": _CHOICES}
    ready = [
        {
            "type": "object",
            "description": _words((make.__doc__ or "").split("\n\n")[0]),
            "properties": {"name": {"const": name}} | {each.name: _value(each) for each in arguments_of(make)},
            "required": ["name"],
            "additionalProperties": False,
        }
        for name, make in SPACES.items()
    ]
    elsewhere = {"type": "object", "properties": {"name": ELSEWHERE}, "required": ["name"]}
    return {"anyOf": [typed, *ready, elsewhere]}


def _list(name: str) -> Schema:
    tables: dict[str, Iterable[str]] = {"callbacks": TRACKERS, "measure": MEASURERS}
    table = list(tables.get(name, ()))
    one: Schema = {"anyOf": [{"enum": table}, ELSEWHERE]} if table else {"type": "string"}
    if name == "callbacks":
        named = {"properties": {key: {"type": ["object", "null"]} for key in table}}
        elsewhere = {"patternProperties": {ELSEWHERE["pattern"]: {"type": ["object", "null"]}}}
        counts = {"minProperties": 1, "maxProperties": 1, "additionalProperties": False}
        one["anyOf"].append({"type": "object", **named, **elsewhere, **counts})
    return {"anyOf": [{"type": "array", "items": one}, one, {"type": "null"}]}


# ---- values


def _value(setting: Declared) -> Schema:
    found = _type(setting.kind)
    limits = bounds(setting.allowed)
    for part in found.get("anyOf", [found]):  # of `int | None` the number has the bounds
        if part.get("type") in ("integer", "number"):
            part |= limits
    said = "; ".join(text for text in (_words(setting.about), setting.allowed) if text)
    if said:
        found["description"] = said
    if setting.default is not MISSING and not dataclasses.is_dataclass(setting.default):
        default = setting.default
        found["default"] = list(default) if isinstance(default, tuple) else default
    return found


def _type(kind: Any) -> Schema:
    """The type of a value that YAML gives."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _object(kind)
    parts = get_args(kind)
    if get_origin(kind) is tuple and len(parts) == 2 and parts[1] is ... and dataclasses.is_dataclass(parts[0]):
        return {"type": "array", "items": _type(parts[0])}
    if NoneType in parts and any(dataclasses.is_dataclass(part) for part in parts):
        return {"anyOf": [_type(part) for part in parts]}
    return type_schema(kind)


def _words(text: str) -> str:
    """Put what the code says into a line that speaks of YAML."""
    return re.sub(r"\bNone\b", "null", " ".join(text.split())).rstrip(".")
