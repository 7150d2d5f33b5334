"""The events of a search's candidates as `proposals.jsonl` has them. Of answered ones only that they were is told."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from nas.runs.log import lines


def events(path: Path, answered: Container[int]) -> Iterator[Mapping[str, Any]]:
    """Give the events of a log, one by one.

    Args:
        answered: candidates of whose events only `event` and `trial_id` are wanted: their lines are not parsed.
    Raises: ValueError with the line's number if a line that is parsed is not a JSON object.
    """

    def short(text: bytes) -> dict[str, Any] | None:
        match = _BEGIN.match(text)
        if match is None or text[-1:] != b"}" or (trial_id := int(match[2])) not in answered:
            return None
        return {"event": match[1].decode(), "trial_id": trial_id}

    for line in lines(path, instead=short):
        yield line.record


# As `nas.search.ledger` writes them. Whatever is written otherwise is parsed.
_BEGIN = re.compile(rb'\{"event":"(proposed|started|died|lost)","trial_id":(\d+),')
