"""Trial log -> tables, best, Pareto front."""

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
    "hypervolume_over_time",
    "load",
    "load_epochs",
    "load_trials",
    "pareto",
    "records",
    "rescore",
    "save",
]
