"""The record of one evaluated candidate: one line of the trial log. What its columns mean: nas/runs/columns.py."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from nas.runs.columns import column
from rewards.measurement import Measurement
from search_space.architecture import Architecture
from search_space.lookup import with_hint

SCHEMA_VERSION = 1

STATUSES = {
    "ok": "trained and measured",
    "failed": "raised an error, or its process died again and again",
    "oom": "out of memory, even with the smallest micro-batches",
    "nan": "the loss was not finite",
    "timeout": "ran past its time limit",
    "pruned": "stopped because it could no longer win",
    "interrupted": "given up after the search itself was killed too often while it ran",
}
_EARLIER = {"filtered": "pruned"}  # statuses that logs of earlier versions may have -> what they are read as


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
    curve: tuple[Mapping[str, Any], ...] = ()
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
    git_commit: str | None = None
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
    def from_dict(cls, record: Mapping[str, Any]) -> Trial:
        """Read what `to_dict` wrote; keys of a later schema are ignored. Raises ValueError for a bad record."""
        try:
            known = {f.name: record[f.name] for f in fields(cls) if f.name in record}
            known["status"] = _EARLIER.get(record["status"], record["status"])
            known["architecture"] = Architecture.from_dict(record["architecture"])
            known["parents"] = tuple(known.get("parents") or ())
            known["curve"] = tuple(known.get("curve") or ())
            known["metrics"] = known.get("metrics") or {}
            return cls(**known)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a trial: {error!r}") from None


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


# ---- made from an answer


def trial_of(architecture: Architecture, answer: Mapping[str, Any]) -> Trial:
    """Make the trial of what an evaluator answered; every value is checked against its column.

    NumPy's numbers and tensors of one element are numbers. A number that is not finite is not known: None.

    Raises: ValueError that names the first field that a trial has not, or the value that is no such thing or out of
        range.
    """
    if unknown := sorted(answer.keys() - _KINDS.keys()):
        raise ValueError(f"a trial has no place for {with_hint(unknown[0], _KINDS)}")
    values = {name: _checked(name, value) for name, value in answer.items() if name != "metrics"}
    metrics = answer.get("metrics") or {}
    check_metrics(metrics)
    numbers = {name: _finite(_float(name, value)) for name, value in metrics.items()}
    known = {name: value for name, value in numbers.items() if value is not None}
    values["curve"] = tuple(values.get("curve") or ())  # a copy: the evaluator's own list may go on growing
    if wrong := [epoch for epoch in values["curve"] if not isinstance(epoch, Mapping)]:
        raise ValueError(f"curve must be a list of mappings, one an epoch, got {wrong[0]!r} in it")
    trial = Trial(architecture=architecture, **values, metrics=known)
    json.dumps(trial.to_dict())  # what cannot be logged is the evaluator's error
    return trial


def is_metric(name: str) -> bool:
    """Whether a column of the trial table is a metric: neither a trial's own nor a decision's, such as `stage1_op`."""
    return not (name in _KINDS or name in _OF_TABLES or re.match(r"stage\d+_", name))


def check_metrics(names: Iterable[str]) -> None:
    """Raise ValueError for the first name that a metric of a trial cannot have."""
    for name in names:
        _check_metric(name)


def _check_metric(name: str) -> None:
    if not is_metric(name):
        raise ValueError(f"metric {name!r} is a column of the trial table already")
    if name in _MEASURED:
        raise ValueError(f"metric {name!r} is what rewards call a number of the toolkit's own: name it otherwise")
    if not name.isidentifier():
        raise ValueError(f"metric {name!r} must be a name such as top5_accuracy")


def _checked(name: str, value: Any) -> Any:
    check = _CHECKS.get(_KINDS[name])
    if value is None or check is None:
        return value
    value, line = check(name, value), column(name)
    if isinstance(value, int | float) and math.isfinite(value):
        low, high = line.low, line.high
        if (low is not None and value < low) or (high is not None and value > high):
            allowed = f">= {low:g}" if high is None else f"in [{low:g}, {high:g}]"
            raise ValueError(f"{name} must be {allowed}, got {value!r}")
    return _finite(value)


def _float(name: str, value: Any) -> float:
    try:
        if isinstance(value, str | bool):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a number, got {value!r}") from None


def _int(name: str, value: Any) -> int:
    number = _float(name, value)
    if not number.is_integer():
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    return int(value)


def _bool(name: str, value: Any) -> bool:
    value = value.item() if hasattr(value, "item") else value
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {value!r}")
    return value


def _str(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, got {value!r}")
    return value


_CHECKS: dict[str, Callable[[str, Any], Any]] = {"float": _float, "int": _int, "bool": _bool, "str": _str}
_MEASURED = {f.name for f in fields(Measurement)}
_OF_TABLES = ("architecture", "arch_id", "told_apart")
_KINDS = {f.name: str(f.type).partition(" ")[0] for f in fields(Trial) if f.name != "architecture"}
