"""Callbacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.runs.trial import Trial


@dataclass(frozen=True)
class SearchInfo:
    folder: Path
    run_id: str
    config: Mapping[str, Any]
    trials: Sequence[Trial]
    budget: int
    workers: int
    state: str


class Callback:
    def on_message(self, text: str) -> None: ...
    def on_search_begin(self, search: SearchInfo) -> None: ...
    def on_trial_begin(self, trial_id: int, proposal: Any) -> None: ...
    def on_epoch(self, epoch: Mapping[str, Any], trial_id: int | None = None) -> None: ...
    def on_trial_lost(self, trial_id: int) -> None: ...
    def on_trial_end(self, trial: Trial) -> None: ...
    def on_search_end(self, search: SearchInfo) -> None: ...


class Callbacks(Callback):
    def __init__(self, each: Sequence[Callback]) -> None:
        self.each = list(each)
        for name in dir(Callback):
            if name.startswith("on_"):
                setattr(self, name, lambda *a, name=name, **k: [getattr(c, name)(*a, **k) for c in self.each])

    @property
    def wants_epochs(self) -> bool:
        return any(type(c).on_epoch is not Callback.on_epoch for c in self.each)
