"""The events of a search's candidates as `proposals.jsonl` has them. Of answered ones only that they were is told."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nas.runs.log import lines, parsed


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
_BEGIN = re.compile(rb'\{"event":"(proposed|started|died|lost)","trial_id":(-?\d+),')


class Asked(NamedTuple):
    """How far proposing has come."""

    candidates: int  # proposed so far, which are numbered from 0
    exhausted: bool  # whether nothing more was to be proposed when last asked
    why: str | None = None  # where that is not for want of architectures


def asked(path: Path) -> Asked:
    """Say how many candidates were proposed. It stands at the end of the log: the rest of a long one is not read.

    Raises: ValueError with the line's number if a line after the last proposal is not a JSON object.
    """
    if not path.exists():
        return Asked(0, False)
    with path.open("rb") as file:
        size, reach = file.seek(0, os.SEEK_END), _REACH
        while True:
            start = file.seek(max(0, size - reach))
            found = _asked_in(file.read(size - start), whole=start == 0)
            if found is not None:
                return found
            if start == 0:
                break
            reach *= 16
    found = Asked(0, False)
    for event in events(path, ()):  # says what is wrong with a line, and goes without one that is torn
        if event["event"] in ("proposed", "exhausted") and event.get("trial_id", 0) >= 0:  # below 0: a timing
            known = event.get("trial_id", found.candidates - 1) + 1
            found = Asked(known, event["event"] == "exhausted", event.get("why"))
    return found


_REACH = 1 << 16


def _asked_in(tail: bytes, *, whole: bool) -> Asked | None:
    """The last proposal in the end of a log; None if it is not in it, or a line behind it is no event."""
    texts = tail[: tail.rfind(b"\n") + 1].split(b"\n")
    exhausted, why = False, None
    for text in reversed(texts if whole else texts[1:]):
        if not text.strip():
            continue
        event = parsed(text)
        if event is None or "event" not in event:
            return None
        if event["event"] == "exhausted" and not exhausted:
            exhausted, why = True, event.get("why")
        if event["event"] == "proposed" and event["trial_id"] >= 0:
            return Asked(event["trial_id"] + 1, exhausted, why)
    return None
