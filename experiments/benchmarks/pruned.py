r"""What it is worth to stop trainings early, at equal device hours, and that stopped trials teach.

Candidates are those of the synthetic landscapes, trained for ten epochs. An epoch takes as long as their step time, and
what comes before the first as long as 0.8 of an epoch. What a curve says of its end is as on CIFAR-10
(experiments/results/2026-11-29-proxy-cifar10-cpu, the two proxies at 32 px): the standard deviation of the final
accuracy around a line through that after an epoch, over its standard deviation among architectures. Half of its
variance is a curve's own way, half is of each epoch.

A variant is an algorithm and what stops its trials (`asha@1+2+4`: after these epochs), and `untold` where stopped ones
teach it nothing. Printed is g, as in `algorithms.py`, of what the search chooses, where 0 is what 1,000 random full
trainings find: after as many device hours as 10, 20 and 40 random full trainings take, with its paired difference to
the first variant; and after how many such hours it is 0.

    python -m experiments.benchmarks.pruned --variants predictor:none,predictor:asha --seeds 10 --out runs.jsonl
"""

from __future__ import annotations

import argparse
import heapq
import math
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.algorithms import baseline, landscape_of, measured
from experiments.benchmarks.results import all_searched, by_case, mean_error
from experiments.benchmarks.timing_noise import TimingNoise, timed
from nas.algorithms import ALGORITHMS
from nas.algorithms.known_reward import known_reward
from nas.config.settings import SearchSettings
from nas.runs.ranking import best
from nas.runs.trial import Trial
from nas.search.pruning import make_judge

HOURS = (10.0, 20.0, 40.0)  # of random full trainings
RANDOM = 1000  # random full trainings that g = 0 stands for
LEVEL = np.array([0.5, 0.72, 0.8, 0.83, 0.88, 0.92, 0.95, 0.98, 1.0, 1.0])  # of accuracy, epoch by epoch
AROUND = np.array([0.77, 0.74, 0.57, 0.5, 0.45, 0.43, 0.33, 0.26, 0.15, 0.0])  # deviations around the line
BEFORE = 0.8  # epochs that start and timing take
EPOCHS = len(LEVEL)


@dataclass
class _Search:
    """What is known while a search is simulated."""

    log: list[Trial] = field(default_factory=list)
    truth: dict[str, float] = field(default_factory=dict)  # rewards without noise, by arch_id
    running: list[tuple[float, int, int, Trial]] = field(
        default_factory=list
    )  # when, number, epochs done then, the whole
    asked: int = 0

    def chosen(self) -> float | None:
        """The true reward of what the search would choose now."""
        found = best(self.log)
        return None if found is None else self.truth[found.arch_id]


