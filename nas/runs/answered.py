"""From what an evaluator answered to a trial: every value is checked against its column here, where it was made.

What got past would be found by whoever reads the log, long after, and for ever.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from nas.runs.columns import column
from nas.runs.trial import KINDS, Trial, check_metrics
from search_space.architecture import Architecture
from search_space.lookup import one_line, with_hint

_TELLING = ("accuracy", "loss", "reward")  # of which one that is not finite means that the training came to nothing
_LARGEST = 2**63  # whole numbers below fit every reader of the log


def trial_of(architecture: Architecture, answer: Mapping[str, Any]) -> Trial:
    """Make the trial of what an evaluator answered; every value is checked against its column.

    NumPy's numbers, and arrays and tensors of one element, are numbers; truth values and text are none. A number that
    is not finite is not known: None; a trial that says `ok` with an accuracy, loss or reward that is not finite is
    `nan`. A trial has a reward only if it is ok.

    Raises: ValueError that names the first field that a trial has not, or the value that is no such thing or out of
        range.
    """
    if not isinstance(answer, Mapping):
        raise ValueError(f"an evaluator must answer a mapping of fields, got {shown(answer)}")
    if unknown := sorted(map(str, answer.keys() - KINDS.keys())):
        raise ValueError(f"a trial has no place for {with_hint(unknown[0], KINDS)}")
    values = {name: _checked(name, value) for name, value in answer.items()}
    if "status" not in values:
        raise ValueError("an evaluator must answer a `status`, such as ok")
    trial = Trial(architecture=architecture, **values)
    if trial.status == "ok" and (lost := [name for name in _TELLING if _not_finite(answer.get(name))]):
        trial = replace(trial, status="nan", error=f"its {lost[0]} was {_number(lost[0], answer[lost[0]])}")
    if trial.status != "ok":
        trial = replace(trial, reward=None, reward_se=None)
    json.dumps(trial.to_dict())  # what cannot be logged is the evaluator's error
    return trial


def shown(value: Any) -> str:
    """Show a value of anybody's in a message."""
    try:
        return one_line(repr(value), 100)
    except Exception:
        return f"a {type(value).__name__}"


def _checked(name: str, value: Any) -> Any:
    if name in _RECORDS:
        return _RECORDS[name](name, value)
    kind, _, optional = KINDS[name].partition(" | ")
    if value is None and optional:
        return None
    return _CHECKS[kind](name, value)


# ---- numbers and words


def _number(name: str, value: Any) -> float:
    plain = _plain(value)
    try:
        if isinstance(plain, str | bytes | bytearray | bool):
            raise TypeError
        return float(plain)
    except Exception:  # of a class of anybody's
        raise ValueError(f"{name} must be a number, got {shown(value)}") from None


def _float(name: str, value: Any) -> float | None:
    """A number in its column's range, or None for one that is not finite."""
    number = _number(name, value)
    if not math.isfinite(number):
        return None
    _check_range(name, number)
    return number


def _int(name: str, value: Any) -> int:
    number = _number(name, value)
    if not number.is_integer() or abs(number) >= _LARGEST:
        raise ValueError(f"{name} must be a whole number below 2**63, got {shown(value)}")
    _check_range(name, number)
    return int(_plain(value))


def _check_range(name: str, number: float) -> None:
    low, high = column(name).low, column(name).high
    if (low is not None and number < low) or (high is not None and number > high):
        allowed = f">= {low:g}" if high is None else f"<= {high:g}" if low is None else f"in [{low:g}, {high:g}]"
        raise ValueError(f"{name} must be {allowed}, got {number:g}")


def _bool(name: str, value: Any) -> bool:
    plain = _plain(value)
    if not isinstance(plain, bool):
        raise ValueError(f"{name} must be true or false, got {shown(value)}")
    return plain


def _str(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, got {shown(value)}")
    return one_line(value)


def _plain(value: Any) -> Any:
    """Give Python's own of NumPy's numbers, and the element of arrays and tensors of one."""
    try:
        return value.item()
    except Exception:  # it has none, or has several elements
        return value


def _not_finite(value: Any) -> bool:
    return value is not None and not math.isfinite(_number("", value))


# ---- records


def _metrics(name: str, value: Any) -> dict[str, float]:
    """Numbers by name; one that is not known is left out."""
    given = {} if value is None else value
    if not isinstance(given, Mapping):
        raise ValueError(f"{name} must be numbers by name, got {shown(value)}")
    check_metrics(given)
    numbers = {each: None if number is None else _float(each, number) for each, number in given.items()}
    return {each: number for each, number in numbers.items() if number is not None}


def _curve(name: str, value: Any) -> tuple[Mapping[str, Any], ...]:
    """One record an epoch: a copy, for the evaluator's own list may go on growing."""
    given = () if value is None else value
    if not isinstance(given, Iterable) or isinstance(given, Mapping | str):
        raise ValueError(f"{name} must be a list of mappings, one an epoch, got {shown(value)}")
    return tuple(_epoch(number, record) for number, record in enumerate(given))


def _epoch(number: int, record: Any) -> dict[str, Any]:
    """An epoch's numbers by name; its own number is its place where it does not say it."""
    if not (isinstance(record, Mapping) and all(isinstance(name, str) for name in record)):
        raise ValueError(f"curve must be a list of mappings, one an epoch, got {shown(record)} in it")
    try:
        return {"epoch": number} | {name: _epoch_value(name, value) for name, value in record.items()}
    except ValueError as error:
        raise ValueError(f"curve[{number}]: {error}") from None


def _epoch_value(name: str, value: Any) -> Any:
    plain = _plain(value)
    if name in _OF_EPOCHS:
        return None if plain is None and name != "epoch" else _OF_EPOCHS[name](name, plain)
    if plain is None or isinstance(plain, bool):
        return plain
    if isinstance(plain, str):
        return one_line(plain)
    return (_int if isinstance(plain, int) else _float)(name, plain)


def _parents(name: str, value: Any) -> tuple[str, ...]:
    given = () if value is None else value
    if not isinstance(given, list | tuple) or not all(isinstance(each, str) for each in given):
        raise ValueError(f"{name} must be a list of arch_ids, got {shown(value)}")
    return tuple(given)


def _proposal(name: str, value: Any) -> Mapping[str, Any]:
    given = {} if value is None else value
    if not isinstance(given, Mapping):
        raise ValueError(f"{name} must be a mapping, got {shown(value)}")
    return given


_Check = Callable[[str, Any], Any]
_CHECKS: dict[str, _Check] = {"float": _float, "int": _int, "bool": _bool, "str": _str}
_RECORDS: dict[str, _Check] = {"metrics": _metrics, "curve": _curve, "parents": _parents, "proposal": _proposal}
_OF_EPOCHS: dict[str, _Check] = {  # fields of EpochResult
    **dict.fromkeys(("epoch", "image_size"), _int),
    **dict.fromkeys(("train_loss", "loss", "accuracy", "learning_rate", "seconds", "images_per_s"), _float),
    "metrics": _metrics,
}
