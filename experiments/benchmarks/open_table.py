"""A search's log as a public table of trained and timed networks, and what it says of proxies and of step times.

    nas search cifar10_table                                              # hours; the same command goes on
    python -m experiments.benchmarks.open_table runs/cifar10_table --out experiments/results/DATE-open-table

Writes `table.csv` and `table.parquet`, a row a trial in the order drawn, with the columns that `nas replay` reads, and
`findings.md`. `--repeats` takes runs of the same architectures under other seeds, whose rows are written to
`repeats.csv`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nas.analysis import load, load_epochs
from nas.analysis.frame import decision_columns
from nas.claims.explain import explain
from nas.claims.rank_agreement import kendall, percentiles, regret, resamples

Floats = NDArray[np.float64]
DRAWS, TAU_DRAWS, CONFIDENCE = 2000, 400, 0.95  # of tau fewer: each looks at all pairs
DECISIONS = 10  # that are shown
WHO = ["trial_id", "arch_id", "seed", "status"]
MEASURED = [
    *("accuracy", "accuracy_se", "s_normalised", "s_low", "s_high", "step_time_ms", "reference_step_time_ms"),
    *("p_normalised", "params", "macs", "activations", "peak_memory_mb", "loss", "reward", "device_s", "started_at"),
    *("device_name", "torch_version", "git_commit", "w", "v"),
]
# As `nas replay` reads them, and what would be taken for them.
NAMES = {
    "s_normalised": "step_time", "s_low": "step_time_low", "s_high": "step_time_high", "p_normalised": "params",
    "params": "params_count",
}  # fmt: skip


def table_of(run: Path) -> pd.DataFrame:
    """Give a row a trial: who it is, each decision, what was measured, and the accuracy after each epoch."""
    trials = load(run).sort_values("trial_id", ignore_index=True)
    epochs = load_epochs(run)
    curves = epochs.pivot(index="trial_id", columns="epoch", values="accuracy")
    curves.columns = [f"accuracy_{epoch + 1}" for epoch in curves.columns]
    kept = trials[[*WHO, *decision_columns(trials), *MEASURED]].rename(columns=NAMES)
    training = epochs.groupby("trial_id")["seconds"].sum(min_count=1).rename("train_s")
    return kept.join(training, on="trial_id").join(curves, on="trial_id")


def importance(run: Path) -> list[str]:
    """What accuracy, step time and reward depend on: the decisions that explain most of any of them."""
    found = {name: explain(run, name) for name in ("accuracy", "s_normalised", "reward")}
    shares = {name: {each.decision: each for each in of.decisions} for name, of in found.items()}
    most = {decision: max(of[decision].importance for of in shares.values()) for decision in shares["reward"]}
    lines = ["| decision | accuracy | S | reward |", "|---|---|---|---|"]
    for decision in sorted(most, key=lambda each: -most[each])[:DECISIONS]:
        each = [of[decision] for of in shares.values()]
        cells = [f"{x.importance:.0%} ({x.low:.0%} to {x.high:.0%}), {x.best.choice}" for x in each]
        lines.append(f"| {decision} | {' | '.join(cells)} |")
    cells = [f"{of.rest:.0%} ({of.rest_low:.0%} to {of.rest_high:.0%})" for of in found.values()]
    return [*lines, f"| interactions and noise | {' | '.join(cells)} |"]


def of_seeds(table: pd.DataFrame, again: pd.DataFrame) -> str:
    """What the same architectures come to under other seeds: how much that scatters, and what is chosen by one."""
    rows = pd.concat([table[table["arch_id"].isin(again["arch_id"])], again])
    rows = rows[rows["status"] == "ok"]
    lines = ["| | scatter over seeds | spread of the means | tau of two seeds |", "|---|---|---|---|"]
    for name, words in {"accuracy": "accuracy", "step_time": "log S", "reward": "reward"}.items():
        values = np.log(rows[name]) if name == "step_time" else rows[name]
        by = [group.to_numpy() for _, group in values.groupby(rows["arch_id"])]
        seeds = max(map(len, by))
        each = np.array([one for one in by if len(one) == seeds])  # (architectures, seeds)
        within, means = float(np.sqrt(each.var(axis=1, ddof=1).mean())), each.mean(axis=1)
        pairs = [(a, b) for a in range(seeds) for b in range(a)]
        whole = np.ones((1, len(each)))
        tau = np.mean([kendall(each[:, a], each[:, b], whole)[0] for a, b in pairs])
        lines.append(f"| {words} | {within:.4f} | {means.std(ddof=1):.4f} | {tau:.2f} |")
    return f"{len(each)} architectures under {seeds} seeds each:\n\n" + "\n".join(lines)


class Findings:
    """What a table says, with intervals over architectures drawn anew from it."""

    def __init__(self, table: pd.DataFrame, w: float, v: float) -> None:
        self.table, self.w, self.v = table[table["status"] == "ok"].reset_index(drop=True), w, v
        self.counts = resamples(len(self.table), DRAWS, seed=0)
        self.whole = np.ones((1, len(self.table)))

    def tau(self, x: Floats, y: Floats) -> str:
        """Write Kendall's tau of two columns."""
        drawn = kendall(x, y, self.counts[:TAU_DRAWS])
        return _with_interval(float(kendall(x, y, self.whole)[0]), drawn, "+.2f")

    def of_epochs(self) -> list[str]:
        """How well the accuracy after fewer epochs ranks: by tau with the last, and by what its best are worth."""
        last = self._column("accuracy")
        lines = ["| epoch | tau with the last | regret@1 | regret@10 |", "|---|---|---|---|"]
        for name in [name for name in self.table if str(name).startswith("accuracy_") and str(name)[9:].isdigit()]:
            proxy = self._column(str(name))
            lost = (regret(proxy, last, self.counts, top) for top in (1, 10))
            here = (float(regret(proxy, last, self.whole, top)[0]) for top in (1, 10))
            cells = [_with_interval(100 * a, 100 * b, ".1f") for a, b in zip(here, lost, strict=True)]
            lines.append(f"| {str(name)[9:]} | {self.tau(proxy, last)} | {' | '.join(cells)} |")
        return lines

    def of_costs(self) -> list[str]:
        """How the step time follows what can be counted."""
        lines = ["| | tau with S | S of networks whose count is within 10 % of each other, largest over least |"]
        lines += ["|---|---|---|"]
        s = self._column("step_time")
        for name, words in {"macs": "MACs", "params_count": "params", "activations": "activations"}.items():
            x = self._column(name)
            spread = [
                s[alike].max() / s[alike].min() for one in x if (alike := np.abs(np.log(x / one)) < 0.1).sum() > 4
            ]
            lines.append(f"| {words} | {self.tau(x, s)} | {np.median(spread):.1f} at the median |")
        return lines

    def of_rewards(self) -> list[str]:
        """What is chosen where something else stands in the step time's place in the reward, and what that costs."""
        a, p = self._column("accuracy"), self._column("params")
        true = a * self._column("step_time") ** self.w * p**self.v
        lines = [
            "| in S's place | tau with the reward | reward lost by its best | S of its best |",
            "|---|---|---|---|",
        ]
        for words, cost in {
            "S": self._column("step_time"),
            "MACs": self._column("macs"),  # in any unit: who is ahead of whom does not depend on it
            "params": p,
            "activations": self._column("activations"),
            "nothing": np.ones(len(a)),
        }.items():
            by = a * cost**self.w * p**self.v
            lost = 100 * regret(by, true, self.counts, 1) / true.max()
            here = 100 * float(regret(by, true, self.whole, 1)[0]) / true.max()
            best = self.table["step_time"].iloc[int(np.argmax(by))]
            lines.append(f"| {words} | {self.tau(by, true)} | {_with_interval(here, lost, '.1f')} % | {best:.2f} |")
        return lines

    def _column(self, name: str) -> Floats:
        return self.table[name].to_numpy(np.float64)