def search(variant: str, number: int, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """Run one search; give g at the hours, the hours until it is 0, and how many trials there were."""
    name, prune, *untold = variant.split(":")
    landscape = landscape_of(given.part, number, "weighted_product")
    means, optimum = baseline(given.part, number, RANDOM, given.noise, "weighted_product")
    mean_s, spread = _usual(given.part, number)
    rng, of_curves = (np.random.default_rng((seed, stream)) for stream in (99, 98))
    timing = partial(timed, noise=TimingNoise(given.timing), rng=np.random.default_rng((seed, 97)))
    algorithm = ALGORITHMS[name](landscape.space, seed)
    algorithm.reward = known_reward("weighted_product", {})
    now, found, left, reached, clock = _Search(), dict[str, float | None](), list(HOURS), None, 0.0
    way, _, at = prune.partition("@")
    stopping = SearchSettings(prune=way, prune_epochs=tuple(map(int, filter(None, at.split("+")))))  # type: ignore[arg-type]
    judge = make_judge(stopping, EPOCHS, now.log)
    while left:
        while len(now.running) < given.workers:
            trial, true = measured(landscape, algorithm.ask(), given.noise * rng.normal(), timing, given.noise)
            trial = replace(trial, trial_id=now.asked, curve=_curve(trial, spread, of_curves))
            now.truth[trial.arch_id] = true
            heapq.heappush(now.running, (clock + (BEFORE + 1) * _epoch(trial, mean_s), now.asked, 1, trial))
            now.asked += 1
        clock, at, epochs, trial = heapq.heappop(now.running)
        while left and clock * given.workers > left[0]:
            true_now = now.chosen()
            g = None if true_now is None else (true_now - means[-1]) / (optimum - means[-1])
            found[f"{left.pop(0):g}"] = g
        if epochs == EPOCHS:
            algorithm.tell(trial)
            now.log.append(trial)
            if reached is None and (now.chosen() or 0.0) >= means[-1]:
                reached = clock * given.workers
            continue
        curve = trial.curve[:epochs]
        stopped = replace(trial, status="pruned", reward=None, reward_se=None, accuracy=None, curve=curve)
        if judge is None or not judge(at, replace(stopped, accuracy=curve[-1]["accuracy"])):
            heapq.heappush(now.running, (clock + _epoch(trial, mean_s), at, epochs + 1, trial))
        else:
            algorithm.tell(replace(stopped, curve=()) if untold else stopped)
    trials = {"asked": now.asked, "finished": len(now.log)}
    return {"variant": variant, "number": number, "seed": seed, "g": found, "reached": reached, **trials}


def _epoch(trial: Trial, mean_s: float) -> float:
    """How long an epoch takes, where a random architecture's training takes one."""
    return float(trial.s_normalised or 1.0) / mean_s / (EPOCHS + BEFORE)


def _curve(trial: Trial, spread: float, rng: np.random.Generator) -> tuple[dict[str, float], ...]:
    """Accuracies and rewards after each epoch; the last ones are the trial's."""
    final = trial.accuracy or 0.0
    off = math.sqrt(0.5) * (rng.normal() + rng.normal(size=EPOCHS))
    accuracies = LEVEL * (final + spread * AROUND * off)
    return tuple({"accuracy": float(a), "reward": float(a * (trial.reward or 0.0) / final)} for a in accuracies)


@cache
def _usual(part: str, number: int) -> tuple[float, float]:
    """Mean S of random architectures, and the standard deviation of their accuracy."""
    landscape = landscape_of(part, number, "weighted_product")
    codes = landscape.space.sample_encodings(2000, np.random.default_rng(0))
    return float(landscape.step_time(codes).mean()), float(landscape.accuracy(codes).std())


def table(records: list[dict[str, Any]], variants: list[str]) -> str:
    """Markdown: a row a variant, of the searches that all variants have."""
    by, cases = by_case(records, variants)
    hours = [f"{each:g}" for each in HOURS]
    heads = ["variant", *(f"g({each} h)" for each in hours), *(f"{each} h - first" for each in hours)]
    heads += ["hours to 0, median", "never", "trials", "finished"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]

    def g(name: str, hour: str) -> NDArray[np.float64]:
        # Before anything has finished, or far below what random search finds, one is as bad as the other.
        return np.array([max(-2.0, -2.0 if (x := by[name, *case]["g"][hour]) is None else x) for case in cases])

    for name in variants:
        rows = [by[name, *case] for case in cases]
        reached = [math.inf if row["reached"] is None else row["reached"] for row in rows]
        cells = [name, *(mean_error(g(name, hour)) for hour in hours)]
        cells += [mean_error(g(name, hour) - g(variants[0], hour), "+") for hour in hours]
        cells += [f"{np.median(reached):.1f}", str(sum(map(math.isinf, reached)))]
        cells += [f"{np.mean([row[key] for row in rows]):.0f}" for key in ("asked", "finished")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([f"{len(cases)} searches a row", "", *lines])


def main() -> None:
    """Run what is not there yet, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--variants", default="predictor:none,predictor:asha", help="algorithm:prune[:untold], by commas"
    )
    parser.add_argument("--part", default="development", choices=("development", "held_out"))
    parser.add_argument("--landscapes", default="1,4,7,12", help="numbers, by commas")
    parser.add_argument("--seeds", type=int, default=10, help="searches over each landscape")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--noise", type=float, default=0.003, help="standard deviation of a final accuracy")
    parser.add_argument("--timing", type=float, default=0.03, help="standard deviation of log S, see timing_noise.py")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines; searches that are there are not run again")
    given = parser.parse_args()
    print(table(all_searched(given, search), given.variants.split(",")))


if __name__ == "__main__":
    main()
