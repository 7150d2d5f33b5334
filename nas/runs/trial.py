"""The record of one evaluated candidate: one line of the trial log. What its columns mean: nas/runs/columns.py."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from nas.runs.curve import Curve, Epochs
from rewards.measurement import Measurement
from search_space.architecture import Architecture
from search_space.lookup import one_line

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1

STATUSES = {
    "ok": "trained and measured",
    "failed": "raised an error, or its process died again and again",
    "oom": "out of memory, even with the smallest micro-batches",
    "nan": "its loss, accuracy or reward was not finite",
    "timeout": "ran past its time limit",
    "pruned": "stopped because it could no longer win",
    "timed": "timed alone, which told the search whether to train it",
    "interrupted": "given up after the search itself was killed too often while it ran",
}
EARLIER = {"filtered": "pruned"}  # statuses that logs of earlier versions may have -> what they are read as


@dataclass(frozen=True)
class Trial:
    """What became of one candidate. Units are in the names; None = not known or measured; `curve`: a dict an epoch."""

    architecture: Architecture
    status: str  # a key of STATUSES
    trial_id: int = 0  # counts proposals from 0
    run_id: str = ""
    proposed_by: str = ""  # the algorithm, or the part of it
    parents: tuple[str, ...] = ()  # arch_ids
    proposal: Mapping[str, Any] = field(default_factory=dict)  # what the algorithm wants back, e.g. log_prob
    error: str | None = None
    attempt: int = 1
    seed: int | None = None
    # how it was trained
    epochs: int | None = None
    image_size: int | None = None
    batch_size: int | None = None
    micro_batch: int | None = None
    precision: str | None = None
    memory_format: str | None = None
    # what came out
    params: int | None = None
    macs: int | None = None
    activations: int | None = None
    accuracy: float | None = None  # top-1 on minival, [0, 1]
    accuracy_se: float | None = None  # standard error of accuracy, from the minival's size: seeds are not in it
    minival_images: int | None = None  # that accuracy and loss were measured on
    loss: float | None = None  # on minival
    curve: Epochs = ()
    metrics: Mapping[str, float] = field(default_factory=dict)  # what else was measured, by name
    step_time_ms: float | None = None  # median of the candidate's training step
    step_time_p10_ms: float | None = None
    step_time_p90_ms: float | None = None
    step_time_n: int | None = None  # pairs of steps: candidate's and reference's
    step_time_clock: str | None = None  # wall, or cpu: CPU time of the one thread that works
    step_time_converged: bool | None = None  # whether s_low to s_high is as narrow as was asked
    step_time_marks: str | None = None  # what disturbed the timing, separated by blanks
    forward_ms: float | None = None
    backward_ms: float | None = None
    update_ms: float | None = None
    reference_step_time_ms: float | None = None  # median of the reference network's step, interleaved
    s_normalised: float | None = None  # median ratio of the two: the reward's step time
    s_low: float | None = None  # confidence interval of that median
    s_high: float | None = None
    p_normalised: float | None = None  # params over the reference network's: the reward's params
    peak_memory_mb: float | None = None
    data_wait_share: float | None = None  # share of the training time spent waiting for data, [0, 1]
    reward: float | None = None
    reward_se: float | None = None  # standard error of reward, from those of accuracy and S
    reward_name: str | None = None
    w: float | None = None
    v: float | None = None
    # where and when
    started_at: str | None = None  # ISO 8601, UTC
    ended_at: str | None = None
    wall_s: float | None = None
    device_s: float | None = None  # share of a device times wall_s
    host: str | None = None
    device_name: str | None = None
    torch_version: str | None = None
    toolkit_version: str | None = None
    git_commit: str | None = None  # of the toolkit's source
    data_fingerprint: str | None = None
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"unknown status {self.status!r}; known: {', '.join(STATUSES)}")

    @property
    def arch_id(self) -> str:
        """The architecture's id."""
        return self.architecture.arch_id

    def get(self, name: str) -> Any:
        """Give a column's value, a metric's included; None where it is not known."""
        return self.metrics[name] if name in self.metrics else getattr(self, name, None)

    def to_dict(self) -> dict[str, Any]:
        """A flat JSON object; numbers that are not finite become None, for NaN is not JSON."""
        record: dict[str, Any] = {}
        for f in fields(self):
            if f.name == "architecture":
                record |= {"arch_id": self.arch_id, "architecture": self.architecture.to_dict()}
            elif f.name != "metrics" or self.metrics:
                record[f.name] = _finite(getattr(self, f.name))
        return record

    def to_json(self) -> str:
        """One line of the trial log, without the line's end."""
        return json.dumps(self.to_dict(), separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], *, curve: Epochs | None = None) -> Trial:
        """Read what `to_dict` wrote; keys of a later schema are ignored. Raises ValueError for a bad record.

        Args:
            curve: in place of the record's.
        """
        try:
            known = {name: record[name] for name in _NAMES if name in record}
            known["status"] = EARLIER.get(record["status"], record["status"])
            known["architecture"] = Architecture.from_dict(record["architecture"])
            known["parents"] = tuple(known.get("parents") or ())
            known["curve"] = tuple(known.get("curve") or ()) if curve is None else curve
            known["metrics"] = known.get("metrics") or {}
            for name in wrong_numbers(known):
                logger.warning("trial %s: %s %r is no number: not known", known.get("trial_id"), name, known[name])
                known[name] = None
            if isinstance(error := known.get("error"), str) and not error.isprintable():
                known["error"] = one_line(error)
            return cls(**known)
        except (KeyError, TypeError) as fault:
            raise ValueError(f"not a trial: {fault!r}") from None


def wrong_numbers(record: Mapping[str, Any]) -> list[str]:
    """Name the numbers of a record that are none: earlier versions let them pass."""
    return [name for name in NUMBERS if type(record.get(name)) not in _NUMBER]


_NUMBER = (int, float, type(None))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple | Curve):
        return [_finite(item) for item in value]
    return value


# ---- names of metrics


def is_metric(name: str) -> bool:
    """Whether a column of the trial table is a metric: neither a trial's own nor a decision's, such as `stage1_op`."""
    return not (name in KINDS or name in _OF_TABLES or re.match(r"stage\d+_", name))


def check_metrics(names: Iterable[str]) -> None:
    """Raise ValueError for the first name that a metric of a trial cannot have."""
    for name in names:
        _check_metric(name)


def _check_metric(name: Any) -> None:
    if not isinstance(name, str):
        raise ValueError(f"metrics must have names, got {name!r}")
    if not is_metric(name):
        raise ValueError(f"metric {name!r} is a column of the trial table already")
    if name in _MEASURED:
        raise ValueError(f"metric {name!r} is what rewards call a number of the toolkit's own: name it otherwise")
    if not name.isidentifier():
        raise ValueError(f"metric {name!r} must be a name such as top5_accuracy")


_NAMES = tuple(f.name for f in fields(Trial))
_MEASURED = {f.name for f in fields(Measurement)}
_OF_TABLES = ("architecture", "arch_id", "told_apart")
# Column -> its type, as it is annotated: "float | None".
KINDS = {f.name: str(f.type) for f in fields(Trial) if f.name != "architecture"}
NUMBERS = tuple(name for name, kind in KINDS.items() if kind in ("int | None", "float | None"))