def _with_interval(value: float, draws: Floats, how: str) -> str:
    interval = percentiles(draws, CONFIDENCE)
    return format(value, how) + ("" if interval is None else f" ({interval[0]:{how}} to {interval[1]:{how}})")


def written(findings: Findings, *more: str) -> str:
    """Give what the table says as markdown, and what more there is."""
    s, a = findings.table["step_time"], findings.table["accuracy"]
    error = findings.table["accuracy_se"].mean()
    parts = [
        f"{len(a)} architectures: accuracy {a.min():.3f} to {a.max():.3f}, standard deviation {a.std():.3f}, "
        f"of which {error:.3f} for the images it is measured on; S {s.min():.2f} to {s.max():.2f}. In brackets "
        f"{CONFIDENCE:.0%} intervals over architectures drawn anew.",
        "Fewer epochs of the same training, in points of accuracy:\n\n" + "\n".join(findings.of_epochs()),
        "The step time beside what can be counted:\n\n" + "\n".join(findings.of_costs()),
        f"The reward A S^{findings.w:g} P^{findings.v:g}, of what the table holds:\n\n"
        + "\n".join(findings.of_rewards()),
        *more,
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the table and what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--repeats", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    table = table_of(given.run)
    table.to_csv(given.out / "table.csv", index=False, float_format="%.6g")
    table.to_parquet(given.out / "table.parquet", index=False)
    more = [
        "Share of the variance over the space that a decision explains by itself, and its best choice (of S the "
        "quickest):\n\n" + "\n".join(importance(given.run))
    ]
    if given.repeats:
        again = pd.concat([table_of(run) for run in given.repeats], ignore_index=True)
        again.to_csv(given.out / "repeats.csv", index=False, float_format="%.6g")
        more.append(of_seeds(table, again))
    text = written(Findings(table, table["w"].iloc[0], table["v"].iloc[0]), *more)
    (given.out / "findings.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
