"""A search on Ray: the engine runs in Ray's process, and again in a new one where Ray fails."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from nas.cluster.process import RayProcess
from nas.cluster.protocol import Aside, Candidates, Engine, Event, Job, NoRay, RayFailed, Stopped
from nas.runs.trial import Trial
from nas.signals import STOPS, handled
from nas.trials.task import Candidate

_RESTARTS = 20  # in a row of which no trial finished
_LONGEST_PAUSE_S = 60.0
_STOP_S = 10.0  # for Ray to end a search in good order; Slurm kills after 30 s, systemd after 90 s


def run(
    ray: RayProcess,
    candidates: Candidates,
    job: Job,
    engine: Engine,
    *,
    on_event: Callable[[Event], None] = lambda event: None,
    on_message: Callable[[str], None] = lambda text: None,
) -> None:
    """Run trials until no candidate is left or the time is up.

    Args:
        ray: is started.
        candidates: hands out candidates, takes answers; in this process.
        on_event: called in this process as trials start, finish an epoch, and end.
        on_message: told in one line that Ray failed, and what becomes of a cluster's nodes.
    Raises: Stopped on a signal that asks to, after running trials were given back. ValueError, at once, if workers can
        evaluate nothing, or the disk is full on which Ray writes here. What `candidates`, `on_event` or the engine's
        judge raises, after running trials have ended. RayFailed if Ray fails again and again.
    """
    deadline = time.monotonic() + engine.max_hours * 3600 if engine.max_hours else math.inf
    failures, proven = 0, engine.proven
    told = _Told(candidates, on_event)
    aside: dict[str, Aside] = {each.id: each for each in engine.aside}

    def keep(node_id: str, what: Aside | None) -> None:
        aside.pop(node_id, None)
        aside.update({} if what is None else {node_id: what})

    def finish(trial_id: int, outcome: Trial) -> None:
        nonlocal failures, proven
        failures, proven = 0, True
        told.finish(trial_id, outcome)

    answers: dict[str, Callable[..., Any]] = {
        "done": lambda: candidates.done,
        "next_candidate": told.next_candidate,
        "began": told.kept(told.began),
        "so_far": told.kept(told.so_far),
        "finish": told.kept(finish),
        "died": told.died,
        "stop": candidates.stop,
        "message": on_message,
        "aside": keep,
        "judge": engine.judge or _unjudged,
    }
    with _signals_to(ray) as caught:
        while not candidates.done and (left_s := deadline - time.monotonic()) > 0:
            try:
                if not ray.running:
                    ray.start()
                if not caught:
                    hours = None if math.isinf(left_s) else left_s / 3600
                    there = replace(engine, judge=None, max_hours=hours, proven=proven, aside=tuple(aside.values()))
                    ray.call("nas.cluster.engine:run_there", job, there, engine.judge is not None, answers=answers)
                    return
            except (RayFailed, NoRay) as failed:
                ray.close()
                candidates.stop()
                failures += 1
                if not caught and failures > _RESTARTS:
                    raise
                if not caught and failures == 1:
                    on_message(f"Ray failed and is started again, with growing pauses: {str(failed)[:200]}")
            _pause(min(_LONGEST_PAUSE_S, 2.0 ** (failures - 1)), caught)
            if caught:
                raise Stopped(caught[0])


class _Told:
    """What becomes of candidates, as Ray's process tells it: for the candidates' source, and for whoever listens."""

    def __init__(self, candidates: Candidates, on_event: Callable[[Event], None]) -> None:
        self.candidates, self.on_event = candidates, on_event
        self.out: dict[int, Candidate] = {}  # those without an answer
        self.fault: Exception | None = None  # raised by what was told, of which Ray's process does not know

    def kept(self, act: Callable[..., None]) -> Callable[..., None]:
        """Keep what is raised: nobody waits to hear of it, but nothing is started after it."""

        def kept(*content: Any) -> None:
            try:
                act(*content)
            except Exception as error:
                self.fault = self.fault or error
                raise

        return kept

    def next_candidate(self) -> Candidate | None:
        if self.fault is not None:
            raise self.fault
        candidate = self.candidates.next_candidate()
        if candidate is not None:
            self.out[candidate.trial_id] = candidate
        return candidate

    def began(self, trial_id: int) -> None:
        self.on_event(Event("started", self.out[trial_id]))

    def so_far(self, trial_id: int, trial: Trial) -> None:
        self.on_event(Event("epoch", self.out[trial_id], trial))

    def finish(self, trial_id: int, outcome: Trial) -> None:
        candidate = self.out.pop(trial_id)
        if trial := self.candidates.finish(trial_id, outcome):
            self.on_event(Event("finished", candidate, trial))

    def died(self, trial_id: int, reason: str, timed_out: bool, lost: bool, out_of_memory: bool) -> bool:
        candidate = self.out.pop(trial_id)
        trial = self.candidates.died(trial_id, reason, timed_out=timed_out, lost=lost, out_of_memory=out_of_memory)
        self.on_event(Event("finished" if trial else "died", candidate, trial))
        return trial is not None


def _unjudged(trial_id: int, trial: Trial) -> None:
    """Without a judge nothing is stopped."""


def _pause(seconds: float, caught: list[int]) -> None:
    """Wait, but not when a signal came."""
    end = time.monotonic() + seconds
    while not caught and (left_s := end - time.monotonic()) > 0:
        time.sleep(min(0.2, left_s))


@contextlib.contextmanager
def _signals_to(ray: RayProcess) -> Iterator[list[int]]:
    """Pass on what asks to stop to Ray's process, which ends the search in good order; give what was caught so far.

    Where it does not, for Ray may have been asked to stop, too, it is ended: what ran is given back all the same.
    """
    caught: list[int] = []
    late = threading.Timer(_STOP_S, ray.kill)
    late.daemon = True

    def pass_on(signum: int, frame: Any) -> None:
        caught.append(signum)
        if len(caught) > 2:  # asked three times: now
            ray.kill()
            os._exit(128 + signum)
        if len(caught) == 1:
            ray.signal(signum)
            late.start()

    with handled(dict.fromkeys(STOPS, pass_on)):
        try:
            yield caught
        finally:
            late.cancel()
