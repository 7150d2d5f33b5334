"""Trial log -> tables, best, Pareto front."""

from nas.analysis.frame import best, load, load_epochs, load_trials, pareto, records, rescore, save

__all__ = ["best", "load", "load_epochs", "load_trials", "pareto", "records", "rescore", "save"]
