"""The metrics of a full training as JSON lines, one an epoch: part of its folder, as the checkpoints are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.runs.log import JsonLines
from nas.training.result import EpochResult
from nas.whole_files import write_whole


class Metrics:
    """Writes down each epoch.

    Args:
        path: of the JSON lines.
        curve: epochs that are done already: the file is made to hold these, no more and no less.
    """

    def __init__(self, path: Path, curve: Sequence[Mapping[str, Any]]) -> None:
        write_whole(path, "".join(json.dumps(epoch, separators=(",", ":")) + "\n" for epoch in curve))
        self.lines = JsonLines(path)

    def append(self, epoch: EpochResult) -> None:
        """Write down an epoch that is done, and its checkpoint written."""
        self.lines.append(epoch.to_dict())

    def close(self) -> None:
        """Close the file."""
        self.lines.close()


def whole_lines(path: Path) -> list[dict[str, Any]]:
    """Give the epochs that are written down whole, while another process may be writing; none if there is no file."""
    try:
        text = path.read_text()
    except OSError:
        return []
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
