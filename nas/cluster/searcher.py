"""Ray Tune's side of the ledger: what to start, what came back, what to stop early."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ray import tune
from ray.tune.search import Searcher

from nas.cluster.nodes import Nodes
from nas.cluster.protocol import Source
from nas.memory_kills import Kills, any_between, memory_kills
from nas.plugins import PluginError
from nas.runs.trial import Trial
from nas.trials.answer import hard_limit_s
from nas.trials.task import Candidate
from search_space.lookup import one_line

T = TypeVar("T")


class LedgerSearcher(Searcher):  # type: ignore[misc]
    """Ray Tune's side of the ledger."""

    def __init__(
        self,
        candidates: Source,
        time_limit_s: float | None,
        signalled: Callable[[], bool],
        late: Callable[[], bool],
        nodes: Nodes | None = None,
    ) -> None:
        super().__init__(metric="reward", mode="max")
        self.candidates, self.time_limit_s = candidates, time_limit_s
        # A signal stops what runs, which then has no answer; when time is up, what runs is awaited.
        self.signalled, self.late = signalled, late
        self.nodes = nodes  # None on one machine, where Ray counts places well enough
        self.live: dict[str, Candidate] = {}
        self.began: dict[str, float] = {}
        self.kills: dict[str, Kills] = {}  # for memory, where it runs, when a trial began
        self.places: dict[str, str] = {}  # the node of each live trial
        self.died_on: dict[int, set[str]] = {}  # nodes on which a candidate's process died
        self.doubted: set[int] = set()  # candidates that were lost after their limit, or ended by it
        self.reasons: dict[str, str] = {}  # why a trial was pruned
        self.fault: Exception | None = None  # of the search, not of Ray: nothing is started any more
        self.unable = False  # whether a worker can evaluate nothing: what runs is stopped, too

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles searchers to remember them; this one has nothing to remember."""
        return {}

    def suggest(self, trial_id: str) -> Any:
        """Give Ray a candidate, None while none is to start, or FINISHED."""
        candidate = None if not self._has_room() or self._ending() else self.guarded(self.candidates.next_candidate)
        if candidate is None:
            over = not self.live if self._ending() else self.candidates.done
            return Searcher.FINISHED if over else None
        self.live[trial_id] = candidate
        config = {
            "architecture": candidate.proposal.architecture.to_json(),
            "seed": candidate.seed,
            "timing_only": candidate.timing_only,
            "timed": candidate.timed,
        }
        return {"candidate": config} | self._place(trial_id, candidate.trial_id)

    def _has_room(self) -> bool:
        """Whether some node can take a trial now; the end of the search if none ever could."""
        if self.nodes is None:
            return True
        self.nodes.look()  # what it raises is Ray's failure
        if reason := self.nodes.hopeless():
            self.fault, self.unable = self.fault or PluginError(reason), True
        return self.nodes.free() is not None

    def _place(self, trial_id: str, number: int) -> dict[str, str]:
        """Choose the node of a trial, on a cluster: not where its process died before, if there is another."""
        node = None if self.nodes is None else self.nodes.free(self.died_on.get(number, ()))
        if self.nodes is None or node is None:
            return {}
        self.nodes.take(node)
        self.places[trial_id] = node
        return {"node": node}

    def is_stranded(self, trial_id: str) -> bool:
        """Whether the node that a trial was to run on is not there any more."""
        node = self.places.get(trial_id)
        return self.nodes is not None and node is not None and not self.nodes.is_there(node)

    def _leave(self, trial_id: str, *, answered: bool = False) -> Candidate | None:
        """Take that a trial is over, however it ended; give its candidate unless that was known."""
        self.began.pop(trial_id, None)
        self.kills.pop(trial_id, None)
        node = self.places.pop(trial_id, None)
        if self.nodes is not None and node is not None:
            self.nodes.leave(node, answered=answered)
        return self.live.pop(trial_id, None)

    def _ending(self) -> bool:
        """Whether nothing is started any more."""
        return self.fault is not None or self.signalled() or self.late()

    def on_trial_start(self, trial_id: str) -> None:
        """Note that a process is there: on this machine it begins with its candidate at once.

        On another node it says so itself, for Ray may bring it what it needs only after ten seconds, where a node died
        that had it, too.
        """
        if self.nodes is None:
            self._on_begin(trial_id, memory_kills())

    def _on_begin(self, trial_id: str, kills: Kills) -> None:
        if (candidate := self.live.get(trial_id)) is None:
            return
        self.began[trial_id], self.kills[trial_id] = time.monotonic(), kills
        self.guarded(partial(self.candidates.began, candidate.trial_id))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass epochs on, and note when a process on another node begins."""
        candidate = self.live.get(trial_id)
        if candidate is None or "answer" in result:
            return
        if "memory_kills" in result:
            self._on_begin(trial_id, result["memory_kills"])
        elif "partial" in result:
            self.guarded(partial(self.candidates.so_far, candidate.trial_id, result["partial"]))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Take an answer, or what is known of a trial that the judge stopped.

        One with neither is a trial whose process died (`on_trial_died`) or that ends because the search does.
        """
        if result is not None and "unable" in result:
            self._on_unable(trial_id, result["unable"])
            return
        reason = self.reasons.pop(trial_id, None)
        if error or result is None or not ("answer" in result or reason):
            return
        candidate = self._leave(trial_id, answered=True)
        if candidate is None:
            return
        self.died_on.pop(candidate.trial_id, None)
        outcome: Trial = result["answer"] if "answer" in result else replace(result["partial"], error=reason)
        self.guarded(partial(self.candidates.finish, candidate.trial_id, outcome))

    def _on_unable(self, trial_id: str, reason: str) -> None:
        """Take that a worker can evaluate nothing: its node's fault where there are others, else the search's."""
        node = self.places.get(trial_id)
        candidate = self._leave(trial_id)
        if self.nodes is None or node is None:
            self.fault, self.unable = self.fault or PluginError(reason), True
        elif candidate is not None:
            self.nodes.set_aside(node, reason)
            self._lose(candidate, reason, lost=True)

    def on_trial_died(self, trial_id: str, reason: str) -> None:
        """Tell the ledger that the process of a trial went away, and whether that was its time limit."""
        began, kills = self.began.get(trial_id), self.kills.get(trial_id, ())
        node = self.places.get(trial_id)
        away = self.nodes is not None and node is not None and not self.nodes.is_there_now(node)
        candidate = self._leave(trial_id)
        if candidate is None or self.signalled():  # what asks a search to stop may have been sent to all its processes
            return
        ran_s = 0.0 if began is None else time.monotonic() - began
        hard = hard_limit_s(self.time_limit_s)
        gone = away or any(sign in reason for sign in _LOST)
        timed_out = hard is not None and ran_s >= hard and not (gone and self._may_be_lost(candidate, away=away))
        if timed_out:
            reason = f"did not end within {self.time_limit_s:g} s and was killed"
        lost = not timed_out and (gone or began is None)  # before it began, it was no candidate's process
        if node is not None and gone:  # its connection may be cut, which Ray itself may not know for a while yet
            self.died_on.setdefault(candidate.trial_id, set()).add(node)
        elif node is not None:
            self._died_there(node, candidate, reason, began=began is not None)
        memory = not (timed_out or lost) and any_between(kills, self._kills_now(node))
        self._lose(candidate, reason, timed_out=timed_out, lost=lost, memory=memory)

    def _may_be_lost(self, candidate: Candidate, *, away: bool) -> bool:
        """Whether an end that was heard of after the time limit may be that of the node, or of the way to it.

        Either is noticed late. Of a node that seems to be there, once for each candidate: a process that ended itself
        by its limit may look like that.
        """
        if away:
            return True
        doubted = self.nodes is None or candidate.trial_id in self.doubted
        self.doubted.add(candidate.trial_id)
        return not doubted

    def _died_there(self, node: str, candidate: Candidate, reason: str, *, began: bool) -> None:
        """Take what the death of a process says of its node."""
        if began:
            self.died_on.setdefault(candidate.trial_id, set()).add(node)
        elif self.nodes is not None:
            self.nodes.set_aside(node, f"a process died before it began with a candidate: {reason}")

    def _kills_now(self, node: str | None) -> Kills:
        return memory_kills() if self.nodes is None or node is None else self.nodes.memory_kills(node)

    def _lose(
        self, candidate: Candidate, reason: str, *, timed_out: bool = False, lost: bool = False, memory: bool = False
    ) -> None:
        act = partial(
            self.candidates.died, candidate.trial_id, reason, timed_out=timed_out, lost=lost, out_of_memory=memory
        )
        if self.guarded(act):
            self.died_on.pop(candidate.trial_id, None)

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
    """Passes on what Ray does not tell a searcher: that a process is there, and why one died."""

    def __init__(self, searcher: LedgerSearcher) -> None:
        self.searcher = searcher

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The process of the trial is there."""
        self.searcher.guarded(partial(self.searcher.on_trial_start, trial.trial_id))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The process of the trial died."""
        self.searcher.on_trial_died(trial.trial_id, self.searcher.guarded(partial(_reason, trial)) or _DIED)


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
