"""Ray Tune's side of the ledger: what to start, what came back, what to stop early."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from nas.plugins import PluginError
from nas.runs.trial import Trial
from nas.trials.answer import hard_limit_s
from nas.trials.task import Candidate
from search_space.lookup import one_line

T = TypeVar("T")


@dataclass(frozen=True)
class Event:
    """Something that happened, for whoever listens."""

    kind: Literal["started", "epoch", "finished", "died"]
    candidate: Candidate
    trial: Trial | None = None  # of `finished`; of `epoch` as far as it is known


class Candidates(Protocol):
    """Where candidates come from and answers go: the ledger of a search."""

    @property
    def done(self) -> bool:
        """Whether every candidate is answered and no more will come."""

    def next_candidate(self) -> Candidate | None:
        """Give the next candidate to start; None: none now."""

    def finish(self, trial_id: int, outcome: Trial) -> Trial | None:
        """Take what became of a candidate; None if that is known already."""

    def died(self, trial_id: int, reason: str, *, timed_out: bool, lost: bool) -> Trial | None:
        """Take that a candidate's process (or, `lost`, its node) went away; give the trial if that ends it."""

    def stop(self) -> None:
        """Take that nothing runs any more."""


# Gives the reason to stop the candidate of a number, of which this much is known, or None.
Judge = Callable[[int, Trial], str | None]


class LedgerSearcher(Searcher):  # type: ignore[misc]
    """Ray Tune's side of the ledger."""

    def __init__(
        self,
        candidates: Candidates,
        time_limit_s: float | None,
        signalled: Callable[[], bool],
        late: Callable[[], bool],
        on_event: Callable[[Event], None],
    ) -> None:
        super().__init__(metric="reward", mode="max")
        self.candidates, self.time_limit_s = candidates, time_limit_s
        # A signal stops what runs, which then has no answer; when time is up, what runs is awaited.
        self.signalled, self.late, self.on_event = signalled, late, on_event
        self.live: dict[str, Candidate] = {}
        self.began: dict[str, float] = {}
        self.reasons: dict[str, str] = {}  # why a trial was pruned
        self.fault: Exception | None = None  # of the search, not of Ray: nothing is started any more
        self.unable = False  # whether a worker can evaluate nothing: what runs is stopped, too

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles searchers to remember them; this one has nothing to remember."""
        return {}

    def suggest(self, trial_id: str) -> Any:
        """Give Ray a candidate, None while none is to start, or FINISHED."""
        candidate = None if self._ending() else self.guarded(self.candidates.next_candidate)
        if candidate is None:
            over = not self.live if self._ending() else self.candidates.done
            return Searcher.FINISHED if over else None
        self.live[trial_id] = candidate
        return {"candidate": {"architecture": candidate.proposal.architecture.to_json(), "seed": candidate.seed}}

    def _ending(self) -> bool:
        """Whether nothing is started any more."""
        return self.fault is not None or self.signalled() or self.late()

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Note when a process began with its candidate (before that it only started), and pass epochs on."""
        candidate = self.live.get(trial_id)
        if candidate is None:
            return
        if trial_id not in self.began:
            self.began[trial_id] = time.monotonic()
            self._tell(Event("started", candidate))
        elif "partial" in result and "answer" not in result:
            self._tell(Event("epoch", candidate, result["partial"]))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Take an answer, or what is known of a trial that the judge stopped.

        One with neither is a trial whose process died (`on_trial_died`) or that ends because the search does.
        """
        if result is not None and "unable" in result:
            self.live.pop(trial_id, None)
            self.fault, self.unable = self.fault or PluginError(result["unable"]), True
            return
        reason = self.reasons.pop(trial_id, None)
        if error or result is None or not ("answer" in result or reason):
            return
        candidate = self.live.pop(trial_id, None)
        if candidate is None:
            return
        outcome: Trial = result["answer"] if "answer" in result else replace(result["partial"], error=reason)
        trial = self.guarded(partial(self.candidates.finish, candidate.trial_id, outcome))
        if trial:
            self._tell(Event("finished", candidate, trial))

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
        lost = not timed_out and any(sign in reason for sign in _LOST)
        trial = self.guarded(partial(self.candidates.died, candidate.trial_id, reason, timed_out=timed_out, lost=lost))
        self._tell(Event("finished" if trial else "died", candidate, trial))

    def _tell(self, event: Event) -> None:
        self.guarded(partial(self.on_event, event))

    def guarded(self, act: Callable[[], T]) -> T | None:
        """Keep an error of ours from Ray, which would take it for its own and start over: here it ends the search."""
        try:
            return act()
        except Exception as error:
            self.fault = self.fault or error
            return None

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the ledger is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the ledger is the state."""


_DIED = "its process died"
# What Ray says when a node is gone: at once, and once it knows.
_LOST = ("actor is temporarily unavailable", "its node has died", "node was terminated")


class Callbacks(tune.Callback):  # type: ignore[misc]
    """Passes on what Ray does not tell a searcher: why a process died."""

    def __init__(self, searcher: LedgerSearcher) -> None:
        self.searcher = searcher

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The process of the trial died."""
        self.searcher.on_trial_died(trial.trial_id, self.searcher.guarded(partial(_reason, trial)) or _DIED)


class JudgedScheduler(FIFOScheduler):  # type: ignore[misc]
    """Stops the trials that a judge gives a reason to stop."""

    def __init__(self, searcher: LedgerSearcher, judge: Judge) -> None:
        super().__init__()
        self.searcher, self.judge = searcher, judge

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Look at a trial after an epoch."""
        candidate = self.searcher.live.get(trial.trial_id)
        if candidate is None or self.searcher.fault or "partial" not in result or "answer" in result:
            return str(self.CONTINUE)
        reason = self.searcher.guarded(partial(self.judge, candidate.trial_id, result["partial"]))
        if reason is None:
            return str(self.CONTINUE)
        self.searcher.reasons[trial.trial_id] = reason
        return str(self.STOP)


class Stopper(tune.Stopper):  # type: ignore[misc]
    """Stops everything at once where a worker can evaluate nothing."""

    def __init__(self, searcher: LedgerSearcher) -> None:
        self.searcher = searcher

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No trial is stopped on its own."""
        return False

    def stop_all(self) -> bool:
        """Whether the search is to end."""
        return self.searcher.unable


def _reason(trial: Any) -> str:
    """The line of Ray's report that names the error."""
    file = Path(trial.error_file) if trial.error_file else None
    report = file.read_text(encoding="utf-8", errors="backslashreplace") if file and file.exists() else ""
    lines = [line.strip() for line in report.splitlines() if line.strip()]
    named = [line for line in lines if line.startswith("ray.exceptions.")]
    reason = (named or lines or [_DIED])[-1].removeprefix("ray.exceptions.")
    _, _, detail = reason.partition("Worker exit detail: ")
    return one_line(". ".join((detail or reason).split(". ")[:2]), 300)
