"""Trials from the columns of parts: their lines need not be parsed again, and curves wait to be looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import MISSING as NONE
from dataclasses import fields
from pathlib import Path
from typing import Any

from nas.runs.curve import Curve, OpenLog
from nas.runs.encoding import MISSING
from nas.runs.part import ARCH_ID, CURVE_SIZE, CURVE_START, LENGTH, METRICS, ODD, OFFSET, TRIAL_ID, Part
from nas.runs.trial import EARLIER, Trial
from search_space.architecture import from_canonical


def trials(log: Path, found: Sequence[Part]) -> Iterator[Trial]:
    """Give the trials of a log from its parts."""
    opened = OpenLog(log)
    for part in found:
        places = zip(*part.values(OFFSET, LENGTH, CURVE_START, CURVE_SIZE, ODD), strict=True)
        for trial, (offset, length, start, size, odd) in zip(rebuilt(part), places, strict=True):
            if odd:
                yield Trial.from_dict(json.loads(opened.read(offset, length)))
                continue
            if size:
                vars(trial)["curve"] = Curve(opened, offset + start, size)
            yield trial


def trial_at(log: Path, part: Part, row: int) -> Trial:
    """Give one trial of a part."""
    start, size = (values[row] for values in part.values(OFFSET, LENGTH))
    return Trial.from_dict(json.loads(OpenLog(log).read(start, size)))


def trial_with(log: Path, found: Sequence[Part], trial_id: int) -> Trial | None:
    """Give the trial of a number, the last one of a log that has several."""
    for part in reversed(found):
        [numbers] = part.values(TRIAL_ID)
        if trial_id in numbers:
            return trial_at(log, part, len(numbers) - 1 - numbers[::-1].index(trial_id))
    return None


def rebuilt(part: Part) -> Iterator[Trial]:
    """Give the trials of a part without their curves, but for those that are odd, of which they are not right.

    They were checked when the part was made, and are not checked again.
    """
    names = [name for name in _SIMPLE if f"={name}" in part.first]
    columns = [_known(name, values) for name, values in zip(names, part.values(*(f"={n}" for n in names)), strict=True)]
    defaults = {name: value for name, value in _DEFAULTS.items() if name not in names}
    texts, arch_ids, metrics, parents, proposals = part.values(
        "=architecture", ARCH_ID, METRICS, "=parents", "=proposal"
    )
    rest = zip(from_canonical(texts), arch_ids, metrics, parents, proposals, strict=True)
    for values, (architecture, arch_id, numbers, before, proposal) in zip(
        zip(*columns, strict=True), rest, strict=True
    ):
        trial = object.__new__(Trial)
        own = vars(trial)
        own.update(defaults)
        own.update(zip(names, values, strict=True))
        vars(architecture)["arch_id"] = arch_id  # a cached property: it takes as long as all the rest
        own["architecture"] = architecture
        own["metrics"] = json.loads(numbers) if numbers else {}
        own["parents"] = tuple(before.split(" ")) if before else ()
        own["proposal"] = json.loads(proposal) if proposal != "{}" else {}
        yield trial


def _known(name: str, values: Sequence[Any]) -> Sequence[Any]:
    """Give the values of a column as a trial has them."""
    if name == "status":
        return [EARLIER.get(value, value) for value in values]
    default = _DEFAULTS.get(name)
    return [default if value is MISSING else value for value in values]


_DEFAULTS = {f.name: f.default for f in fields(Trial) if f.default is not NONE}
_SIMPLE = [f.name for f in fields(Trial) if f.name not in ("architecture", "curve", "metrics", "parents", "proposal")]
