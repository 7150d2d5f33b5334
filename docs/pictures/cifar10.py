"""Draw README's picture from the log of the CIFAR-10 search: python docs/pictures/cifar10.py."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from scipy.stats import kendalltau

HERE = Path(__file__).resolve().parent
TRIALS = HERE.parents[1] / "experiments" / "results" / "2026-11-21-cifar10-cpu" / "trials.csv"
MINIVAL = 2000  # images, see the result's README
INK, LINE, MARK = "#57606a", "#8c959f", "#0969da"  # read on white and on black


def draw(path: Path) -> None:
    """Two panels: what MACs say of the step time, and accuracy against it."""
    trials = pd.read_csv(TRIALS)
    mpl.rcParams |= {"font.size": 9, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": LINE}
    mpl.rcParams |= {"xtick.color": INK, "ytick.color": INK, "svg.hashsalt": "cifar10"}
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.1), layout="constrained")
    s = trials["s_normalised"]
    macs = trials["macs"] / 1e6
    left.scatter(macs, s, s=16, color=LINE)
    left.set_xlabel("MACs, million")
    left.set_ylabel("S: measured step time / reference's")
    left.set_title(f"MACs do not tell it: Kendall's tau {kendalltau(macs, s).statistic:.2f}", fontsize=9)
    error = np.sqrt(trials["accuracy"] * (1 - trials["accuracy"]) / MINIVAL)
    winner = trials["reward"].idxmax()
    right.errorbar(s, trials["accuracy"], yerr=error, fmt="o", ms=4, lw=0.8, color=LINE)
    right.errorbar(s[winner], trials["accuracy"][winner], yerr=error[winner], fmt="o", ms=7, color=MARK)
    right.annotate("winner", (s[winner], trials["accuracy"][winner]), (-17, 24), textcoords="offset points", color=MARK)
    right.set_xlabel("S: measured step time / reference's")
    right.set_ylabel("accuracy ± standard error")
    right.set_title("32 candidates, 10 epochs each", fontsize=9)
    for axes in (left, right):
        axes.patch.set_alpha(0)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(draw(HERE / "cifar10.svg"))
