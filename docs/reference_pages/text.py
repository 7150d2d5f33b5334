"""Pieces of Markdown that the parts of the reference share."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import yaml


def first_paragraph(thing: Any) -> str:
    """Give the first paragraph of a docstring, in one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def names(table: Iterable[str]) -> str:
    """List names as code."""
    return ", ".join(f"`{name}`" for name in table)


def yaml_text(value: Any) -> str:
    """Write a value as YAML has it, on one line."""
    plain = list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value
    if isinstance(plain, float) and plain == int(plain):
        return f"{plain:.1f}"
    return yaml.safe_dump(plain, default_flow_style=True, width=1000).removesuffix("...\n").strip() or "''"


def cell(text: str) -> str:
    """Make text fit into a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
