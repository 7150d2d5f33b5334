"""Which candidates a search times before it decides which of them it trains, and what it knows of them. No ray.

Of `k` timings one is trained: the first `k` of those that no choice was made of yet. So a worker that is free trains
where `k` are there, and else times another candidate; only at the end of a search one may wait for others' timings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from nas.algorithms import Algorithm, Proposal
from nas.algorithms.algorithm import as_proposed
from nas.measure.fields import TIMING_COLUMNS
from nas.runs.timings import TIMED
from nas.runs.trial import Trial
from nas.trials.task import is_timing

CHOSEN = "chosen"  # the event that some timings were chosen of


class TimeFirst:
    """The timings of a search, told or in flight.

    Args:
        k: timings for each training; 1 = none are made.
    """

    def __init__(self, k: int) -> None:
        self.k = k
        self.used = 0  # timings that were chosen of already, the earliest
        self.told: list[Trial] = []
        self.begun: set[str] = set()  # arch_ids of what is trained, or was
        self._known: dict[str, Trial] = {}  # the timing of each architecture that there is one of

    def tell(self, timing: Trial) -> None:
        """Take a timing that is in the log."""
        self.told.append(timing)
        if timing.status == TIMED:
            self._known[timing.arch_id] = timing

    def is_wanted(self, trainings: int, running: int) -> bool:
        """Whether another candidate is to be timed, if so many are still to be trained, and so many are being timed."""
        return self.k * trainings > len(self._fresh()) + running

    def is_ready(self) -> bool:
        """Whether there are as many timings as one is trained of."""
        return len(self._fresh()) >= self.k

    def choose(self, algorithm: Algorithm) -> Proposal | None:
        """Propose what is trained, of the timings that no choice was made of, or where there are none of any.

        Returns: None if nothing is left. Where none of them could be timed, the first is trained all the same: its
            trial says what is wrong with it.
        Raises: ValueError if the algorithm chooses what was not timed, or is trained already.
        """
        fresh = self._fresh()[: self.k]
        left = [self.told[at] for at in fresh] or [
            each for each in self._known.values() if each.arch_id not in self.begun
        ]
        if not left:
            return None
        timed = [each for each in left if each.status == TIMED]
        if timed:
            proposal = algorithm.choose(timed)
        else:
            algorithm.assume(proposal := as_proposed(left[0]))
        arch_id = proposal.architecture.arch_id
        if arch_id in self.begun or (timed and arch_id not in self._known):
            raise ValueError(f"algorithm {algorithm.name} chose {arch_id}, which is trained already or was not timed")
        if fresh:
            self.used = fresh[-1] + 1
        return proposal

    def fields_of(self, arch_id: str) -> dict[str, Any] | None:
        """Give what is known of an architecture's timing; None if it was not timed."""
        if (timing := self._known.get(arch_id)) is None:
            return None
        columns = {name: getattr(timing, name) for name in (*TIMING_COLUMNS, "device_name")}
        return columns | {"metrics": dict(timing.metrics)}

    def event(self) -> Mapping[str, Any]:
        """The event of a choice."""
        return {"event": CHOSEN, "timings": self.used}

    def _fresh(self) -> Sequence[int]:
        """Where the timings are that no choice was made of."""
        return [at for at in range(self.used, len(self.told)) if self.told[at].arch_id not in self.begun]


def of_its_kind(trial: Trial) -> Trial:
    """Refuse a training for a timing, and a timing for a training: it is the evaluator's fault."""
    if trial.status not in ("ok", TIMED) or (trial.status == TIMED) == is_timing(trial.trial_id):
        return trial
    wanted = "timed" if is_timing(trial.trial_id) else "trained"
    error = f"it was to be {wanted}, but search.evaluator answered {trial.status!r}"
    return replace(trial, status="failed", reward=None, reward_se=None, error=error)
