"""The picture of a replay: each algorithm's best reward over the number of trials."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from nas.search.replay import Replayed


def plot_replay(records: Sequence[Replayed], path: Path, best: float | None = None) -> Path:
    """Draw the mean best reward after each trial with its 95 % band; gives the path back.

    Args:
        path: of the picture; its suffix says the format.
        best: the log's best reward, drawn as a line.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for record in records:
        trials = range(1, len(record.mean_best) + 1)
        (line,) = axes.plot(trials, record.mean_best, label=record.algorithm)
        axes.fill_between(trials, record.low_best, record.high_best, alpha=0.2, color=line.get_color(), linewidth=0)
    if best is not None:
        axes.axhline(best, color="0.4", linestyle=":", linewidth=1, label="best of the log")
    axes.set(xscale="log", xlabel="trials", ylabel="best reward so far")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
    return path
