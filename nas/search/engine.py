"""Runs trials on Ray Tune: the only file that imports ray.

Ray schedules, isolates and moves processes; it remembers nothing for us. The ledger does, so a search that is killed
starts a new Tuner over the same ledger. What a candidate does wrong is a result; only the death of its process is an
error to Ray, and even that is counted by the ledger, not by Ray (`max_failures=0`).
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.search.answer import answer, hard_limit_s, killed_after
from nas.search.ledger import Candidate, Ledger
from nas.search.pruning import hopeless
from nas.search.settings import SearchSettings
from nas.search.signals import stop_signals
from nas.trial import Trial

# Ray reads these when it is imported or started. Its memory monitor would crash the driver where the kernel's own
# answer, a dead worker, is handled; its tokens would lock out drivers and nodes that do not share a home folder; and its
# workers would run at nice 15, so that whatever else the machine does comes first and slows what is being timed.
_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_worker_niceness": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402
from ray import tune  # noqa: E402
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402

logger = logging.getLogger(__name__)

_RESTARTS = 20


@dataclass(frozen=True)
class Event:
    """Something the display may want to show."""

    kind: str  # started, finished, died
    trial_id: int
    trial: Trial | None = None  # of `finished`


class Stopped(Exception):
    """The search was told to stop by a signal; its number is `signum`."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by signal {signum}")
        self.signum = signum


