"""Runs a search: a Tuner over the ledger, again if Ray fails, until the ledger is done or a signal stops it."""

from __future__ import annotations

import logging
import math
import shutil
import tempfile
import time
from collections.abc import Callable
from typing import Any

import ray
from ray import tune

from nas.cluster.connection import connect, slots
from nas.cluster.searcher import Callbacks, Event, LedgerSearcher, make_scheduler
from nas.cluster.worker import run_candidate
from nas.search.ledger import Ledger
from nas.search.settings import SearchSettings
from nas.search.signals import stop_signals

logger = logging.getLogger(__name__)

_RESTARTS = 20


class Stopped(Exception):
    """The search was told to stop by a signal; its number is `signum`."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by signal {signum}")
        self.signum = signum


def run(
    ledger: Ledger,
    task: Any,
    settings: SearchSettings,
    *,
    address: str | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> None:
    """Run trials until the ledger is done or the time is up; Ray must be connected.

    Args:
        ledger: hands out candidates, takes answers.
        task: what the evaluator needs beside the candidate; pickled once.
        on_event: called in this process as trials start and finish.
    Raises: Stopped on SIGINT or SIGTERM, after running trials were given back to the ledger. What the search algorithm
        raises, after running trials have ended.
    """
    deadline = time.monotonic() + settings.max_hours * 3600 if settings.max_hours else math.inf

    def late() -> bool:
        return time.monotonic() > deadline

    at_once = slots(settings, {k: float(v) for k, v in ray.cluster_resources().items()}, elastic=address is not None)
    for restart in range(_RESTARTS + 1):
        if ledger.done or late():
            return
        with stop_signals() as caught:
            searcher = LedgerSearcher(ledger, settings.time_limit_s, lambda: bool(caught) or late(), on_event)
            try:
                _fit(searcher, task, settings, at_once)
            except Exception as error:
                if searcher.fault:
                    raise searcher.fault from None
                if caught:
                    raise Stopped(caught[0]) from None
                if restart == _RESTARTS:
                    raise
                # Ray raises here for some losses of nodes and workers; the ledger knows what was running.
                logger.warning("Ray failed and is started again: %s", str(error).splitlines()[0][:200])
                ray.shutdown()
                time.sleep(min(60, 2**restart))
                connect(address)
            finally:
                ledger.stop()
            if caught:
                raise Stopped(caught[0])
            if searcher.fault:
                raise searcher.fault


def _fit(searcher: LedgerSearcher, task: Any, settings: SearchSettings, at_once: int) -> None:
    fresh = settings.fresh_process if settings.fresh_process is not None else settings.gpus_per_trial > 0
    resources = {"cpu": settings.cpus_per_trial, "gpu": settings.gpus_per_trial}
    trainable = tune.with_parameters(
        run_candidate,
        task=task,
        evaluator=settings.evaluator,
        time_limit_s=settings.time_limit_s,
        reports=settings.prune != "none",
    )
    storage = tempfile.mkdtemp(prefix="nas-ray-")  # nothing in it is needed again
    try:
        tune.Tuner(
            tune.with_resources(trainable, resources),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=make_scheduler(settings, task, searcher),
                num_samples=10**9,
                max_concurrent_trials=at_once,
                reuse_actors=not fresh,
                trial_dirname_creator=_trial_dirname,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=storage,
                verbose=0,
                callbacks=[Callbacks(searcher)],
                failure_config=tune.FailureConfig(max_failures=0),
            ),
        ).fit()
    finally:
        shutil.rmtree(storage, ignore_errors=True)


def _trial_dirname(trial: Any) -> str:
    return str(trial.trial_id)
