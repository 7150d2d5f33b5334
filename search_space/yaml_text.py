"""YAML in and out: the only file that imports yaml. Strict where YAML 1.1 surprises people."""

from __future__ import annotations

import re
from typing import Any

import yaml


class _Repairs(yaml.constructor.SafeConstructor):
    """Four repairs of a SafeLoader.

    `1e-4` is a number; `on`, `off`, `yes` and `no` are words; so are `1:30` and `010`, which YAML 1.1 takes for 90 and
    8; a key twice is an error.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: list[Any] = []
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise ValueError(f"key {key!r} is given twice (line {key_node.start_mark.line + 1})")
            seen.append(key)
        return super().construct_mapping(node, deep)


class _Loader(_Repairs, yaml.SafeLoader):
    """Says well what is wrong."""


class _Fast(_Repairs, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Twenty times as fast, where yaml was built with libyaml: a configuration takes as long as a thousand trials."""


_REPAIRED = {"tag:yaml.org,2002:bool", "tag:yaml.org,2002:float", "tag:yaml.org,2002:int"}
_FLOAT = re.compile(r"^[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|nan))$")
_INT = re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$")
for _kind in (_Loader, _Fast):
    _kind.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in rules if tag not in _REPAIRED]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
    )
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
    _kind.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes a string such as `1e-4`, which would be read back as a number."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def load(text: str) -> Any:
    """Parse one YAML document into dicts, lists, numbers and strings. Raises ValueError with the line at fault."""
    try:
        return yaml.load(text, Loader=_Fast)  # a SafeLoader, and so is the other
    except yaml.YAMLError:
        pass
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise ValueError(f"not YAML{where}: {getattr(error, 'problem', error)}") from None


def dump(data: Any) -> str:
    """Write dicts, lists, numbers and strings as YAML in the order given; short lists stay on one line."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120)
