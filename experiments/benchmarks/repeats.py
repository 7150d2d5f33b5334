r"""What repeats inside a search are worth: the true reward of the architecture that a search chooses, with and without.

Searches on the held-out synthetic landscapes, of equal budget and equal until the first repeat: one goes on to propose
new architectures and chooses the one that looked best; the other spends its last trials on training the best again
(`search.repeats`) and chooses the one of highest posterior mean. A training's accuracy errs by `--noise`. Printed are
how often the truly best of all architectures that the search trained is chosen, the mean regret of what is chosen (its
true reward against the optimum's), the paired difference with its standard error, and by how much the reward at which
it is stated is above its true one.

    python -m experiments.benchmarks.repeats --algorithms random,evolution,ppo --trials 100,200 --noise 0.003,0.006
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np

from experiments.benchmarks.algorithms import measured
from experiments.benchmarks.landscapes import Landscape, family
from nas.algorithms import ALGORITHMS, Proposal
from nas.config.settings import RepeatSettings
from nas.runs.ranking import best_seen
from nas.runs.repeats import posterior_of
from nas.runs.trial import Trial
from nas.search.repeats import next_repeat


@dataclass(frozen=True)
class Searched:
    """A search's log, and the truth."""

    landscape: Landscape
    noise: float  # standard deviation of a training's accuracy
    trials: tuple[Trial, ...]
    true: dict[str, float]  # reward of each architecture, by arch_id


def trained(landscape: Landscape, proposal: Proposal, noise: float, rng: np.random.Generator) -> tuple[Trial, float]:
    """Train once: the trial, whose error is known, and the true reward."""
    trial, true = measured(landscape, proposal, noise * rng.normal())
    return replace(trial, reward_se=noise * (trial.reward or 0.0) / (trial.accuracy or 1.0)), true


def search(landscape: Landscape, name: str, seed: int, trials: int, noise: float) -> Searched:
    """Run a search without repeats."""
    algorithm, rng = ALGORITHMS[name](landscape.space, seed), np.random.default_rng((seed, 99))
    log, truth = [], {}
    for _ in range(trials):
        trial, true = trained(landscape, algorithm.ask(), noise, rng)
        algorithm.tell(trial)
        log.append(trial)
        truth[trial.arch_id] = true
    return Searched(landscape, noise, tuple(log), truth)


def repeated(searched: Searched, repeats: RepeatSettings, seed: int) -> tuple[Trial, ...]:
    """Give the log of the search that spends its last trials on repeats."""
    rng, log = np.random.default_rng((seed, 98)), list(searched.trials[: -repeats.trials])
    for _ in range(repeats.trials):
        proposal = next_repeat(repeats, log, {})
        assert proposal is not None  # there are many to choose from
        log.append(trained(searched.landscape, proposal, searched.noise, rng)[0])
    return tuple(log)


def compared(searched: Searched, repeats: RepeatSettings, seed: int) -> tuple[float, ...]:
    """Compare the two.

    Returns: whether the truly best of those trained is chosen, regret, and what is claimed above the truth, each
        without and with repeats; whether the interval of 95 % holds the truth.
    """
    seen, found = best_seen(searched.trials), posterior_of(repeated(searched, repeats, seed))
    assert seen is not None  # all trials are scored
    assert found is not None  # and some are repeated
    optimum, winner = searched.landscape.optimum, found.winner
    without, true = searched.true[seen.arch_id], searched.true[winner.arch_id]
    best = max(searched.true[trial.arch_id] for trial in searched.trials)
    best_with = max(searched.true[each] for each in found.architectures)
    above, above_with = (seen.reward or 0.0) - without, winner.mean - true
    held = abs(above_with) < 1.96 * winner.std
    return without == best, true == best_with, optimum - without, optimum - true, above, above_with, held


def main() -> None:
    """Compare, algorithm by algorithm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", default="random,evolution,ppo,predictor", help="names, by commas")
    parser.add_argument("--trials", default="100,200", help="budgets, by commas")
    parser.add_argument("--noise", default="0.003,0.006", help="standard deviations of accuracy, by commas")
    parser.add_argument("--repeats", default="8x2,8x3", help="top x seeds, by commas")
    parser.add_argument("--seeds", type=int, default=10, help="searches over each landscape")
    parser.add_argument("--landscapes", default="0,1,4,5", help="numbers of held-out landscapes, by commas")
    given = parser.parse_args()
    landscapes = [family("held_out")[int(number)] for number in given.landscapes.split(",")]
    budgets = [int(number) for number in given.trials.split(",")]
    heads = "truly best chosen without | with | regret without | with | gain | claimed above truth | with | in 95 %"
    print(f"| algorithm | noise | trials | repeats | {heads} |")
    print("|---" * 12 + "|")
    for name in given.algorithms.split(","):
        for noise in map(float, given.noise.split(",")):
            cases = [(land, seed) for land in landscapes for seed in range(given.seeds)]
            logs = [search(land, name, seed, max(budgets), noise) for land, seed in cases]
            for budget in budgets:
                for text in given.repeats.split(","):
                    repeats = RepeatSettings(*map(int, text.split("x")))
                    rows = np.array(
                        [
                            compared(replace(log, trials=log.trials[:budget]), repeats, seed)
                            for log, (_, seed) in zip(logs, cases, strict=True)
                        ],
                        dtype=float,
                    )
                    print(f"| {name} | {noise:g} | {budget} | {text} | {_line(rows)} |", flush=True)


def _line(rows: np.ndarray) -> str:
    gain, means = rows[:, 2] - rows[:, 3], rows.mean(axis=0)
    error = gain.std(ddof=1) / len(gain) ** 0.5
    cells = [f"{means[0]:.0%}", f"{means[1]:.0%}", f"{means[2]:.4f}", f"{means[3]:.4f}"]
    cells += [f"{gain.mean():+.4f} ± {error:.4f}", f"{means[4]:+.4f}", f"{means[5]:+.4f}", f"{means[6]:.0%}"]
    return " | ".join(cells)


if __name__ == "__main__":
    main()
