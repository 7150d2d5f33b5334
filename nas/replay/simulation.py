"""One search on a finished log in simulated time: workers side by side, trials as long as they took, stopped early.

Where candidates are timed first, a timing takes what a trial took before its first epoch, which its training lacks.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from nas.algorithms import Algorithm
from nas.algorithms.algorithm import Exhausted, Proposal
from nas.config.settings import SearchSettings
from nas.replay.table import Table, seconds_of
from nas.runs.timings import TIMED
from nas.runs.trial import Trial
from nas.search.pruning import Judge, make_judge
from nas.search.time_first import TimeFirst

_UNKNOWN_S = 3600.0  # of a trial of which no log says how long it took: any length will do, as long as it is the same


class Ends(NamedTuple):
    """When a trial's epochs and the trial end, in seconds after its start."""

    epochs: tuple[float, ...]  # ascending; empty = it has no curve
    trial: float
    before: float  # the first epoch begins: the architecture was built, and its step timed

    def timed_already(self) -> Ends:
        """Give the same of a training alone."""
        return Ends(tuple(end - self.before for end in self.epochs), self.trial - self.before, 0.0)


class Answer(NamedTuple):
    """What a simulated search learned at a moment."""

    hours: float  # of all workers since the search began, idle or not
    reward: float | None  # None: stopped early


@dataclass(frozen=True)
class Simulated:
    """One search."""

    answers: tuple[Answer, ...]  # in the order of their moments
    asked: int  # proposals
    exact: int  # of these, those that the log itself holds
    hours: float  # device hours that the whole search took


class _Running(NamedTuple):
    asked: Proposal
    found: Trial  # of the log, in its place
    began: float
    ends: Ends


def ends_of(trial: Trial) -> Ends:
    """Say when the epochs of a trial of the log ended: its curve's `seconds` are the last part of its device time.

    Where the curve has no seconds its epochs share all of the time; where a log says no time a trial lasts an hour.
    """
    whole = seconds_of(trial) or _UNKNOWN_S
    lengths = _lengths(trial) or [whole / len(trial.curve) for _ in trial.curve]
    before = spent = max(0.0, whole - sum(lengths)) if lengths else 0.0
    ended = []
    for length in lengths:
        spent += length
        ended.append(spent)
    return Ends(tuple(ended), max([whole, *ended[-1:]]), before)


def simulate(
    table: Table,
    algorithm: Algorithm,
    *,
    trials: int,
    workers: int = 1,
    settings: SearchSettings | None = None,
    hours: float | None = None,
    time_first: int = 1,
) -> Simulated:
    """Let an algorithm search the table.

    A proposal the table does not hold is replaced by the nearest trial that was not given yet.

    Args:
        algorithm: new; of the table's space.
        trials: started at most; no more than the table holds.
        workers: trials at once. Proposals are asked for as places become free, with what is known by then.
        settings: their `prune` says which trials are stopped after an epoch, as it does in a search; None = none.
        hours: device hours after which nothing is learned any more; None = until all trials have ended.
        time_first: candidates timed for each one trained, as `search.time_first`.
    Raises: ValueError if trials are to be stopped early and one has no curve of rewards, or to be timed first and it is
        not known of one how long that takes.
    """
    if time_first > 1 and (lacking := [each for each in table.trials if not _says_before(each)]):
        raise ValueError(
            f"time_first needs the seconds of every epoch, for what a trial took before is its timing, and trial "
            f"{lacking[0].arch_id} has none"
        )
    search = _Search(table, algorithm, trials, workers, None if hours is None else hours * 3600 / workers, time_first)
    if settings is not None and settings.prune != "none":
        epochs, eval_every = _schedule(table.trials, settings.prune)
        search.judge = make_judge(settings, epochs, search.told, eval_every=eval_every)
    return search.run()


