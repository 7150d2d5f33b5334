"""Judge the measurements of `step_time` against the truth, and write the table."""

from __future__ import annotations

import math
from statistics import mean
from typing import Any

import numpy as np

GOALS = {"idle": (0.02, 0.97), "loaded": (0.03, 0.92), "together": (0.02, 0.97)}  # rms error, tau


def kendall_tau(a: Any, b: Any) -> float:
    """Share of the pairs that both order alike, less the share that they order otherwise."""
    first, second = np.triu_indices(len(a), 1)
    a, b = np.asarray(a), np.asarray(b)
    return float(np.mean(np.sign(a[first] - a[second]) * np.sign(b[first] - b[second])))


def judged(passes: list[list[dict[str, Any]]], truth: np.ndarray) -> dict[str, dict[str, float]]:
    """Give rms and largest error and the mean tau of each method, and what the pairs say of themselves."""
    table = {}
    for method in [name for name in passes[0][0] if name != "measured"]:
        found = np.array([[result[method] for result in one] for one in passes])
        errors = found - truth
        if method.startswith("plain"):
            errors -= errors.mean(1, keepdims=True)
        table[method] = {
            "rms_error": float(np.sqrt(np.mean(errors**2))),
            "largest_error": float(np.abs(errors).max()),
            "mean_error": float(errors.mean()),
            "kendall_tau": mean(kendall_tau(one, truth) for one in found),
        }
    records = [(result["measured"], true) for one in passes for result, true in zip(one, truth, strict=True)]
    table["the pairs"] = {
        "mean_n": mean(record["n"] for record, _ in records),
        "converged": mean(record["converged"] for record, _ in records),
        "half_width": mean((record["ratio_high"] - record["ratio_low"]) / 2 / record["ratio"] for record, _ in records),
        "interval_holds_truth": mean(
            record["ratio_low"] <= math.exp(true) <= record["ratio_high"] for record, true in records
        ),
    }
    return table


def markdown(result: dict[str, Any]) -> str:
    chosen, nets = result["set"], result["networks"]
    ratios = [network["true_ratio"] for network in nets]
    lines = [
        f"# Step time on {result['device']}, {result['date'][:10]}",
        "",
        f"`python -m experiments.benchmarks.step_time`, torch {result['torch']}, {result['cpus']} CPUs, one thread;",
        f"load average before the start {result['load_average_at_start'][0]:.1f}. {len(nets)} networks of the space",
        f"`{chosen['space']}` at {chosen['image_size']} px, batch {chosen['batch_size']}, each timed "
        f"{result['repeats']} times in each condition.",
        "The head of the script says what the conditions, the methods and the truth are.",
        "",
        f"True ratios: {min(ratios):.2f} to {max(ratios):.2f}; the two halves of the truth differ by "
        f"{result['truth_halves_rms_difference']:.1%} rms.",
        f"MACs order the networks at tau {result['tau_of_macs']:.2f}, parameters at {result['tau_of_params']:.2f}.",
        "",
        "| condition | method | rms error | largest | mean | Kendall tau | goal |",
        "|---|---|---|---|---|---|---|",
    ]
    for condition, table in result["conditions"].items():
        for method, row in table.items():
            if method == "the pairs":
                continue
            rms, tau = GOALS[condition]
            goal = f"{rms:.0%}, {tau}" if method.startswith("pairs") else ""
            lines.append(
                f"| {condition} | {method} | {row['rms_error']:.1%} | {row['largest_error']:.1%} "
                f"| {row['mean_error']:+.1%} | {row['kendall_tau']:.2f} | {goal} |"
            )
    lines += ["", "| condition | pairs (mean) | converged | half width of the interval | interval holds the truth |"]
    lines += ["|---|---|---|---|---|"]
    for condition, table in result["conditions"].items():
        row = table["the pairs"]
        lines.append(
            f"| {condition} | {row['mean_n']:.1f} | {row['converged']:.0%} | {row['half_width']:.1%} "
            f"| {row['interval_holds_truth']:.0%} |"
        )
    return "\n".join(lines) + "\n"