def connect(address: str | None) -> dict[str, float]:
    """Start Ray on this machine, or connect to a cluster; give its resources, such as {"CPU": 8, "GPU": 1}.

    Args:
        address: of a cluster, `auto` for one running on this machine, None to start one here. A cluster that uses
            tokens needs RAY_AUTH_MODE=token set, as on its nodes.
    Raises: ValueError if no cluster answers there.
    """
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what it says of failed trials, the log says better
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    try:
        if address is None:  # `local` never follows the traces of an earlier cluster
            ray.init(address="local", include_dashboard=False, **quiet)
        else:
            ray.init(address=address, runtime_env={"env_vars": _ENVIRONMENT}, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ValueError(f"cannot connect to a Ray cluster at {address!r}: {error}") from None
    return {name: float(amount) for name, amount in ray.cluster_resources().items()}


def disconnect() -> None:
    """Stop what `connect` started, or leave the cluster."""
    ray.shutdown()


def slots(settings: SearchSettings, resources: Mapping[str, float], *, elastic: bool) -> int:
    """How many trials run at once.

    Args:
        resources: what `connect` gave.
        elastic: whether nodes may still join, so that too little now is no error.
    Raises: ValueError if not even one trial fits, or `workers` is more than fit, on a machine of our own.
    """
    wanted = {"CPU": settings.cpus_per_trial, "GPU": settings.gpus_per_trial}
    fit = min(int(resources.get(name, 0.0) / amount + 1e-9) for name, amount in wanted.items() if amount)
    if fit < 1 and not elastic:
        have = ", ".join(f"{resources.get(name, 0):g} {name}" for name in wanted)
        need = ", ".join(f"{amount:g} {name}" for name, amount in wanted.items() if amount)
        raise ValueError(f"a trial needs {need}, but this machine has {have}")
    if settings.workers and settings.workers > fit and not elastic:
        raise ValueError(f"search.workers is {settings.workers}, but only {fit} trials fit on this machine at once")
    return settings.workers or max(1, fit)


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
    Raises: Stopped on SIGINT or SIGTERM, after running trials were given back to the ledger.
    """
    deadline = time.monotonic() + settings.max_hours * 3600 if settings.max_hours else math.inf

    def late() -> bool:
        return time.monotonic() > deadline

    at_once = slots(settings, {k: float(v) for k, v in ray.cluster_resources().items()}, elastic=address is not None)
    for restart in range(_RESTARTS + 1):
        if ledger.done or late():
            return
        with stop_signals() as caught:
            searcher = _LedgerSearcher(ledger, settings.time_limit_s, lambda: bool(caught) or late(), on_event)
            try:
                _fit(searcher, task, settings, at_once)
            except Exception as error:
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


def _fit(searcher: _LedgerSearcher, task: Any, settings: SearchSettings, at_once: int) -> None:
    fresh = settings.fresh_process if settings.fresh_process is not None else settings.gpus_per_trial > 0
    resources = {"cpu": settings.cpus_per_trial, "gpu": settings.gpus_per_trial}
    trainable = tune.with_parameters(
        _trial,
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
                scheduler=_scheduler(settings, task, searcher),
                num_samples=10**9,
                max_concurrent_trials=at_once,
                reuse_actors=not fresh,
                trial_dirname_creator=_trial_dirname,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=storage,
                verbose=0,
                callbacks=[_Callbacks(searcher)],
                failure_config=tune.FailureConfig(max_failures=0),
            ),
        ).fit()
    finally:
        shutil.rmtree(storage, ignore_errors=True)


def _scheduler(settings: SearchSettings, task: Any, searcher: _LedgerSearcher) -> Any:
    """What stops trials early: nothing, asynchronous successive halving (arXiv:1810.05934), or the bound."""
    if settings.prune == "bound":
        return _BoundScheduler(searcher, settings.prune_top)
    if settings.prune == "none":
        return FIFOScheduler()
    epochs, thirds = task.training.epochs, 3
    return ASHAScheduler(
        time_attr="epoch",
        metric="reward",
        mode="max",
        max_t=epochs,
        grace_period=max(1, epochs // thirds**2),
        reduction_factor=thirds,
        stop_last_trials=False,
    )


class _BoundScheduler(FIFOScheduler):  # type: ignore[misc]
    """Stops a trial that can no longer be among the best."""

    def __init__(self, searcher: _LedgerSearcher, top: int) -> None:
        super().__init__()
        self.searcher, self.top = searcher, top

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Look at a trial after an epoch."""
        if "partial" in result and "answer" not in result:
            reason = hopeless(self.searcher.ledger.trials, json.loads(result["partial"]), self.top)
            if reason is not None:
                self.searcher.reasons[trial.trial_id] = reason
                return str(self.STOP)
        return str(self.CONTINUE)


class _LedgerSearcher(Searcher):  # type: ignore[misc]
    """Ray Tune's side of the ledger."""

    def __init__(
        self,
        ledger: Ledger,
        time_limit_s: float | None,
        stopping: Callable[[], bool],
        on_event: Callable[[Event], None],
    ) -> None:
        super().__init__(metric="reward", mode="max")
        self.ledger, self.time_limit_s, self.stopping, self.on_event = ledger, time_limit_s, stopping, on_event
        self.live: dict[str, Candidate] = {}
        self.began: dict[str, float] = {}
        self.reasons: dict[str, str] = {}  # why a trial was pruned

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles searchers to remember them; this one has nothing to remember."""
        return {}

    def suggest(self, trial_id: str) -> Any:
        """Give Ray a candidate, None while none is to start, or FINISHED."""
        if self.stopping():
            return Searcher.FINISHED if not self.live else None
        candidate = self.ledger.next_candidate()
        if candidate is None:
            return Searcher.FINISHED if self.ledger.done else None
        self.live[trial_id] = candidate
        return {"candidate": {"architecture": candidate.proposal.architecture.to_json(), "seed": candidate.seed}}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Note when a process began with its candidate; before that it only started."""
        candidate = self.live.get(trial_id)
        if candidate is not None and trial_id not in self.began:
            self.began[trial_id] = time.monotonic()
            self.on_event(Event("started", candidate.trial_id))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Take an answer. One without is a trial whose process died (`on_trial_died`) or that Ray stopped."""
        if error or result is None or not {"answer", "partial"} & result.keys():
            return
        if "answer" not in result and self.stopping():  # nothing wrong with the trial: the search ends
            return
        candidate = self.live.pop(trial_id, None)
        if candidate is None:
            return
        fields = json.loads(result.get("answer") or result["partial"])
        if reason := self.reasons.pop(trial_id, None):
            fields["error"] = reason
        trial = self.ledger.finish(candidate.trial_id, fields)
        if trial:
            self.on_event(Event("finished", candidate.trial_id, trial))

    def on_trial_died(self, trial_id: str, reason: str) -> None:
        """Tell the ledger that the process of a trial went away, and whether that was its time limit."""
        candidate = self.live.pop(trial_id, None)
        if candidate is None:
            return
        ran_s = time.monotonic() - self.began.get(trial_id, math.inf)
        hard = hard_limit_s(self.time_limit_s)
        timed_out = hard is not None and ran_s >= hard
        if timed_out:
            reason = f"did not end within {self.time_limit_s:g} s and was killed"
        trial = self.ledger.died(candidate.trial_id, reason, timed_out=timed_out)
        self.on_event(Event("finished" if trial else "died", candidate.trial_id, trial))

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the ledger is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the ledger is the state."""


class _Callbacks(tune.Callback):  # type: ignore[misc]
    """Passes on what Ray does not tell a searcher: why a process died."""

    def __init__(self, searcher: _LedgerSearcher) -> None:
        self.searcher = searcher

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The process of the trial died."""
        self.searcher.on_trial_died(trial.trial_id, _reason(trial))


def _reason(trial: Any) -> str:
    """The line of Ray's report that names the error."""
    report = Path(trial.error_file).read_text() if trial.error_file and Path(trial.error_file).exists() else ""
    lines = [line.strip() for line in report.splitlines() if line.strip()]
    named = [line for line in lines if line.startswith("ray.exceptions.")]
    reason = (named or lines or ["its process died"])[-1].removeprefix("ray.exceptions.")
    _, _, detail = reason.partition("Worker exit detail: ")
    return ". ".join((detail or reason).split(". ")[:2])[:300]


def _trial_dirname(trial: Any) -> str:
    return str(trial.trial_id)


def _trial(config: Mapping[str, Any], task: Any, evaluator: str, time_limit_s: float | None, reports: bool) -> None:
    """Evaluate one candidate in a worker process and report its answer, and after each epoch what it would be now."""

    def tell(**fields: Any) -> None:
        reward = fields.pop("reward", None)
        tune.report({"reward": float("nan") if reward is None else reward, **fields})

    def report(so_far: Mapping[str, Any]) -> bool:
        epoch = len(so_far["curve"])
        if reports and epoch < task.training.epochs:  # if Ray stops the trial here, this call does not return
            stopped = {"status": "pruned", "error": f"stopped after epoch {epoch}", "reward": None}
            tell(reward=so_far["reward"], epoch=epoch, partial=json.dumps({**so_far, **stopped}))
        return True

    candidate = config["candidate"]
    tell(epoch=0)  # this process is up: the time limit counts from here
    with killed_after(hard_limit_s(time_limit_s)):
        result = answer(candidate["architecture"], candidate["seed"], task, evaluator, report)
    tell(reward=result.get("reward"), answer=json.dumps(result), done=True)
