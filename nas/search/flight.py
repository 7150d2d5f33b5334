"""Candidates without an answer yet, and what `proposals.jsonl` tells of them after the search's process ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.algorithms import Proposal
from nas.runs.events import events
from nas.runs.folder import PROPOSALS
from nas.search.time_first import CHOSEN
from nas.trials.task import Candidate
from search_space.architecture import Architecture


@dataclass
class Flight:
    """A candidate without an answer yet."""

    candidate: Candidate
    deaths: int = 0  # times its own process died
    kills: int = 0  # times the driver was killed, or its node lost, while it ran
    running: bool = False
    out_of_memory: bool = False  # whether its process was last ended for memory

    def started(self) -> None:
        """Count an attempt."""
        self.candidate = self.candidate._replace(attempt=self.candidate.attempt + 1)
        self.running = True

    def ended(self, *, lost: bool) -> None:
        """Count that the process went away, or what it ran on."""
        self.deaths += not lost
        self.kills += lost
        self.running = False


def replayed(log: Path, answered: Collection[int]) -> tuple[dict[int, Flight], dict[str, Mapping[str, Any]]]:
    """Rebuild what was in flight when a search's process ended, and what it had decided last.

    Args:
        answered: candidates that have an answer.
    Returns: flights by candidate, in the order proposed; `running` are those that nobody wrote down the end of. The
        last event of each kind that is of no candidate: `enough`, `chosen`.
    Raises: ValueError if there is an event of an unknown kind.
    """
    flights: dict[int, Flight] = {}
    decided: dict[str, Mapping[str, Any]] = {}
    for event in events(log, answered):
        if event["event"] in ("enough", CHOSEN):
            decided[event["event"]] = event
        elif event["event"] == "stopped":
            for trial_id in event["trial_ids"]:
                if trial_id in flights:
                    flights[trial_id].running = False
        elif event["event"] != "exhausted" and event["trial_id"] not in answered:
            _replay(event, flights)
    return flights, decided


def _replay(event: Mapping[str, Any], flights: dict[int, Flight]) -> None:
    kind, trial_id = event["event"], event["trial_id"]
    if kind == "proposed":
        proposal = Proposal(
            Architecture.from_dict(event["architecture"]),
            event["proposed_by"],
            tuple(event.get("parents") or ()),
            event.get("proposal") or {},
        )
        flights[trial_id] = Flight(Candidate(trial_id, proposal, event["seed"], 0))
        return
    flight = flights[trial_id]
    if kind == "started":
        flight.kills += flight.running  # started again without word of its end: the driver was killed
        flight.started()
    elif kind in ("died", "lost"):
        flight.ended(lost=kind == "lost")
        flight.out_of_memory = event.get("out_of_memory", flight.out_of_memory)
    else:
        raise ValueError(f"unknown event {kind!r} in {PROPOSALS}")
