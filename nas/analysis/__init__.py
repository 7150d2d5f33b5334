"""Trial log -> tables, best, Pareto front. Imported when used: pandas takes longer than reading how far a run is."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.analysis.certainty import estimates
    from nas.analysis.frame import (
        best,
        load,
        load_epochs,
        load_trials,
        records,
        rescore,
        save,
    )
    from nas.analysis.front import hypervolume_over_time, pareto

__all__ = [
    "best",
    "estimates",
    "hypervolume_over_time",
    "load",
    "load_epochs",
    "load_trials",
    "pareto",
    "records",
    "rescore",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nas.analysis' has no attribute {name!r}; it has: {', '.join(__all__)}")
    return getattr(import_module(f"nas.analysis.{_ELSEWHERE.get(name, 'frame')}"), name)


_ELSEWHERE = {"estimates": "certainty", "hypervolume_over_time": "front", "pareto": "front"}
