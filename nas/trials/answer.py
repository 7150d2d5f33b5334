"""What a worker process does with one candidate: whatever happens, there is an answer. No ray."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nas import faults
from nas.measure import find_measurers
from nas.plugins import PluginError
from nas.runs.answered import shown, trial_of
from nas.runs.origin import origin
from nas.runs.trial import Trial
from nas.trials.task import Task
from rewards import find_reward
from search_space.architecture import Architecture
from search_space.lookup import find, message_of, one_line

logger = logging.getLogger(__name__)

# Is told after an epoch what the answer would be now, `curve` and `reward` included; False = stop, it is pruned.
Report = Callable[[Mapping[str, Any]], bool]
Evaluator = Callable[[Architecture, int, Any, Report], Mapping[str, Any]]


def find_evaluator(name: str) -> Evaluator:
    """Give the evaluator `module:function`. Raises PluginError if it cannot be imported here."""
    try:
        evaluator: Evaluator = find("search.evaluator", name, {})
    except ValueError as error:
        raise PluginError(str(error)) from error
    if not callable(evaluator):
        raise PluginError(f"search.evaluator {name!r} must be a function, got {evaluator!r}")
    return evaluator


def check_task(task: Any) -> None:
    """Check that what a search names is known in this process, too: a script may have registered it in its own alone.

    Raises: ValueError naming the reward or measurer that is not.
    """
    if isinstance(task, Task):
        find_reward(task.reward.name)
        find_measurers(task.measure)


class Unwanted(BaseException):
    """Raised by a report: nobody waits for the answer of this candidate any more."""


def answer(architecture: Architecture, seed: int, task: Any, evaluate: Evaluator, report: Report) -> Trial:
    """Evaluate a candidate; every exception is an answer, too, `sys.exit` among them, but that of a disk that is full.

    Args:
        task: what the evaluator needs beside the candidate.
    Returns: the trial, as far as this process knows it; its curve has the rewards that were reported.
    Raises: what `nas.faults.is_of_disk`, lost data among it: the candidate is not to blame for it.
    """
    started, clock = datetime.now(UTC).isoformat(timespec="milliseconds"), time.perf_counter()
    rewards: dict[int, float | None] = {}  # after how many epochs

    def noted(fields: Mapping[str, Any]) -> bool:
        _check_report(fields)
        reward = trial_of(architecture, {"status": "ok", "reward": fields.get("reward")}).reward
        rewards[len(fields["curve"])] = reward
        return report({**fields, "reward": reward, "curve": _with_rewards(fields["curve"], rewards)})

    try:
        trial = trial_of(architecture, evaluate(architecture, seed, task, noted))
        trial = replace(trial, curve=_with_rewards(trial.curve, rewards))
    except (KeyboardInterrupt, Unwanted):
        raise
    except BaseException as error:  # else a candidate that calls sys.exit would end without an answer
        if _is_of_lost_data(error, task):
            raise faults.gone(task.data.cache) from error
        if faults.is_of_disk(error):
            raise
        logger.error("candidate %s\n%s", architecture.arch_id, _cut("".join(traceback.format_exception(error))))
        status = "oom" if _is_out_of_memory(error) else "failed"
        trial = Trial(architecture, status, error=_describe(error))
    return replace(_from_here(trial), started_at=started, wall_s=time.perf_counter() - clock)


def _is_of_lost_data(error: BaseException, task: Any) -> bool:
    """Whether a file is missing of the data set that was prepared for all candidates, here or on another host."""
    if not (isinstance(task, Task) and task.prepared and isinstance(error, FileNotFoundError)):
        return False
    return Path(str(error.filename)).parent.name == Path(task.prepared.folder).name


def _with_rewards(curve: Iterable[Any], rewards: Mapping[int, float | None]) -> tuple[Any, ...]:
    """Put into each epoch what the trial's reward was then: where trials are stopped early, it is what they are by."""
    known = {epoch: reward for epoch, reward in rewards.items() if reward is not None}
    return tuple(
        {**line, "reward": known[epoch]} if epoch in known and isinstance(line, Mapping) else line
        for epoch, line in enumerate(curve, 1)
    )


def so_far(architecture: Architecture, fields: Mapping[str, Any]) -> Trial:
    """Give the trial that a candidate would be if it were stopped now.

    Args:
        fields: what the evaluator reported after an epoch, `curve` among it.
    Raises: ValueError as `trial_of` does.
    """
    _check_report(fields)
    trial = trial_of(architecture, {**fields, "status": "pruned", "reward": None, "reward_se": None})
    return replace(_from_here(trial), error=f"stopped after epoch {len(trial.curve)}")


def _check_report(fields: Any) -> None:
    if not (isinstance(fields, Mapping) and isinstance(fields.get("curve"), list | tuple) and fields["curve"]):
        raise ValueError(f"a report must have the fields so far, a `curve` among them, got {shown(fields)}")


def _from_here(trial: Trial) -> Trial:
    """Say where a trial comes from, as far as its evaluator does not say it."""
    unknown: dict[str, Any] = {name: value for name, value in origin().items() if getattr(trial, name) is None}
    return replace(trial, **unknown)


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


def _describe(error: BaseException) -> str:
    """One line: the error, and the last places of its traceback."""
    places = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)[-3:]]
    message = one_line(message_of(error), 400)
    return one_line(f"{type(error).__name__}: {message} (at {' > '.join(places)})")


def _cut(text: str, most: int = 10_000) -> str:
    """Leave out the middle of a text that is far too long; escape what Ray's streams cannot encode."""
    short = text if len(text) <= 2 * most else f"{text[:most]}\n... ({len(text):,} characters)\n{text[-most:]}"
    return short.encode("utf-8", "backslashreplace").decode()


def _is_out_of_memory(error: BaseException) -> bool:
    if "torch" in sys.modules:  # else it was not torch's memory that ran out
        from nas.training.device import is_out_of_memory

        if is_out_of_memory(error):
            return True
    return isinstance(error, MemoryError) or "out of memory" in message_of(error).lower()
