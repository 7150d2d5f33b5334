"""Importance of decisions by our analysis of variance and by a random forest, on landscapes whose effects are known.

A landscape is a sum of main effects of twelve decisions of two to four choices, of interactions of four pairs (none, or
0.3 of the variance), and of noise (0.2 of it). Choices are drawn uniformly. The forest's is functional ANOVA as Hutter,
Hoos and Leyton-Brown (ICML 2014) have it, exact over the leaves of scikit-learn's trees, with intervals from bootstrap
samples of the trials.

    python -m experiments.benchmarks.importance      # five minutes
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from nas.claims.anova import analyse, shortest_interval

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
CHOICES = [2, 2, 3, 4, 3, 2, 4, 3, 2, 2, 3, 4]
PAIRS, NOISE, TREES, SAMPLES = 4, 0.2, 16, 20


def landscape(rng: np.random.Generator, interactions: float) -> tuple[Callable[[Codes], Floats], Floats]:
    """Give the landscape of variance 1 without noise, and the variance of each decision's main effect."""
    effects = [rng.normal(size=n) * k for n, k in zip(CHOICES, rng.exponential(1, len(CHOICES)) ** 1.5, strict=True)]
    effects = [each - each.mean() for each in effects]
    scale = np.sqrt((1 - interactions) / sum(np.mean(each**2) for each in effects))
    pairs = [rng.choice(len(CHOICES), 2, replace=False) for _ in range(PAIRS)]
    tables = [rng.normal(size=(CHOICES[a], CHOICES[b])) for a, b in pairs]
    tables = [t - t.mean(axis=0) - t.mean(axis=1, keepdims=True) + t.mean() for t in tables]
    weight = np.sqrt(interactions / sum(np.mean(t**2) for t in tables))

    def values(codes: Codes) -> Floats:
        alone = sum(scale * each[codes[:, d]] for d, each in enumerate(effects))
        together = sum(weight * t[codes[:, a], codes[:, b]] for (a, b), t in zip(pairs, tables, strict=True))
        return np.asarray(alone + together)

    return values, np.array([np.mean((scale * each) ** 2) for each in effects])


def leaves(tree: Any) -> list[tuple[float, list[NDArray[np.bool_]]]]:
    """Give the value of each leaf, and which choices of each decision lead to it."""
    found, open_nodes = [], [(0, [np.ones(n, bool) for n in CHOICES])]
    while open_nodes:
        node, box = open_nodes.pop()
        if tree.children_left[node] < 0:
            found.append((float(tree.value[node, 0, 0]), box))
            continue
        d = tree.feature[node]
        left = np.arange(CHOICES[d]) <= tree.threshold[node]
        for child, side in ((tree.children_left[node], left), (tree.children_right[node], ~left)):
            open_nodes.append((child, [*box[:d], box[d] & side, *box[d + 1 :]]))
    return found


def main_effects(tree: Any) -> list[Floats]:
    """Give the main effect of each decision of one tree: its mean over all other decisions, less its mean."""
    found = leaves(tree)
    values = np.array([value for value, _ in found])
    shares = np.array([[part.mean() for part in box] for _, box in found])
    weight = values * shares.prod(axis=1)
    effects = []
    for d in range(len(CHOICES)):
        having = np.array([box[d] for _, box in found], float)
        marginal = (weight / shares[:, d]) @ having
        effects.append(marginal - marginal.mean())
    return effects


def forest(codes: Codes, values: Floats, seed: int) -> Floats:
    """Give variances of the forest's main effects, one row a bootstrap sample of the trials."""
    rng, rows = np.random.default_rng(seed), []
    for sample in range(SAMPLES):
        chosen = rng.integers(len(codes), size=len(codes))
        fitted = RandomForestRegressor(TREES, random_state=sample).fit(codes[chosen], values[chosen])
        trees = [main_effects(each.tree_) for each in fitted.estimators_]
        rows.append([np.mean(np.mean(of_trees, axis=0) ** 2) for of_trees in zip(*trees, strict=True)])
    return np.array(rows)


def judged(draws: Sequence[Floats], truths: Sequence[Floats], intervals: Callable[[Floats], Any]) -> str:
    """Say how far the means err, and how often the intervals hold the truth."""
    errors = [each.mean(axis=0) - truth for each, truth in zip(draws, truths, strict=True)]
    held, wide = [], []
    for each, truth in zip(draws, truths, strict=True):
        low, high = intervals(each)
        held.append((low <= truth) & (truth <= high))
        wide.append(high - low)
    return f"rms error {np.sqrt(np.mean(np.square(errors))):.3f}, holds {np.mean(held):.0%}, width {np.mean(wide):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--landscapes", type=int, default=20)
    parser.add_argument("--trials", type=int, nargs="+", default=[30, 60, 200])
    arguments = parser.parse_args()
    for trials in arguments.trials:
        for interactions in (0.0, 0.3):
            truths, ours, forests, seconds = [], [], [], [0.0, 0.0]
            for seed in range(arguments.landscapes):
                rng = np.random.default_rng(seed)
                function, truth = landscape(rng, interactions)
                codes = np.stack([rng.integers(n, size=trials) for n in CHOICES], axis=1)
                values = function(codes) + rng.normal(0, np.sqrt(NOISE), trials)
                began = time.perf_counter()
                ours.append(analyse(codes, CHOICES, values, seed=seed).shares * (1 + NOISE))
                between = time.perf_counter()
                forests.append(forest(codes, values, seed))
                seconds = [seconds[0] + between - began, seconds[1] + time.perf_counter() - between]
                truths.append(truth)
            each = [total / arguments.landscapes for total in seconds]
            print(f"{trials} trials, interactions {interactions}:", flush=True)
            print(f"  ours    {judged(ours, truths, lambda d: shortest_interval(d, 0.95))}, {each[0]:.1f} s")
            quantiles = judged(forests, truths, lambda d: np.quantile(d, [0.025, 0.975], axis=0))
            print(f"  forest  {quantiles}, {each[1]:.1f} s", flush=True)


if __name__ == "__main__":
    main()
