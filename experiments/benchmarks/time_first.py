"""Whether it pays to time several candidates for each one that is trained (`search.time_first`), at equal device hours.

On the synthetic landscapes, one trial after the other: a trial costs one, of which its timing is a share; with k
timings for each training a trial costs more, so that there are fewer of them. Printed is g as in `algorithms.py`, of
what the search chooses and of the best tried, after as many device hours as 50 and 100 plain trials take, and the
paired difference to the same algorithm with one timing for each training, with standard errors.

    python -m experiments.benchmarks.time_first --variants predictor:1,predictor:4 --seeds 10 --out runs.jsonl
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.algorithms import baseline, landscape_of, measured
from experiments.benchmarks.results import all_searched, by_case, mean_error
from experiments.benchmarks.timing_noise import TimedStep, TimingNoise, timed
from nas.algorithms import ALGORITHMS, Algorithm, Proposal
from nas.algorithms.algorithm import as_proposed
from nas.algorithms.evolution import Evolution
from nas.algorithms.known_reward import known_reward
from nas.runs.ranking import best
from nas.runs.trial import Trial

CHECKPOINTS = (50, 100)  # in device hours of so many plain trials


class First(Evolution):
    """Trains the first that could be timed: what the timings alone cost."""

    def _choose(self, timings: Sequence[Trial]) -> Proposal:
        return as_proposed(timings[0])


KNOWN: Mapping[str, Callable[..., Algorithm]] = {**ALGORITHMS, "evolution_first": First}


def search(variant: str, number: int, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """Run one search; give g at the checkpoints of what is chosen and of the best tried.

    Args:
        variant: an algorithm and k, such as `predictor:4`.
    """
    name, k = variant.split(":")
    landscape = landscape_of(given.part, number, given.reward)
    rng = np.random.default_rng((seed, 99))
    timing = partial(timed, noise=TimingNoise(given.timing), rng=np.random.default_rng((seed, 97)))
    algorithm = KNOWN[name](landscape.space, seed)
    algorithm.reward = known_reward(given.reward, {})
    means, optimum = baseline(given.part, number, CHECKPOINTS[-1], given.noise, given.reward)
    log: list[Trial] = []
    truth: dict[str, float] = {}
    steps: dict[str, TimedStep] = {}
    found: dict[str, Any] = {}
    hours, left = 0.0, list(CHECKPOINTS)

    def step(architecture_id: str, s: float) -> TimedStep:
        if architecture_id not in steps:
            steps[architecture_id] = timing(s)
        return steps[architecture_id]

    while left:
        timings = []
        for _ in range(int(k)):
            proposal = algorithm.ask()
            trial, _ = measured(landscape, proposal, 0.0, partial(step, proposal.architecture.arch_id))
            timings.append(replace(trial, status="timed", accuracy=None, reward=None))
            if k != "1":
                algorithm.tell_timing(timings[-1])
        if k != "1":
            proposal = algorithm.choose(timings)
        timing_of = partial(step, proposal.architecture.arch_id)
        trial, true = measured(landscape, proposal, given.noise * rng.normal(), timing_of, given.noise)
        hours += 1 - given.share + int(k) * given.share
        while left and hours > left[0] + 1e-9:  # this one would end too late
            chosen = best(log)
            assert chosen is not None
            n = left.pop(0)
            trues = {"chosen": truth[chosen.arch_id], "tried": max(truth.values())}
            found[str(n)] = {key: (each - means[n - 1]) / (optimum - means[n - 1]) for key, each in trues.items()}
        algorithm.tell(trial)
        log.append(trial)
        truth[trial.arch_id] = true
    return {
        "variant": variant,
        "number": number,
        "seed": seed,
        "share": given.share,
        "trials": len(log) - 1,
        "g": found,
    }


def table(records: list[dict[str, Any]], variants: list[str]) -> str:
    """Markdown: a row a variant and checkpoint; of the searches that all variants have."""
    by, cases = by_case(records, variants)
    heads = ["variant", "hours of plain trials", "trials at the end", "chosen", "best tried", "chosen - k = 1"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for n in map(str, CHECKPOINTS):
        for name in variants:
            plain = name.split(":")[0].removesuffix("_first") + ":1"
            rows = [by[name, *case] for case in cases]
            chosen = np.array([row["g"][n]["chosen"] for row in rows])
            first = np.array([by[plain, *case]["g"][n]["chosen"] for case in cases])
            cells = [name, n, f"{np.mean([row['trials'] for row in rows]):.0f}", mean_error(chosen)]
            cells += [mean_error([row["g"][n]["tried"] for row in rows]), mean_error(chosen - first, "+")]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([f"{len(cases)} searches a row", "", *lines])


def main() -> None:
    """Run what is not there yet, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", default="predictor:1,predictor:4", help="algorithm:k, by commas")
    parser.add_argument("--part", default="held_out", choices=("development", "held_out"))
    parser.add_argument("--landscapes", default="1,4,7,12", help="numbers, by commas")
    parser.add_argument("--reward", default="weighted_product", choices=("weighted_product", "mnasnet_hard"))
    parser.add_argument("--seeds", type=int, default=10, help="searches over each landscape")
    parser.add_argument("--noise", type=float, default=0.003, help="standard deviation of an accuracy")
    parser.add_argument("--timing", type=float, default=0.03, help="standard deviation of log S, see timing_noise.py")
    parser.add_argument("--share", type=float, default=1 / 30, help="of a trial that is its timing")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines; searches that are there are not run again")
    given = parser.parse_args()
    print(table(all_searched(given, search), given.variants.split(",")))


if __name__ == "__main__":
    main()
