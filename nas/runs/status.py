"""How far a run is, from its folder alone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from nas.runs.advice import StopAdvice, advise, why_not
from nas.runs.events import asked
from nas.runs.folder import PROPOSALS, TIMINGS, TRIALS, is_locked, read_config, read_run
from nas.runs.repeats import Estimate
from nas.runs.summary import Scores, Summary, summary
from nas.runs.trial import Trial


@dataclass(frozen=True)
class Status:
    """How far a run is."""

    state: str  # running, finished or stopped
    run_id: str
    created_at: str  # ISO 8601, UTC
    trials: int  # finished, of any status
    budget: int
    ended_by: str | None  # why it is finished before all its trials are, where a setting ended it
    statuses: dict[str, int]  # status -> trials
    timings: int  # of candidates, before it was decided whether they are trained: no trials
    in_flight: int  # proposed, and not finished
    best: Trial | None  # see nas/runs/ranking.py
    best_seen: Trial | None  # of highest reward, lucky or not
    estimate: Estimate | None  # of the best's architecture, where more is known than single rewards
    scores: Scores = field(repr=False, compare=False)  # of all finished trials
    advice: StopAdvice | None  # None = too few trials, or of a search of several objectives
    device_h: float  # device hours spent on finished trials and timings
    eta_s: float | None  # until it is finished, while it runs: as long a trial, as many at once as until now
    last_trial_s_ago: float | None


def status(run: Path) -> Status:
    """Say how far a run is. Raises ValueError if `run` is no run folder."""
    record, config = read_run(run), read_config(run)
    known, budget = summary(run / TRIALS), config["search"]["trials"]
    proposed, timings = asked(run / PROPOSALS), summary(run / TIMINGS)
    in_flight = max(0, proposed.candidates - len(known.answered))
    over = not in_flight and proposed.exhausted
    state = "running" if is_locked(run) else "finished" if known.trials >= budget or over else "stopped"
    return Status(
        state=state,
        run_id=record["run_id"],
        created_at=record["created_at"],
        trials=known.trials,
        budget=budget,
        ended_by=proposed.why if over else None,
        statuses=dict(sorted(known.statuses.items())),
        timings=timings.trials,
        in_flight=in_flight,
        best=known.best,
        best_seen=known.best_seen,
        estimate=known.estimate,
        scores=known.scores,
        advice=None if why_not(config) else advise(*known.scores),
        device_h=(known.device_s + timings.device_s) / 3600,
        eta_s=_eta(known, budget, in_flight, config["search"]) if state == "running" else None,
        last_trial_s_ago=_age(known.ended_at),
    )


def is_finished(run: Path, budget: int) -> bool:
    """Whether a run has that many trials, and none in flight."""
    candidates = asked(run / PROPOSALS).candidates
    return candidates >= budget and (run / TRIALS).exists() and len(summary(run / TRIALS).answered) >= candidates


def _eta(known: Summary, budget: int, in_flight: int, settings: Mapping[str, Any]) -> float | None:
    """Give the seconds that are left; those that run are taken to be half done."""
    share = settings.get("gpus_per_trial") or settings.get("cpus_per_trial") or 1.0
    if not (in_flight and known.trials and known.device_s):
        return None
    left = max(in_flight, budget - known.trials) - in_flight / 2
    return known.device_s / known.trials / share * left / in_flight


def _age(ended_at: str | None) -> float | None:
    if not ended_at:
        return None
    return max(0.0, time.time() - datetime.fromisoformat(ended_at).timestamp())
