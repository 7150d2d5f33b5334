"""Trial log -> tables, best, Pareto front. Imported when used: pandas takes longer than reading how far a run is."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.analysis.certainty import estimates
    from nas.analysis.frame import (
        best,
        hypervolume_over_time,
        load,
        load_epochs,
        load_trials,
        pareto,
        records,
        rescore,
        save,
    )

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
    return getattr(import_module("nas.analysis." + ("certainty" if name == "estimates" else "frame")), name)
