"""Judge the measurements of `step_time` against the truth, and write the table."""

from __future__ import annotations

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
    """Give each method's rms and largest error and mean tau, and what its intervals are worth where it has any."""
    table = {}
    for method, first in passes[0][0].items():
        records = [[network[method] for network in one] for one in passes]
        intervals = isinstance(first, dict)
        found = np.array([[each["log_ratio"] if intervals else each for each in one] for one in records])
        errors = found - truth
        if not intervals:
            errors -= errors.mean(1, keepdims=True)
        table[method] = {
            "rms_error": float(np.sqrt(np.mean(errors**2))),
            "largest_error": float(np.abs(errors).max()),
            "mean_error": float(errors.mean()),
            "kendall_tau": mean(kendall_tau(one, truth) for one in found),
        } | (_intervals(records, truth, float(errors.mean())) if intervals else {})
    return table


def _intervals(records: list[list[dict[str, Any]]], truth: np.ndarray, mean_error: float) -> dict[str, float]:
    """What measurements say of themselves, and how often they are right; also but for the error common to them all."""
    pairs = [(record, true) for one in records for record, true in zip(one, truth, strict=True)]
    holds = [bool(record["low"] <= true <= record["high"]) for record, true in pairs]
    sure = [held for held, (record, _) in zip(holds, pairs, strict=True) if record["converged"]]
    return {
        "mean_n": mean(record["n"] for record, _ in pairs),
        "seconds": mean(record["seconds"] for record, _ in pairs),
        "converged": mean(record["converged"] for record, _ in pairs),
        "half_width": mean((record["high"] - record["low"]) / 2 for record, _ in pairs),
        "holds_truth": mean(holds),
        "holds_order": mean(bool(record["low"] <= true + mean_error <= record["high"]) for record, true in pairs),
        "holds_truth_if_converged": mean(sure) if sure else float("nan"),
    }


def markdown(result: dict[str, Any]) -> str:
    """Write the result as a page."""
    chosen, nets = result["set"], result["networks"]
    ratios = [next(iter(network["true_ratio"].values())) for network in nets]
    lines = [
        f"# Step time on {result['device']}, {result['date'][:10]}",
        "",
        f"`python -m experiments.benchmarks.step_time`, torch {result['torch']}, {result['cpus']} CPUs, one thread;",
        f"{len(nets)} networks of the space `{chosen['space']}` at {chosen['image_size']} px, batch "
        f"{chosen['batch_size']}.",
        "The head of the script says what the conditions, the methods and the truth are.",
        "",
        f"True ratios: {min(ratios):.2f} to {max(ratios):.2f}. MACs order the networks at tau "
        f"{result['tau_of_macs']:.2f}, parameters at {result['tau_of_params']:.2f}.",
        "",
        "| condition | load average before | times each | rounds | truth: halves differ, rms | common error |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {each['load_average_at_start']:.1f} | {each['repeats']} | {each['rounds']} "
            f"| {each['halves_differ']:.1%} | {each['common_error']:.1%} |"
            for name, each in result["conditions"].items()
        ),
        "",
        "| condition | method | rms error | largest | mean | Kendall tau | goal |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = [
        (condition, method, row)
        for condition, each in result["conditions"].items()
        for method, row in each["methods"].items()
    ]
    for condition, method, row in rows:
        rms, tau = GOALS[condition]
        goal = f"{rms:.0%}, {tau}" if method == "pairs in blocks" else ""
        lines.append(
            f"| {condition} | {method} | {row['rms_error']:.1%} | {row['largest_error']:.1%} "
            f"| {row['mean_error']:+.1%} | {row['kendall_tau']:.2f} | {goal} |"
        )
    lines += [
        "",
        "| condition | method | pairs | seconds | half width | holds the truth | mean error off | converged "
        "| and then holds it |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for condition, method, row in rows:
        if "holds_truth" in row:
            sure = f"{row['holds_truth_if_converged']:.0%}" if row["converged"] else "–"
            lines.append(
                f"| {condition} | {method} | {row['mean_n']:.1f} | {row['seconds']:.1f} | {row['half_width']:.1%} "
                f"| {row['holds_truth']:.0%} | {row['holds_order']:.0%} | {row['converged']:.0%} | {sure} |"
            )
    return "\n".join(lines) + "\n"
