r"""Is the advice to stop calibrated? What ten more trials were expected to gain, beside what they then gained in truth.

Searches run on synthetic landscapes with noisy trainings. After every tenth trial from the 20th on the advice
(nas/runs/advice.py) reads the log as it is then; ten trials later the true reward of the best is compared with that of
the best before. Printed are means over groups of like predictions, each with the standard error over searches, and
what `search.stop_when` does: after how many trials it ends a search, and how much truer reward the rest would have
brought.

    python -m experiments.benchmarks.stopping --algorithms random,evolution,predictor --trials 100 --noise 0,0.003,0.006
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.landscapes import family
from experiments.benchmarks.repeats import search
from nas.runs.advice import AHEAD, LEAST, StopAdvice, advise

Floats = NDArray[np.float64]

BOUNDS = (0.0, 0.0003, 0.001, 0.002, 0.004, np.inf)  # of groups of like predictions
LEAST_GAIN = 0.001  # of `search.stop_when`


@dataclass(frozen=True)
class Case:
    """One search."""

    part: str  # of the landscapes
    landscape: int
    algorithm: str
    seed: int
    trials: int
    noise: float


@dataclass(frozen=True)
class Judged:
    """What was said in a search, and what came."""

    case: Case
    at: NDArray[np.int64]  # (K,): trials
    said: tuple[StopAdvice, ...]  # (K,)
    came: Floats  # (K,): true gain by the next AHEAD trials
    left: Floats  # (K,): true gain until the end of the search


def judged(case: Case) -> Judged:
    """Run a search, and judge what is said of it on the way."""
    done = search(family(case.part)[case.landscape], case.algorithm, case.seed, case.trials, case.noise)
    names = [trial.arch_id for trial in done.trials]
    rewards = np.array([trial.reward for trial in done.trials], dtype=float)
    errors = np.array([trial.reward_se for trial in done.trials], dtype=float)
    best = np.array([done.true[names[int(np.argmax(rewards[: n + 1]))]] for n in range(len(rewards))])  # after each
    at = np.arange(LEAST, case.trials - AHEAD + 1, AHEAD)
    said = [advise(names[:n], rewards[:n], errors[:n]) for n in at.tolist()]
    assert all(said)  # every trial is of another architecture
    came, left = best[at + AHEAD - 1] - best[at - 1], best[-1] - best[at - 1]
    return Judged(case, at, tuple(one for one in said if one), came, left)


def calibration(of: Sequence[Judged]) -> list[str]:
    """Give a line for each group of like predictions: how many, predicted, came, and its standard error."""
    predicted = [np.array([one.expected_gain for one in each.said]) for each in of]
    lines = []
    for low, high in pairwise(BOUNDS):
        within = [(low <= each) & (each < high) for each in predicted]
        count = sum(int(each.sum()) for each in within)
        if count == 0:
            continue
        mean = sum(float(p[w].sum()) for p, w in zip(predicted, within, strict=True)) / count
        sums = np.array([each.came[w].sum() for each, w in zip(of, within, strict=True)])
        sizes = np.array([w.sum() for w in within])
        came = float(sums.sum()) / count
        error = float(np.sqrt(((sums - came * sizes) ** 2).sum())) / count  # of a ratio of sums over searches
        lines.append(f"{low:g} to {high:g} | {count} | {mean:.5f} | {came:.5f} ± {error:.5f}")
    return lines


def ends(of: Sequence[Judged], rule: str) -> str:
    """Say where a rule ends searches: trials, and the gain that the rest would have brought, in all and per AHEAD.

    Args:
        rule: `gain` (less than LEAST_GAIN is expected) or `noise` (less than the best is known to).
    """
    trials, lost = [], []
    for each in of:
        stop = [one.expected_gain < LEAST_GAIN if rule == "gain" else bool(one.within_noise) for one in each.said]
        place = stop.index(True) if any(stop) else None
        trials.append(each.case.trials if place is None else int(each.at[place]))
        lost.append(0.0 if place is None else float(each.left[place]))
    rest = sum(each.case.trials - n for each, n in zip(of, trials, strict=True))
    return f"{np.mean(trials):.0f} | {np.mean(lost):.4f} | {AHEAD * sum(lost) / max(rest, 1):.5f}"


def main() -> None:
    """Judge, algorithm by algorithm and noise by noise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", default="random,evolution,predictor", help="names, by commas")
    parser.add_argument("--trials", type=int, default=100, help="of each search")
    parser.add_argument("--noise", default="0,0.003,0.006", help="standard deviations of accuracy, by commas")
    parser.add_argument("--seeds", type=int, default=5, help="searches over each landscape")
    parser.add_argument("--part", default="held_out", help="development or held_out")
    parser.add_argument("--landscapes", default="0,1,4,5,9,11", help="numbers of landscapes, by commas")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    given = parser.parse_args()
    print("| algorithm | noise | predicted within | cases | predicted | came |\n" + "|---" * 6 + "|")
    stops = []
    with ProcessPoolExecutor(given.jobs) as pool:
        for name in given.algorithms.split(","):
            for noise in map(float, given.noise.split(",")):
                numbers = [int(number) for number in given.landscapes.split(",")]
                cases = [
                    Case(given.part, land, name, seed, given.trials, noise)
                    for land in numbers
                    for seed in range(given.seeds)
                ]
                found = list(pool.map(judged, cases))
                for line in calibration(found):
                    print(f"| {name} | {noise:g} | {line} |", flush=True)
                stops.append(f"| {name} | {noise:g} | {ends(found, 'gain')} | {ends(found, 'noise')} |")
    heads = f"trials | the rest gains | per {AHEAD}"
    print(f"\n| algorithm | noise | stop_when {LEAST_GAIN:g}: {heads} | below the noise: {heads} |")
    print("\n".join(["|---" * 8 + "|", *stops]))


if __name__ == "__main__":
    main()
