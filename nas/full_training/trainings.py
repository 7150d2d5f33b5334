"""Trainings that wait, run and end, as the engine sees them: candidates whose number stands in place of a seed."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nas.algorithms import Proposal
from nas.config.train import TrainConfig
from nas.runs.trial import Trial
from nas.trials.task import Candidate
from search_space.architecture import Architecture

ATTEMPTS = 3  # starts of a training whose process dies, without an epoch in between, before it is `failed`
LOSSES = 10  # the same where it was not the process but what it ran on


@dataclass(frozen=True)
class Training:
    """One of many full trainings."""

    name: str  # its folder under the study's, such as `ab12cd34ef56/seed-1`
    config: TrainConfig  # architecture, seed, data and recipe


class Queue:
    """Hands out work in its order and takes what becomes of it: `Candidates` to the engine.

    Nothing of it is written down: what the work makes is.

    Args:
        architectures: by number, of the trainings (or whatever is done with each) that are not done yet.
    """

    def __init__(self, architectures: Mapping[int, Architecture]) -> None:
        self.architectures = architectures
        self.waiting = deque(architectures)
        self.running: set[int] = set()
        self.attempts: Counter[int] = Counter()
        self.deaths: Counter[int] = Counter()  # in a row
        self.losses: Counter[int] = Counter()

    @property
    def done(self) -> bool:
        """Whether every training is answered."""
        return not (self.waiting or self.running)

    def next_candidate(self) -> Candidate | None:
        """Give the next training to start; None: none now."""
        if not self.waiting:
            return None
        number = self.waiting.popleft()
        self.running.add(number)
        self.attempts[number] += 1
        return Candidate(number, Proposal(self.architectures[number], "given"), number, self.attempts[number])

    def finish(self, trial_id: int, outcome: Trial) -> Trial | None:
        """Take what became of a training; None if that is known already."""
        if trial_id not in self.running:
            return None
        self.running.remove(trial_id)
        return outcome

    def died(self, trial_id: int, reason: str, *, timed_out: bool, lost: bool, out_of_memory: bool) -> Trial | None:
        """Take that a training's process went away: it goes on from its checkpoint, unless that happens too often."""
        if trial_id not in self.running:
            return None
        counted, most = (self.losses, LOSSES) if lost else (self.deaths, ATTEMPTS)
        counted[trial_id] += 1
        if counted[trial_id] >= most or timed_out:
            status = "timeout" if timed_out else "oom" if out_of_memory else "failed"
            what = "what it ran on was lost" if lost else "its process died"
            error = reason if timed_out else f"{what} {counted[trial_id]} times without an epoch in between: {reason}"
            return self.finish(trial_id, Trial(self.architectures[trial_id], status, error=error))
        self._back([trial_id])
        return None

    def progressed(self, trial_id: int) -> None:
        """Take that a training has come further: what it died of before was not its own doing."""
        self.deaths.pop(trial_id, None)
        self.losses.pop(trial_id, None)

    def stop(self) -> None:
        """Take that nothing runs any more."""
        self._back(sorted(self.running))

    def _back(self, numbers: Iterable[int]) -> None:
        for number in reversed([*numbers]):
            self.running.discard(number)
            self.waiting.appendleft(number)