class _Search:
    def __init__(
        self, table: Table, algorithm: Algorithm, trials: int, workers: int, limit_s: float | None, time_first: int
    ) -> None:
        self.table, self.algorithm, self.workers, self.limit_s = table, algorithm, workers, limit_s
        self.trials = min(trials, len(table.trials))
        self.judge: Judge | None = None
        self.told: list[Trial] = []
        self.given: dict[str, Trial] = {}  # by arch_id
        self.running: dict[int, _Running] = {}  # by number; timings count down from -1, as in a search
        self.events: list[tuple[float, int, int]] = []  # when, of which trial, after how many epochs (0: at its end)
        self.exact = self.started = self.timings = 0
        self.first = TimeFirst(time_first)
        self.exhausted = False

    def run(self) -> Simulated:
        answers, clock = [], 0.0
        self._fill(clock)
        while self.events:
            at, number, epochs = heapq.heappop(self.events)
            if self.limit_s is not None and at > self.limit_s:
                clock = self.limit_s
                break
            clock = at
            if number < 0:
                self._tell_timing(number)
            elif (told := self._outcome(number, epochs)) is not None:
                self._tell(number, told)
                answers.append(Answer(clock * self.workers / 3600, told.reward))
            else:
                continue
            self._fill(clock)
        return Simulated(tuple(answers), len(self.given), self.exact, clock * self.workers / 3600)

    def _fill(self, clock: float) -> None:
        begin = self._time_or_choose if self.first.k > 1 else self._train_new
        while len(self.running) < self.workers and self.started < self.trials and begin(clock):
            pass

    def _train_new(self, clock: float) -> bool:
        """Begin with a new candidate's trial, if there is one."""
        if (new := self._new()) is None:
            return False
        self._train(*new, clock, ends_of(new[1]))
        return True

    def _time_or_choose(self, clock: float) -> bool:
        """Train what is chosen of timings, or time another candidate, as a search does, if either is to be done now."""
        timing = sum(number < 0 for number in self.running)
        if not self.first.is_ready():
            wanted = self.first.is_wanted(self.trials - self.started, timing)
            if wanted and (new := self._new()) is not None:
                self.timings += 1
                running = self.running[-self.timings] = _Running(*new, clock, ends_of(new[1]))
                heapq.heappush(self.events, (clock + running.ends.before, -self.timings, 0))
                return True
            if timing:
                return False
        if (chosen := self.first.choose(self.algorithm)) is None:
            return False
        found = self.given[chosen.architecture.arch_id]
        self.first.begun.add(found.arch_id)
        self._train(chosen, found, clock, ends_of(found).timed_already())
        return True

    def _new(self) -> tuple[Proposal, Trial] | None:
        """Give a new proposal and the trial in its place; None if there are no more."""
        if self.exhausted or len(self.given) == len(self.table.trials):
            return None
        try:
            asked = self.algorithm.ask()
        except Exhausted:
            self.exhausted = True
            return None
        found = self.table.nearest(asked.architecture, self.given)
        self.given[found.arch_id] = found
        self.exact += found.arch_id == asked.architecture.arch_id
        return asked, found

    def _train(self, asked: Proposal, found: Trial, clock: float, ends: Ends) -> None:
        running = self.running[self.started] = _Running(asked, found, clock, ends)
        self._wait(self.started, running, 1)
        self.started += 1

    def _wait(self, number: int, running: _Running, epochs: int) -> None:
        """Wait until a trial has done so many epochs, where somebody looks then, or has ended."""
        ends = running.ends
        looked_at = self.judge is not None and epochs < len(ends.epochs)
        after = ends.epochs[epochs - 1] if looked_at else ends.trial
        heapq.heappush(self.events, (running.began + after, number, epochs if looked_at else 0))

    def _outcome(self, number: int, epochs: int) -> Trial | None:
        """Give what a trial ends as now; None if it goes on."""
        running = self.running[number]
        if epochs == 0:
            return running.found
        assert self.judge is not None  # or nobody would look
        curve = running.found.curve[:epochs]
        accuracy = curve[-1].get("accuracy")
        so_far = replace(
            running.found, status="pruned", reward=None, reward_se=None, accuracy=accuracy, curve=curve, trial_id=number
        )
        if self.judge(number, so_far) is not None:
            return so_far
        self._wait(number, running, epochs + 1)
        return None

    def _tell(self, number: int, trial: Trial) -> None:
        told = self._in_place(number, trial)
        self.told.append(told)
        self.algorithm.tell(told)

    def _tell_timing(self, number: int) -> None:
        known = replace(self.running[number].found, status=TIMED, accuracy=None, accuracy_se=None, loss=None, curve=())
        timing = self._in_place(number, replace(known, reward=None, reward_se=None))
        self.first.tell(timing)
        self.algorithm.tell_timing(timing)

    def _in_place(self, number: int, trial: Trial) -> Trial:
        """Give what is told of a trial that has ended, as if it were what was asked for."""
        asked = self.running.pop(number).asked
        self.algorithm.pending.pop(asked.architecture.arch_id, None)  # whatever is told in its place
        notes = asked.notes if trial.arch_id == asked.architecture.arch_id else {}
        return replace(trial, trial_id=number, proposed_by=asked.proposed_by, parents=asked.parents, proposal=notes)


def _says_before(trial: Trial) -> bool:
    """Whether it is known how long a trial took before its first epoch."""
    return seconds_of(trial) is not None and _lengths(trial) is not None


def _lengths(trial: Trial) -> list[float] | None:
    """The seconds of every epoch; None where they are not known of each, or come to nothing."""
    told = [epoch.get("seconds") for epoch in trial.curve]
    lengths = [float(s) for s in told if isinstance(s, int | float)]
    return lengths if len(lengths) == len(told) and sum(lengths) > 0 else None


def _schedule(trials: Sequence[Trial], prune: str) -> tuple[int, int]:
    """Say how long the trainings are and after how many epochs each they are evaluated."""

    def evaluated(trial: Trial) -> list[int]:
        return [number for number, epoch in enumerate(trial.curve, start=1) if epoch.get("reward") is not None]

    if lacking := [trial for trial in trials if not evaluated(trial)]:
        raise ValueError(
            f"prune {prune} needs the rewards of every epoch, and trial {lacking[0].arch_id} has no curve of them "
            "(a run folder has, a table that was made of one has not)"
        )
    return max(len(trial.curve) for trial in trials), min(evaluated(trial)[0] for trial in trials)
