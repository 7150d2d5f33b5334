"""How far a run is, from its folder alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from nas.runs.folder import PROPOSALS, is_locked, read_config, read_run, read_trials
from nas.runs.log import read_lines
from nas.runs.ranking import best
from nas.runs.trial import Trial


@dataclass(frozen=True)
class Status:
    """How far a run is."""

    state: str  # running, finished or stopped
    run_id: str
    created_at: str  # ISO 8601, UTC
    trials: int  # finished, of any status
    budget: int
    statuses: dict[str, int]  # status -> trials
    in_flight: int  # proposed, and not finished
    best: Trial | None
    device_h: float  # device hours spent on finished trials
    last_trial_s_ago: float | None


def status(run: Path) -> Status:
    """Say how far a run is. Raises ValueError if `run` is no run folder."""
    record, config = read_run(run), read_config(run)
    trials, events = read_trials(run), read_lines(run / PROPOSALS)
    answered = {trial.trial_id for trial in trials}
    budget = config["search"]["trials"]
    proposed = {e["trial_id"] for e in events if e["event"] == "proposed"}
    over = proposed <= answered and _exhausted(events)
    return Status(
        state="running" if is_locked(run) else "finished" if len(trials) >= budget or over else "stopped",
        run_id=record["run_id"],
        created_at=record["created_at"],
        trials=len(trials),
        budget=budget,
        statuses=dict(sorted(Counter(trial.status for trial in trials).items())),
        in_flight=len(proposed - answered),
        best=best(trials),
        device_h=sum(trial.device_s or 0 for trial in trials) / 3600,
        last_trial_s_ago=_age(trials),
    )


def _exhausted(events: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the space had no further architecture when the search last asked for one."""
    asked = [event["event"] for event in events if event["event"] in ("proposed", "exhausted")]
    return asked[-1:] == ["exhausted"]


def _age(trials: Sequence[Trial]) -> float | None:
    if not trials or not trials[-1].ended_at:
        return None
    return max(0.0, time.time() - datetime.fromisoformat(trials[-1].ended_at).timestamp())
