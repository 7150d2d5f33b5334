"""What runs in a worker process: one candidate, its reports and its answer."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ray import tune

from nas import faults
from nas.cluster.protocol import Job
from nas.memory_kills import memory_kills
from nas.trials.answer import Unwanted, answer, hard_limit_s, killed_after, so_far
from nas.trials.readiness import fault_of_host, load, suspect
from nas.trials.task import Task
from search_space.architecture import Architecture
from search_space.lookup import describe


def run_candidate(config: Mapping[str, Any], job: Job) -> None:
    """Evaluate one candidate in a worker process and report its answer, and after each epoch what it would be now.

    Reports are dicts: `partial`, a Trial so far, with its `epoch`; `answer`, the Trial; or `unable`, why no candidate
    can be evaluated here: nothing is known of this one then. Where there are other hosts, the first says what this one
    has counted of `memory_kills` until now.
    """

    def tell(reward: float | None = None, **fields: Any) -> None:
        tune.report({"reward": float("nan") if reward is None else reward, **fields})

    if job.many_hosts:
        tell(memory_kills=memory_kills())
    with killed_after(hard_limit_s(job.time_limit_s)):  # imports may hang, too
        try:
            task, evaluate = load(job.task, job.plugins, job.evaluator)
            candidate = config["candidate"]
            architecture = Architecture.from_json(candidate["architecture"])
            if isinstance(task, Task):
                task = replace(task, timing_only=candidate["timing_only"], timed=candidate["timed"])
        except Exception as error:  # none of a candidate's doing: what the search names is not to be had here
            tell(unable=_with_host(describe(error), job), done=True)
            return

        def report(fields: Mapping[str, Any]) -> bool:
            partial = so_far(architecture, fields) if job.reports else None
            if partial and len(partial.curve) < job.epochs:
                try:  # if Ray stops the trial here, this call does not return, or ends this thread
                    tell(fields.get("reward"), epoch=len(partial.curve), partial=partial)
                except SystemExit as stopped:
                    raise Unwanted from stopped
            return True

        try:
            trial = answer(architecture, candidate["seed"], task, evaluate, report)
        except Unwanted:  # end the thread as Ray would: whoever returns reports once more, and nobody takes it any more
            raise SystemExit(0) from None
        except Exception as error:  # a full disk, for example
            tell(unable=_with_host(faults.line(error) or describe(error), job), done=True)
            return
        if job.many_hosts and suspect(trial, job.fingerprint):
            fault = fault_of_host(job.task, job.plugins, job.evaluator, job.fingerprint)
            if fault is not None:
                tell(unable=f"{fault} (a trial there: {trial.error})", done=True)
                return
    tell(trial.reward, answer=trial, done=True)


def _with_host(fault: str, job: Job) -> str:
    """Say where a fault is, unless the search says it."""
    return fault if job.many_hosts else f"{fault} (on {socket.gethostname()})"
