"""Every column of the log, and what a trial can have come to."""

from __future__ import annotations

import re

from nas.runs.columns import COLUMNS
from nas.runs.trial import KINDS, STATUSES
from reference_pages.text import cell

_TYPES = {"float": "number", "int": "integer", "str": "text", "bool": "true or false", "Epochs": "list"}


def columns() -> str:
    """Give the table of columns."""
    lines = ["| column | type | unit | better | what it is |", "|---|---|---|---|---|"]
    for name, column in COLUMNS.items():
        kind = KINDS.get(name, "text" if name in ("architecture", "arch_id") else "number")
        lines.append(f"| `{name}` | {_type(kind)} | {column.unit} | {column.better or ''} | {cell(column.about)} |")
    return "\n".join(lines) + "\n"


def statuses() -> str:
    """Give the table of statuses."""
    lines = ["| status | what became of the candidate |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {about} |" for name, about in STATUSES.items())]) + "\n"


def _type(kind: str) -> str:
    word = re.split(r"[ \[]", kind)[0]
    return _TYPES.get(word, {"tuple": "list", "Mapping": "mapping"}.get(word, word))
