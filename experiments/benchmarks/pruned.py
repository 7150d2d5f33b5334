r"""What it is worth that stopped trials teach: searches with `prune: asha` that are told them, and that are not.

Candidates are those of the synthetic landscapes, with curves of 10 epochs that approach their accuracy at rates of
their own. What is printed is the mean true reward of the last third of the proposals, in standard deviations of random
candidates' rewards: told, not told (as a trial without a curve), and their paired difference with its standard error.

    python -m experiments.benchmarks.pruned --algorithms ppo,evolution --trials 60 --seeds 10
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from experiments.benchmarks.algorithms import measured
from experiments.benchmarks.landscapes import Landscape, family
from nas.algorithms import ALGORITHMS, Proposal
from nas.algorithms.halving import Halving
from nas.runs.trial import Trial

EPOCHS, WORKERS = 10, 4


def trained(landscape: Landscape, proposal: Proposal, rng: np.random.Generator) -> tuple[Trial, float]:
    """Give the trial with the curve of a whole training, and its true reward; accuracies err by 0.3 % an epoch."""
    trial, true = measured(landscape, proposal, 0.003 * rng.normal())
    accuracy, at = trial.accuracy or 0.0, np.arange(1, EPOCHS + 1)
    factor = (trial.reward or 0.0) / accuracy
    rate, gap = rng.uniform(0.5, 0.75), 0.5 * rng.uniform(0.8, 1.2) * accuracy
    accuracies = accuracy - gap * (rate**at - rate**EPOCHS) + 0.003 * rng.normal(size=EPOCHS) * (at < EPOCHS)
    curve = tuple({"accuracy": float(a), "reward": float(a * factor)} for a in accuracies)
    return replace(trial, curve=curve), true


def search(landscape: Landscape, name: str, seed: int, trials: int, *, told: bool) -> float:
    """Run one search; give the mean true reward of the last third of its proposals."""
    algorithm, halving = ALGORITHMS[name](landscape.space, seed), Halving(EPOCHS)
    rng = np.random.default_rng((seed, 99))
    running: list[tuple[int, Trial, int]] = []  # number, the whole training, epochs done
    rewards: list[float] = []
    while running or len(rewards) < trials:
        while len(running) < WORKERS and len(rewards) < trials:
            trial, true = trained(landscape, algorithm.ask(), rng)
            running.append((len(rewards), trial, 0))
            rewards.append(true)
        number, trial, done = running.pop(int(rng.integers(len(running))))
        done += 1
        if done == EPOCHS:
            algorithm.tell(trial)
        elif halving.verdict(number, trial.curve[:done]):
            curve = trial.curve[:done] if told else ()
            algorithm.tell(replace(trial, status="pruned", reward=None, accuracy=None, curve=curve))
        else:
            running.append((number, trial, done))
    return float(np.mean(rewards[-(trials // 3) :]))


def main() -> None:
    """Compare, algorithm by algorithm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", default="evolution,reinforce,ppo,tpe,predictor", help="names, by commas")
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--landscapes", default="0,1,2,3", help="numbers of held-out landscapes, by commas")
    given = parser.parse_args()
    landscapes = [family("held_out")[int(number)] for number in given.landscapes.split(",")]
    units = [_unit(landscape) for landscape in landscapes]
    for name in given.algorithms.split(","):
        pairs = np.array(
            [
                [(search(land, name, seed, given.trials, told=told) - mean) / std for told in (True, False)]
                for land, (mean, std) in zip(landscapes, units, strict=True)
                for seed in range(given.seeds)
            ]
        )
        gain = pairs[:, 0] - pairs[:, 1]
        error = gain.std(ddof=1) / len(gain) ** 0.5
        print(f"{name:10} told {pairs[:, 0].mean():6.3f}  not {pairs[:, 1].mean():6.3f}  ", end="")
        print(f"gain {gain.mean():+.3f} +- {error:.3f} ({len(gain)} pairs)", flush=True)


def _unit(landscape: Landscape) -> tuple[float, float]:
    """Mean and standard deviation of random candidates' rewards."""
    rewards = landscape.reward(landscape.space.sample_encodings(2000, np.random.default_rng(0)))
    return float(rewards.mean()), float(rewards.std())


if __name__ == "__main__":
    main()
