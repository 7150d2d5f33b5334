"""What a worker process does with one candidate: whatever happens, there is an answer. No ray."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nas.runs.trial import Trial
from search_space.architecture import Architecture

logger = logging.getLogger(__name__)

# Is told after an epoch what the answer would be now, `curve` and `reward` included; False = stop, it is pruned.
Report = Callable[[Mapping[str, Any]], bool]
Evaluator = Callable[[Architecture, int, Any, Report], Mapping[str, Any]]


def answer(architecture: str, seed: int, task: Any, evaluator: str, report: Report) -> dict[str, Any]:
    """Evaluate a candidate; every exception is an answer, too.

    Args:
        architecture: JSON.
        task: what the evaluator needs beside the candidate.
        evaluator: `module:function`, an Evaluator.
    Returns: fields of a Trial, ready for JSON.
    """
    started, clock = datetime.now(UTC).isoformat(timespec="milliseconds"), time.perf_counter()
    candidate = Architecture.from_json(architecture)
    try:
        module, _, function = evaluator.partition(":")
        evaluate: Evaluator = getattr(importlib.import_module(module), function)
        result = dict(evaluate(candidate, seed, task, report))
        known = {f.name for f in fields(Trial)}
        if unknown := sorted(result.keys() - known):
            raise ValueError(f"{evaluator} returned what a trial has no place for: {', '.join(unknown)}")
        for name in _NUMBERS & result.keys():
            result[name] = _number(name, result[name])
        record = Trial(architecture=candidate, **result).to_dict()
        result = {key: record[key] for key in result}
        json.dumps(result)  # what cannot be logged is the evaluator's error
    except Exception as error:
        logger.exception("candidate %s", candidate.arch_id)
        result = {"status": "oom" if _is_out_of_memory(error) else "failed", "error": _describe(error)}
    return result | {"started_at": started, "wall_s": time.perf_counter() - clock}


_NUMBERS = {f.name for f in fields(Trial) if f.type == "float | None"}


def _number(name: str, value: Any) -> float | None:
    """Take what counts as a number, NumPy's and one-element tensors included, for one."""
    if value is None:
        return None
    try:
        if isinstance(value, str):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, got {value!r}") from None


def hard_limit_s(time_limit_s: float | None) -> float | None:
    """When to end a process that did not keep its time limit by itself: a tenth later, at least 5 s, at most 60 s."""
    return None if time_limit_s is None else time_limit_s + min(60.0, max(5.0, 0.1 * time_limit_s))


@contextlib.contextmanager
def killed_after(limit_s: float | None) -> Iterator[None]:
    """End this process if the block takes longer, even if it hangs inside a library that holds the interpreter."""
    if limit_s is None:
        yield
        return
    faulthandler.dump_traceback_later(limit_s, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _describe(error: Exception) -> str:
    """One line: the error, and the last places of its traceback."""
    places = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)[-3:]]
    message = " ".join(str(error).split())[:400]
    return f"{type(error).__name__}: {message} (at {' > '.join(places)})"


def _is_out_of_memory(error: Exception) -> bool:
    if "torch" in sys.modules:  # else it was not torch's memory that ran out
        from nas.training.device import is_out_of_memory

        if is_out_of_memory(error):
            return True
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()
