"""A line of the trial log as a row of the trial table: plain data, no pandas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from search_space.architecture import Architecture
from search_space.lookup import one_line

_NOT_A_COLUMN = ("curve", "metrics", "proposal", "parents")


def row_of(record: Mapping[str, Any], architecture: Architecture) -> dict[str, Any]:
    """Give a row without the decisions: scalar fields and metrics, `architecture` as canonical JSON.

    Args:
        architecture: that of the record.
    """
    row = {key: value for key, value in record.items() if key not in _NOT_A_COLUMN} | (record.get("metrics") or {})
    row["architecture"] = architecture.to_json()
    if "arch_id" not in row:
        row["arch_id"] = architecture.arch_id
    row["parents"] = " ".join(record.get("parents") or ())
    row["proposal"] = json.dumps(record.get("proposal") or {})
    if isinstance(error := record.get("error"), str) and not error.isprintable():
        row["error"] = one_line(error)
    return row


def stages_of(architecture: Architecture) -> dict[str, Any]:
    """Give every field and option of every stage by the name of its column: `stage1_op`."""
    return {
        f"stage{number}_{name}": value
        for number, stage in enumerate(architecture.stages, start=1)
        for name, value in stage.named().items()
    }
