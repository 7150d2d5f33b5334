"""Draw README's picture from results that stand in experiments/results: python docs/pictures/evidence.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from scipy.stats import kendalltau

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parents[1] / "experiments" / "results"
CIFAR = RESULTS / "2026-11-29-confirm-cifar10-cpu"
TABLE = RESULTS / "2026-11-29-cifar10-table" / "table.csv"
SEARCHES = "2026-11-29-predictor-rows.json", "2026-11-30-chosen-by-a-model.json"
INK, LINE, MARK, SECOND = "#24292f", "#8c959f", "#0550ae", "#bc4c00"
# Of the searches shown: accuracies that scatter, step times that err, one candidate at a time.
SETTING = {"noise": 0.003, "timing": 0.03, "workers": 1, "settings": {}, "reward": "weighted_product", "trials": 200}
SHOWN = {"predictor": MARK, "ppo": SECOND, "evolution": INK}


def draw(path: Path) -> None:
    """Three panels: the winner beside baselines of its step time, what MACs say of that, and what algorithms find."""
    mpl.rcParams |= {"font.size": 10, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": LINE}
    mpl.rcParams |= {"xtick.color": INK, "ytick.color": INK, "svg.hashsalt": "evidence", "axes.titlesize": 10.5}
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10.4, 3.4), layout="constrained", facecolor="white")
    _confirmed(left, json.loads((CIFAR / "confirm.json").read_text()))
    _step_time(middle, pd.read_csv(TABLE))
    _algorithms(right, [one for name in SEARCHES for one in json.loads((RESULTS / name).read_text())])
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def _confirmed(axes: Axes, found: dict) -> None:
    """The winner and baselines of its step time, trained anew with several seeds."""
    words = {"reference": "reference, shrunk"}
    words |= {f"random-20-{one}": f"{one} of 20 random" for one in ("median", "best")}
    seeds = found["seeds"]
    each = [one for one in found["architectures"] if one["role"] == "baseline" or one["search_rank"] == 1]
    for place, one in enumerate(each):
        color = MARK if one["role"] == "found" else LINE
        axes.plot([one["low"], one["high"]], [place] * 2, color=color, lw=1.6)
        axes.plot(one["mean"], place, "o", ms=6.5, color=color)
    axes.set_yticks(range(len(each)), [words.get(one["name"], "winner") for one in each])
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel=f"accuracy on {found['metric']}", ylim=(len(each) - 0.5, -0.5))
    axes.locator_params(axis="x", nbins=5)
    axes.set_title(f"Trained anew at equal step time,\n{len(seeds)} seeds, {found['confidence']:.0%} intervals")


def _step_time(axes: Axes, table: pd.DataFrame) -> None:
    """Networks drawn uniformly."""
    s, macs = table["step_time"], table["macs"] / 1e6
    error = np.abs(table[["step_time_low", "step_time_high"]].to_numpy().T - s.to_numpy())
    axes.errorbar(macs, s, yerr=error, fmt="o", ms=3, lw=0.7, color=MARK, ecolor=LINE, alpha=0.8)
    axes.axhline(1, color=INK, lw=0.8, ls=":")
    axes.text(axes.get_xlim()[1], 1.03, "reference", ha="right", va="bottom", fontsize=9)
    axes.set(xlabel="MACs, million", ylabel="S: step time / reference's", ylim=(0, None))
    tau = kendalltau(macs, s).statistic
    axes.set_title(f"MACs do not tell the step time\n({len(table)} random networks, tau {tau:.2f})")


def _algorithms(axes: Axes, searches: list[dict]) -> None:
    """The same landscapes for all: those on which each was tried."""
    alike = [one for one in searches if {name: one[name] for name in SETTING} == SETTING]
    by_name = {name: [one for one in alike if one["algorithm"] == name] for name in SHOWN}
    common = set.intersection(*({one["landscape"] for one in found} for found in by_name.values()))
    for name, color in SHOWN.items():
        found = [one["g"] for one in by_name[name] if one["landscape"] in common]
        values = np.array([[g[n] for n in ("50", "100", "200")] for g in found])  # (searches, 3)
        mean, error = values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values))
        axes.errorbar((50, 100, 200), mean, yerr=error, fmt="-o", ms=4, lw=1.4, color=color)
        axes.text(207, mean[-1], name, color=color, va="center", fontsize=9.5)
    axes.set(xlabel="trials", ylabel="0: random search, 1: optimum", xlim=(35, 290), xticks=(50, 100, 200), ylim=(0, 1))
    axes.set_title(f"How far searches get, on {len(common)}\nsynthetic landscapes with noise")


if __name__ == "__main__":
    sys.exit(draw(HERE / "evidence.svg"))
