"""Runs a search in Ray's process: a Tuner over the candidates, until none is left or a signal stops it."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import tune

from nas import faults, plugins
from nas.cluster.nodes import Nodes, on_node
from nas.cluster.protocol import Aside, Ask, Engine, Job, RayFailed, Source, Stopped
from nas.cluster.scheduler import Scheduler
from nas.cluster.searcher import Callbacks, LedgerSearcher, Stopper
from nas.cluster.share import slots
from nas.cluster.signals import stop_signals
from nas.cluster.worker import run_candidate
from nas.runs.trial import Trial
from nas.trials.task import Candidate
from search_space.lookup import describe

_UNLIMITED = 10**6


def run_there(ask: Ask, job: Job, engine: Engine, judged: bool) -> None:
    """Run the engine in Ray's process, for candidates that are in the other."""
    plugins.load(job.plugins)  # candidates may have ops of theirs
    judge = partial(ask, "judge") if judged else None
    told = {"on_message": partial(ask, "message"), "on_aside": partial(ask, "aside")}
    run(_Elsewhere(ask), job, replace(engine, judge=judge), **told)


class _Elsewhere:
    """Candidates that another process hands out, and to which answers go.

    A trial waits for that process once, for the next candidate: before, it takes what it was told until then.
    """

    def __init__(self, ask: Ask) -> None:
        self.ask = ask

    @property
    def done(self) -> bool:
        return bool(self.ask("done"))

    def next_candidate(self) -> Candidate | None:
        candidate: Candidate | None = self.ask("next_candidate")
        return candidate

    def began(self, trial_id: int) -> None:
        self.ask.tell("began", trial_id)

    def so_far(self, trial_id: int, trial: Trial) -> None:
        self.ask.tell("so_far", trial_id, trial)

    def finish(self, trial_id: int, outcome: Trial) -> None:
        self.ask.tell("finish", trial_id, outcome)

    def died(self, trial_id: int, reason: str, *, timed_out: bool, lost: bool, out_of_memory: bool) -> bool:
        return bool(self.ask("died", trial_id, reason, timed_out, lost, out_of_memory))

    def stop(self) -> None:
        self.ask("stop")


def run(
    candidates: Source,
    job: Job,
    engine: Engine,
    *,
    on_message: Callable[[str], None] = lambda text: None,
    on_aside: Callable[[str, Aside | None], None] = lambda node_id, aside: None,
) -> None:
    """Run trials until no candidate is left or the time is up; Ray must be connected.

    Args:
        candidates: hands out candidates, takes answers.
        on_message: told in one line what becomes of a cluster's nodes.
        on_aside: told what to remember of nodes for when Ray is started again: see `Nodes`.
    Raises: Stopped on a signal that asks to, after running trials were given back. ValueError, at once, if workers can
        evaluate nothing, or the disk is full on which Ray writes here. What `candidates` or the engine's judge
        raises, after running trials have ended. RayFailed if Ray fails.
    """
    deadline = time.monotonic() + engine.max_hours * 3600 if engine.max_hours else math.inf

    def late() -> bool:
        return time.monotonic() > deadline

    nodes = None
    if engine.address is not None:
        job = replace(job, many_hosts=True)
        share, limit = engine.share, engine.workers
        nodes = Nodes(share, limit, job, on_message, proven=engine.proven, aside=engine.aside, keep=on_aside)
    with stop_signals() as caught:
        searcher = LedgerSearcher(candidates, job.time_limit_s, lambda: bool(caught), late, nodes)
        try:
            _fit(searcher, job, engine)
        except Exception as error:
            if searcher.fault:
                raise searcher.fault from None
            if caught:
                raise Stopped(caught[0]) from None
            if faults.is_of_disk(error):  # that of this machine: to start Ray again would not help
                raise ValueError(faults.line(error)) from None
            # Ray raises here for some losses of nodes and workers; the ledger knows what was running.
            raise RayFailed(describe(error)) from None
        finally:
            candidates.stop()
        if caught:
            raise Stopped(caught[0])
        if searcher.fault:
            raise searcher.fault
    if not candidates.done and not late():
        raise RayFailed("Ray Tune ended before the search")


def _fit(searcher: LedgerSearcher, job: Job, engine: Engine) -> None:
    fresh = engine.fresh_process if engine.fresh_process is not None else engine.share.gpus > 0
    resources: Any = {"cpu": engine.share.cpus, "gpu": engine.share.gpus}
    at_once = _UNLIMITED  # the searcher counts the places of the nodes, which come and go
    if searcher.nodes is None:
        at_once = slots(engine.share, engine.workers, ray.cluster_resources(), elastic=False)
    else:
        resources = partial(on_node, engine.share)
    storage = Path(tempfile.mkdtemp(prefix="nas-ray-"))  # nothing in it is needed again
    try:
        tune.Tuner(
            tune.with_resources(tune.with_parameters(run_candidate, job=job), resources),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=Scheduler(searcher, engine.judge),
                num_samples=10**9,
                max_concurrent_trials=at_once,
                reuse_actors=not fresh,
                trial_dirname_creator=_trial_dirname,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=str(storage),
                verbose=0,
                progress_reporter=tune.CLIReporter(),  # says nothing; the one for notebooks would clear their output
                stop=Stopper(searcher),
                callbacks=[Callbacks(searcher)],
                failure_config=tune.FailureConfig(max_failures=0),
            ),
        ).fit()
    finally:
        shutil.rmtree(storage, ignore_errors=True)


def _trial_dirname(trial: Any) -> str:
    return str(trial.trial_id)
