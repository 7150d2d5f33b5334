"""What is done about trials that run: judged after epochs, and ended by the driver where nobody else would."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import ray
from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import FIFOScheduler

from nas.cluster.protocol import Judge
from nas.cluster.searcher import LedgerSearcher
from nas.trials.answer import hard_limit_s

_LOOK_S = 1.0  # between two looks at all trials
_GRACE_S = 5.0  # after the moment at which a process should have ended itself
_BEGIN_S = 600.0  # for a process to say that it is there
GONE = "its node has died before it began"


class Scheduler(FIFOScheduler):  # type: ignore[misc]
    """Stops the trials that a judge gives a reason to stop, and those that would never end.

    Args:
        judge: says which trials are not worth going on with; None = all are.
    """

    def __init__(self, searcher: LedgerSearcher, judge: Judge | None = None) -> None:
        super().__init__()
        self.searcher, self.judge = searcher, judge
        self.trials: dict[str, Any] = {}  # Ray's, of those that are live
        self.chosen: set[str] = set()  # of those, the ones that have asked for a process
        self.seen: dict[str, float] = {}  # when each was first seen to have a process
        self.rooms: dict[str, tuple[Any, int]] = {}  # of each node: what its trials ask for, and how many fit there
        self._next_look = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles schedulers to remember them; this one has nothing to remember."""
        return {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Take a trial that is about to run."""
        self.trials[trial.trial_id] = trial
        self._keep_processes(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Look at a trial after an epoch."""
        candidate = self.searcher.live.get(trial.trial_id)
        report = "partial" in result and "answer" not in result
        if self.judge is None or candidate is None or self.searcher.fault or not report:
            return str(self.CONTINUE)
        reason = self.searcher.guarded(partial(self.judge, candidate.trial_id, result["partial"]))
        if reason is None:
            return str(self.CONTINUE)
        self.searcher.reasons[trial.trial_id] = reason
        return str(self.STOP)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Look at what runs, in every round of Ray Tune's loop; give the trial to start next: an idle process is its.

        A new one before those that wait for a process of their own, which Ray Tune would end while it starts, again and
        again: trials that take less than that would all run in the first process that was there.
        """
        if (now := time.monotonic()) >= self._next_look:
            self._next_look = now + _LOOK_S
            for trial in list(self._live()):
                self._end_if_lost(tune_controller, trial, now)
            self._let_processes_go(tune_controller)
        waiting = [trial for trial in self._live() if trial.status == RayTrial.PENDING]
        trial = min(waiting, key=lambda trial: trial.trial_id in self.chosen, default=None)
        if trial is not None:
            self.chosen.add(trial.trial_id)
        return trial

    def _live(self) -> Iterator[Any]:
        for trial_id in self.trials.keys() - self.searcher.live.keys():
            self.trials.pop(trial_id)
            self.chosen.discard(trial_id)
            self.seen.pop(trial_id, None)
        return iter(self.trials.values())

    # ---- what would never end

    def _end_if_lost(self, tune_controller: Any, trial: Any, now: float) -> None:
        """End a trial whose node went before it began, whose process does not begin, or does not keep its limit."""
        actor, began = trial.temporary_state.ray_actor, self.searcher.began.get(trial.trial_id)
        if actor is None:
            if self.searcher.is_stranded(trial.trial_id):
                self.searcher.on_trial_died(trial.trial_id, GONE)
                tune_controller.stop_trial(trial)
            return
        since = self.seen.setdefault(trial.trial_id, now)
        limit_s = hard_limit_s(self.searcher.time_limit_s)
        late = now - since > _BEGIN_S if began is None else limit_s is not None and now - began > limit_s + _GRACE_S
        if late:
            ray.kill(actor)  # Ray reports it as a process that died, whatever has become of it
            self.seen[trial.trial_id] = now

    # ---- processes that are kept for the next trial

    def _keep_processes(self, tune_controller: Any, trial: Any) -> None:
        """Have Ray keep a node's idle processes for its next trials.

        It would end them whenever a trial waits for a process of another node: on a cluster, nearly always.
        """
        node = trial.config.get("node")
        if node is None or node in self.rooms or self.searcher.nodes is None:
            return
        places = self.searcher.nodes.nodes[node].places
        self.rooms[node] = trial.placement_group_factory, places
        _kept(tune_controller).increase_max(trial.placement_group_factory, by=places)

    def _let_processes_go(self, tune_controller: Any) -> None:
        """Do not keep those of nodes on which nothing is started for now."""
        for node in [node for node in self.rooms if not (self.searcher.nodes and self.searcher.nodes.is_ready(node))]:
            request, places = self.rooms.pop(node)
            _kept(tune_controller).decrease_max(request, by=places)


def _kept(tune_controller: Any) -> Any:
    """Give Ray's cache of idle processes, which has no public way to it."""
    return tune_controller._tune_controller._actor_cache
