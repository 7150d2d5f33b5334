r"""Compare multi-objective searches on the synthetic landscapes: hypervolume over accuracy, step time and params.

Each search's hypervolume, of the true values of all it evaluated, is over that of the union of all searches of the same
landscape: 1 would be a search that found alone what all found together.

    python -m experiments.benchmarks.fronts --algorithm nsga2,optuna_nsga2,random --trials 500 --seeds 3
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from experiments.benchmarks.algorithms import measured
from experiments.benchmarks.landscapes import Landscape, family
from nas.algorithms import ALGORITHMS, Algorithm, Proposal
from nas.runs.trial import Trial
from rewards.pareto import hypervolume, pareto_front
from search_space.space import SearchSpace

CHECKPOINTS = (100, 200, 500, 1000)
MAXIMISE = (True, False, False)
Points = NDArray[np.float64]  # (N, 3): accuracy, step time, params


@dataclass(frozen=True)
class OptunaNSGA2Settings:
    """Of Optuna's NSGAIISampler."""

    population: int = 50


class OptunaNSGA2(Algorithm):
    """Optuna's NSGAIISampler over categorical decisions, for comparison; one trial in flight."""

    name = "optuna_nsga2"
    Settings = OptunaNSGA2Settings
    settings: OptunaNSGA2Settings

    def __init__(self, space: SearchSpace, seed: int = 0, **settings: Any) -> None:
        super().__init__(space, seed, **settings)
        sampler = optuna.samplers.NSGAIISampler(seed=seed, population_size=self.settings.population)
        self.study = optuna.create_study(directions=["maximize", "minimize", "minimize"], sampler=sampler)
        self.distributions: dict[str, Any] = {
            d.name: optuna.distributions.CategoricalDistribution(list(range(len(d.choices)))) for d in space.decisions
        }
        self.asked: dict[str, optuna.Trial] = {}

    def _propose(self, rng: np.random.Generator) -> Proposal:
        trial = self.study.ask(self.distributions)
        architecture = self.space.decode(np.array([trial.params[d.name] for d in self.space.decisions]))
        if architecture.arch_id in self.seen:
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            self.asked[architecture.arch_id] = trial
        return Proposal(architecture, self.name)

    def _learn(self, trial: Trial) -> None:
        if trial.arch_id in self.asked:
            values = [float(v or 0.0) for v in (trial.accuracy, trial.s_normalised, trial.p_normalised)]
            self.study.tell(self.asked.pop(trial.arch_id), values)


SEARCHES: dict[str, Any] = {**ALGORITHMS, "optuna_nsga2": OptunaNSGA2}


def search(landscape: Landscape, name: str, settings: dict[str, Any], seed: int, trials: int, noise: float) -> Points:
    """Run one search; give the true values of what it evaluated, in its order."""
    rng = np.random.default_rng((seed, 99))
    algorithm = SEARCHES[name](landscape.space, seed, **settings)
    rows = []
    for _ in range(trials):
        proposal = algorithm.ask()
        error = noise * rng.normal()
        trial, _ = measured(landscape, proposal, error)
        algorithm.tell(trial)
        rows.append((float(trial.accuracy or 0.0) - error, trial.s_normalised, trial.p_normalised))
    return np.array(rows, dtype=np.float64)


def shares(runs: dict[tuple[str, int], Points], corner: Points) -> dict[tuple[str, int], dict[str, float]]:
    """Hypervolume of each run of one landscape after each checkpoint, over that of all of them together."""

    def volume(points: Points) -> float:
        return hypervolume(points[pareto_front(points, MAXIMISE)], corner, MAXIMISE)

    whole = volume(np.concatenate(list(runs.values())))
    return {
        key: {str(n): volume(points[:n]) / whole for n in CHECKPOINTS if n <= len(points)}
        for key, points in runs.items()
    }


def worst_of_random(landscape: Landscape) -> Points:
    """The reference point: the worst of 2,000 random architectures in each objective."""
    codes = landscape.space.sample_encodings(2000, np.random.default_rng((landscape.seed, 12)))
    size = landscape.params(codes) / landscape.params(landscape._middle)
    return np.array([landscape.accuracy(codes).min(), landscape.step_time(codes).max(), size.max()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithm", default="nsga2,optuna_nsga2,random", help="names, comma-separated")
    parser.add_argument("--part", default="held_out", choices=("development", "held_out"))
    parser.add_argument("--landscape", default="0,4,9", help="numbers, comma-separated")
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3, help="searches over each landscape")
    parser.add_argument("--noise", type=float, default=0.003, help="standard deviation of the accuracy told")
    parser.add_argument("--settings", default="{}", help="JSON: settings by the algorithm's name")
    parser.add_argument("--out", type=Path, help="write the shares there as JSON")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    names, settings = args.algorithm.split(","), json.loads(args.settings)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in map(int, args.landscape.split(",")):
        landscape = family(args.part)[number]
        runs = {
            (name, seed): search(landscape, name, settings.get(name, {}), seed, args.trials, args.noise)
            for name in names
            for seed in range(args.seeds)
        }
        for (name, _), share in shares(runs, worst_of_random(landscape)).items():
            found[name].append(share)
    for name, rows in found.items():
        values = {n: np.array([row[n] for row in rows]) for n in rows[0]}
        cells = (f"{n}: {v.mean():.3f} ± {v.std() / np.sqrt(len(v)):.3f}" for n, v in values.items())
        print(name, len(rows), *cells, sep=" | ")
    if args.out:
        args.out.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
