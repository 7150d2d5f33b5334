"""What was proposed, what is running, what is finished: the search's memory, on disk at every step. No ray.

Files in the run folder, written by the search's driver alone. `trials.jsonl` has one line per finished trial: it is
the search, with `timings.jsonl`, where candidates are timed before it is decided which are trained. `proposals.jsonl`
has an event per line: `proposed`, `started`, `died` (the process of a trial went away), `stopped` (the search was asked
to stop), `chosen` (of some timings), `enough` (more trials would gain too little), `exhausted` (nothing more is
proposed), so that a search killed at any moment knows what was in flight.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nas.algorithms import Algorithm, Exhausted, Proposal
from nas.config.settings import RepeatSettings, StopSettings
from nas.runs.advice import AHEAD, Advisor
from nas.runs.folder import PROPOSALS, TIMINGS, TRIALS, read_trials
from nas.runs.log import JsonLines
from nas.runs.repeats import REPEAT, is_repeat
from nas.runs.timings import Timing, as_told, read_timings
from nas.runs.trial import Trial
from nas.search.alike import Alike
from nas.search.flight import Flight, replayed
from nas.search.repeats import is_due, next_repeat
from nas.search.time_first import CHOSEN, TimeFirst, of_its_kind
from nas.seeds import SEEDING, seed_of
from nas.trials.task import Candidate, is_timing

logger = logging.getLogger(__name__)

MAX_KILLS = 10  # drivers and nodes that may go while a candidate runs before it is given up as `interrupted`


class Ledger:
    """Hands out candidates and takes their answers; every answer is told to the algorithm once and logged once.

    Args:
        folder: the run folder; logs found there are replayed into the algorithm first.
        algorithm: fresh, told nothing but trials of earlier searches.
        run_id, seed: of the run; a trial's seed is drawn from it and the trial's number.
        seeding: how; see nas/seeds.py.
        trials: finished trials, of any status, at which the search ends.
        max_attempts: deaths of a candidate's process after which its status is `failed`.
        repeats: which of the trials train again what was trained before; None = none.
        stop_when: when new architectures are proposed no more; None = never.
        time_first: candidates timed for each one trained.
    Raises: ValueError if the logs do not fit together.
    """

    def __init__(
        self,
        folder: Path,
        algorithm: Algorithm,
        *,
        run_id: str,
        seed: int,
        trials: int,
        max_attempts: int,
        seeding: int = SEEDING,
        repeats: RepeatSettings | None = None,
        stop_when: StopSettings | None = None,
        time_first: int = 1,
    ) -> None:
        self.algorithm, self.run_id, self.seed, self.seeding = algorithm, run_id, seed, seeding
        self.budget, self.max_attempts, self.repeats = trials, max_attempts, repeats
        self.trials: list[Trial] = []
        self.flights: dict[int, Flight] = {}
        self.exhausted = False  # nothing more will be proposed
        self._all_proposed = False  # the space has no further architecture
        self.enough: str | None = None  # why no new architecture is proposed, where the space has more
        self._stop_when, self._advisor = stop_when, Advisor()
        self._next_id = 0
        self._trial_log, self._events = JsonLines(folder / TRIALS), JsonLines(folder / PROPOSALS)
        timings = read_timings(folder)
        self._timing_log = JsonLines(folder / TIMINGS) if timings or time_first > 1 else None
        self._alike = Alike()
        self.time_first = TimeFirst(time_first)
        self._replay(read_trials(folder), timings, folder / PROPOSALS)

    # ---- what the engine calls

    def next_candidate(self) -> Candidate | None:
        """Give the next candidate to start: one without an answer from before, else a new proposal; None: none now."""
        for flight in self.flights.values():
            if not flight.running:
                return self._start(flight)
        if self.exhausted or self._next_id >= self.budget:
            return None
        if proposal := self._repeat():
            return self._begin(self._next_id, proposal)
        if self.time_first.k > 1:
            if not self._has_enough() and (new := self._time_or_choose()):
                return new
            if self._timings_running:  # of which one may be what is trained
                return None
        elif proposal := self._new():
            return self._begin(self._next_id, proposal)
        return self._begin(self._next_id, proposal) if (proposal := self._last_repeat()) else None

    def finish(self, trial_id: int, outcome: Trial) -> Trial | None:
        """Log what became of a candidate and tell it to the algorithm; a second answer of the same one gives None.

        Args:
            outcome: as the worker knows it; what the search knows of the candidate is put into it here.
        """
        flight = self.flights.pop(trial_id, None)
        if flight is None:
            return None
        candidate, proposal = flight.candidate, flight.candidate.proposal
        trial = dataclasses.replace(
            outcome,
            run_id=self.run_id,
            trial_id=trial_id,
            architecture=proposal.architecture,
            proposed_by=proposal.proposed_by,
            parents=proposal.parents,
            proposal=proposal.notes,
            seed=candidate.seed,
            attempt=candidate.attempt,
            ended_at=_now(),
        )
        trial = self._alike.checked(of_its_kind(trial))
        if candidate.timing_only:
            assert self._timing_log is not None
            self._timing_log.append(trial.to_dict() | {"after": len(self.trials)})
        else:
            self._trial_log.append(trial.to_dict())
        self._tell(trial)
        return trial

    def _give_up(self, trial_id: int, status: str, error: str) -> Trial | None:
        """Answer a candidate that no worker will."""
        return self.finish(trial_id, Trial(self.flights[trial_id].candidate.proposal.architecture, status, error=error))

    def died(
        self, trial_id: int, reason: str, *, timed_out: bool = False, lost: bool = False, out_of_memory: bool = False
    ) -> Trial | None:
        """Take that a candidate's process went away: it runs again, or is answered if that happened too often.

        Args:
            lost: the node went, or the connection to it, or it is at fault: none of the candidate's doing.
            out_of_memory: the kernel ended it; it may have been another process's memory, so it runs again.
        """
        flight = self.flights.get(trial_id)
        if flight is None:
            return None
        if timed_out:
            return self._give_up(trial_id, "timeout", reason)
        flight.ended(lost=lost)
        event = {"event": "lost" if lost else "died", "trial_id": trial_id, "reason": reason, "at": _now()}
        if not lost:
            flight.out_of_memory = event["out_of_memory"] = out_of_memory
        self._events.append(event)
        if lost and flight.kills >= MAX_KILLS:
            return self._give_up(trial_id, "interrupted", f"what it ran on was lost {flight.kills} times: {reason}")
        if lost or flight.deaths < self.max_attempts:
            return None
        return self._give_up_dead(trial_id, f": {reason}")

    def _give_up_dead(self, trial_id: int, why: str = "") -> Trial | None:
        """Answer a candidate whose process died too often."""
        flight = self.flights[trial_id]
        if flight.out_of_memory:
            error = f"its process was ended {flight.deaths} times, last because memory ran out{why}"
            return self._give_up(trial_id, "oom", error)
        return self._give_up(trial_id, "failed", f"its process died {flight.deaths} times{why}")

    def stop(self) -> None:
        """Write down that the search stops in good order: what runs now was not killed by its own doing."""
        running = [trial_id for trial_id, flight in self.flights.items() if flight.running]
        for trial_id in running:
            self.flights[trial_id].running = False
        self._events.append({"event": "stopped", "trial_ids": running, "at": _now()})

    def close(self) -> None:
        """Close the logs."""
        for log in (self._trial_log, self._events, self._timing_log):
            if log is not None:
                log.close()

    @property
    def done(self) -> bool:
        """Whether every candidate is answered and no more will be proposed."""
        return not self.flights and (self.exhausted or self._next_id >= self.budget)

    def is_repeat(self, trial_id: int) -> bool:
        """Whether a candidate in flight is one that was trained before: it is not stopped early."""
        flight = self.flights.get(trial_id)
        return flight is not None and flight.candidate.proposal.proposed_by == REPEAT

    # ---- inside

    def _begin(self, number: int, proposal: Proposal, *after: Mapping[str, Any]) -> Candidate:
        """Start a new candidate: a trial of the next number, or a timing.

        Args:
            after: events of the same moment.
        """
        seed = seed_of(self.seed, "timing" if is_timing(number) else "trial", abs(number), seeding=self.seeding)
        self.flights[number] = flight = Flight(Candidate(number, proposal, seed, 0))
        if is_timing(number):
            self._next_timing -= 1
        else:
            self._next_id += 1
        proposed = {"event": "proposed", "trial_id": number, "seed": seed} | _proposal_record(proposal)
        return self._start(flight, proposed, after=after)

    def _time_or_choose(self) -> Candidate | None:
        """Train what is chosen of timings, or time another candidate; None if neither is to be done now."""
        first = self.time_first
        trainings = max(1, self.budget - self._next_id - (self.repeats.trials if self.repeats else 0))
        if not first.is_ready():
            if first.is_wanted(trainings, self._timings_running) and (proposal := self._new()):
                return self._begin(self._next_timing, proposal)
            if self._timings_running:
                return None
        if (proposal := first.choose(self.algorithm)) is None:
            return None
        return self._begin(self._next_id, proposal, first.event())

    @property
    def _timings_running(self) -> int:
        """How many candidates are being timed, or wait for it."""
        return sum(map(is_timing, self.flights))

    def _repeat(self) -> Proposal | None:
        """Choose what is trained again now; None if it is not time for that."""
        if self.repeats is None or not is_due(self.repeats, self._next_id, self.budget):
            return None
        return self._choose_again(self.repeats)

    def _choose_again(self, repeats: RepeatSettings) -> Proposal | None:
        running = Counter(flight.candidate.proposal.architecture.arch_id for flight in self.flights.values())
        return next_repeat(repeats, self.trials, running)

    def _new(self) -> Proposal | None:
        """Ask the algorithm; None if it has proposed all there is."""
        if self._all_proposed or self._has_enough():
            return None
        try:
            proposal = self.algorithm.ask()
        except Exhausted as error:
            logger.warning("the search ends early%s: %s", ", after its repeats" if self.repeats else "", error)
            self._all_proposed = True
            return None
        self.algorithm.space.encode(proposal.architecture)  # before it is logged: the algorithm could not be told of it
        return proposal

    def _has_enough(self) -> bool:
        """Whether more trials are expected to gain too little; once they were, they are."""
        if self.enough or self._stop_when is None:
            return self.enough is not None
        advice, least = self._advisor.look(), self._stop_when.expected_gain
        if advice is None or advice.expected_gain >= least:
            return False
        self.enough = f"search.stop_when: after {len(self.trials)} trials {AHEAD} more are expected to gain "
        self.enough += f"{advice.expected_gain:.2g}, less than {least:g}"
        logger.info("%s", self.enough)
        event = {"event": "enough", "expected_gain": least, "proposed": self._next_id, "why": self.enough}
        self._events.append(event | {"at": _now()})
        return True

    def _still_enough(self, event: Mapping[str, Any] | None) -> str | None:
        """Why there was enough before this search goes on: by the same measure, and nothing new was proposed since."""
        if event is None or self._stop_when is None or event["expected_gain"] != self._stop_when.expected_gain:
            return None
        new = self._next_id - self._repeats_at_end() > event["proposed"]
        return None if new else str(event["why"])

    def _last_repeat(self) -> Proposal | None:
        """Choose what is trained again when nothing new is proposed; None if there is nothing, or nothing yet."""
        if self.repeats is not None and self._repeats_at_end() < self.repeats.trials:
            if chosen := self._choose_again(self.repeats):
                return chosen
            if self.flights:  # whose answers may be what to choose from
                return None
        self.exhausted = True
        self._events.append({"event": "exhausted", "why": self.enough, "at": _now()})
        return None

    def _repeats_at_end(self) -> int:
        """How many candidates since the last new architecture are repeats: all of them."""
        new = [trial.trial_id for trial in self.trials if not is_repeat(trial)]
        return self._next_id - 1 - max([-1, *new, *(number for number in self.flights if not self.is_repeat(number))])

    def _start(self, flight: Flight, *before: Mapping[str, Any], after: Sequence[Mapping[str, Any]] = ()) -> Candidate:
        """Log a start, and what comes before and after it: to wait for the disk once is enough."""
        flight.started()
        candidate = flight.candidate
        self._events.append(*before, {"event": "started", "trial_id": candidate.trial_id, "at": _now()}, *after)
        if candidate.timing_only or candidate.proposal.proposed_by == REPEAT:  # which is timed again, as it is trained
            return candidate
        self.time_first.begun.add(candidate.proposal.architecture.arch_id)
        return candidate._replace(timed=self.time_first.fields_of(candidate.proposal.architecture.arch_id))

    def _tell(self, trial: Trial) -> None:
        if is_timing(trial.trial_id):
            self.time_first.tell(trial)
            self.algorithm.tell_timing(trial)
            return
        self.time_first.begun.add(trial.arch_id)
        self.trials.append(trial)
        self._alike.count(trial)
        if self._stop_when:
            self._advisor.count(trial)
        self.algorithm.tell(trial)

    def _replay(self, finished: Sequence[Trial], timings: Sequence[Timing], log: Path) -> None:
        """Rebuild the state from the logs; candidates that were running when the driver died count a kill."""
        told = list(as_told(finished, timings))
        answered = {trial.trial_id for trial in told}
        self.flights, decided = replayed(log, answered)
        for trial in told:
            self._tell(trial)
        if len(answered) < len(told):
            raise ValueError(f"{TRIALS} answers a trial twice; it was written by two searches at once")
        self.time_first.used = decided.get(CHOSEN, {"timings": 0})["timings"]
        self._next_id = 1 + max([-1, *answered, *self.flights])
        self._next_timing = min([0, *answered, *self.flights]) - 1
        self.enough = self._still_enough(decided.get("enough"))
        self.time_first.begun.update(
            flight.candidate.proposal.architecture.arch_id
            for number, flight in self.flights.items()
            if not is_timing(number)
        )
        for flight in list(self.flights.values()):
            if flight.candidate.proposal.proposed_by != REPEAT:  # which the algorithm did not ask for
                self.algorithm.assume(flight.candidate.proposal)
        for trial_id, flight in list(self.flights.items()):
            flight.kills += flight.running
            flight.running = False
            if flight.kills >= MAX_KILLS:
                self._give_up(trial_id, "interrupted", f"the search was killed {flight.kills} times while it ran")
            elif flight.deaths >= self.max_attempts:  # killed between the last death and its answer
                self._give_up_dead(trial_id)


def _proposal_record(proposal: Proposal) -> dict[str, Any]:
    return {
        "architecture": proposal.architecture.to_dict(),
        "proposed_by": proposal.proposed_by,
        "parents": list(proposal.parents),
        "proposal": dict(proposal.notes),
        "at": _now(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
