"""A family of sizes with their costs, and the folder it is written to."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from scaling.grow import scale
from scaling.rule import LATE_GROWTH, Rule
from search_space.architecture import Architecture
from search_space.cost import count


@dataclass(frozen=True)
class Member:
    """One size of a family. None = not said or not measured."""

    size: str
    architecture: Architecture
    params: int
    macs: int | None  # at the architecture's image size
    dial: float | None = None  # of the rule: where between its sizes; 0 is its first
    step_time: float | None = None  # of training, over that of the start; each at the image size it trains at
    step_time_ms: float | None = None
    peak_memory_mb: float | None = None  # of a training step
    is_estimate: bool | None = None  # whether step time and memory come from a fit; None = there are none
    notes: Mapping[str, Any] = field(default_factory=dict)  # JSON: e.g. the target and what was reached

    def __post_init__(self) -> None:
        if self.size in ("", "family") or not all(letter.isalnum() or letter in "._-" for letter in self.size):
            raise ValueError(f"size {self.size!r} is no file name: letters, digits, '.', '_' and '-', but not 'family'")

    def row(self) -> dict[str, Any]:
        """The member as one row of the family's table."""
        a = self.architecture
        return {
            "size": self.size,
            "arch_id": a.arch_id,
            "params": self.params,
            "macs": self.macs,
            "image_size": a.image_size,
            "train_image_size": a.train_image_size,
            "layers": sum(stage.layers for stage in a.stages),
            "dropout": a.dropout,
            "step_time": self.step_time,
            "step_time_ms": self.step_time_ms,
            "peak_memory_mb": self.peak_memory_mb,
            "is_estimate": self.is_estimate,
        }


def member(size: str, architecture: Architecture, num_classes: int = 1000, in_channels: int = 3) -> Member:
    """Count an architecture; MACs are None if it has no image size."""
    cost = count(architecture, architecture.image_size or 1, num_classes, in_channels)
    return Member(size, architecture, cost.params, cost.macs if architecture.image_size else None)


def family(
    architecture: Architecture,
    sizes: Sequence[str],
    rule: Rule = LATE_GROWTH,
    num_classes: int = 1000,
    in_channels: int = 3,
) -> list[Member]:
    """Give the members of those sizes, with their costs, in the order asked. Raises ValueError for an unknown size."""
    return [
        replace(
            member(size, scale(architecture, size, rule), num_classes, in_channels), dial=float(rule.names.index(size))
        )
        for size in sizes
    ]


def write_family(folder: Path, members: Sequence[Member], provenance: Mapping[str, Any] | None = None) -> None:
    """Write each member's architecture as SIZE.json, all as family.json, and the table as family.csv and family.md.

    Args:
        folder: made if it is not there; files of these names are replaced.
        provenance: JSON that says where the family comes from, such as the run, the winner's arch_id and the rule.
    Raises: ValueError if there is no member or two have one size.
    """
    if not members or len({one.size for one in members}) < len(members):
        raise ValueError(f"a family needs one or more different sizes, got {[one.size for one in members]}")
    folder.mkdir(parents=True, exist_ok=True)
    for one in members:
        (folder / f"{one.size}.json").write_text(json.dumps(one.architecture.to_dict(), indent=2) + "\n")
    record = {
        "provenance": dict(provenance or {}),
        "members": [asdict(one) | {"architecture": one.architecture.to_dict()} for one in members],
    }
    (folder / "family.json").write_text(json.dumps(record, indent=2, allow_nan=False) + "\n")
    rows = [one.row() for one in members]
    (folder / "family.csv").write_text(_csv(rows))
    (folder / "family.md").write_text(_markdown(rows))


def read_family(folder: Path) -> list[Member]:
    """Read the members that `write_family` wrote. Raises ValueError if the folder holds no family."""
    path = folder / "family.json"
    if not path.exists():
        raise ValueError(f"{folder} holds no family: there is no family.json")
    records = json.loads(path.read_text())["members"]
    return [Member(**{**record, "architecture": Architecture.from_dict(record["architecture"])}) for record in records]


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of the columns that say something."""
    columns = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row[name]) for name in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
