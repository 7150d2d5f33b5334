r"""Compare multi-objective searches on the synthetic landscapes: hypervolume over accuracy, step time and params.

Each search's hypervolume, of the true values of all it evaluated, is over that of the reference front: what a local
search over the true values, with no noise and some hundred thousand looks, and all searches of the landscape found.
With `--table` they search a finished log as `nas replay` does, and the reference is the front of what was measured.

    python -m experiments.benchmarks.fronts --algorithm nsga2,optuna_nsga2,random --trials 500 --seeds 3
    python -m experiments.benchmarks.fronts --algorithm random,nsga2 --trials 200 --seeds 40 --workers 8 \
        --table experiments/results/2026-11-29-cifar10-table/table.csv --config cifar10_table
"""

from __future__ import annotations

import argparse
import heapq
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from experiments.benchmarks.algorithms import measured
from experiments.benchmarks.landscapes import Landscape, family, neighbours
from experiments.benchmarks.timing_noise import TimingNoise, timed
from nas.algorithms import ALGORITHMS, Algorithm, Proposal
from nas.config.examples import find_config
from nas.config.search import load_config
from nas.replay.table import Table, read_trials
from nas.runs.trial import Trial
from rewards.pareto import hypervolume, pareto_front
from search_space.space import SearchSpace

CHECKPOINTS = (100, 200, 500, 1000)
MAXIMISE = (True, False, False)
Points = NDArray[np.float64]  # (N, 3): accuracy, step time, params
Measure = Callable[[Proposal], tuple[Trial, Points]]


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


class Synthetic:
    """A landscape, of which noisy numbers are told."""

    def __init__(self, landscape: Landscape, noise: float, timing: float) -> None:
        self.landscape, self.space, self.noise, self.timing = landscape, landscape.space, noise, timing

    def begin(self, seed: int) -> Measure:
        """Start a search over it: give what a proposal comes to, and its true values."""
        rng = np.random.default_rng((seed, 99))
        clock = partial(timed, noise=TimingNoise(self.timing), rng=np.random.default_rng((seed, 97)))

        def measure(proposal: Proposal) -> tuple[Trial, Points]:
            code = self.space.encode(proposal.architecture)[None]
            told, _ = measured(self.landscape, proposal, self.noise * rng.normal(), clock)
            return told, true_values(self.landscape, code)[0]

        return measure

    @cached_property
    def reference(self) -> Points:
        """The front that searches are held against."""
        return reference_front(self.landscape)

    @cached_property
    def corner(self) -> Points:
        """The worst that counts, of each."""
        return worst_of_random(self.landscape)


class Logged:
    """A finished log: what it does not hold is answered by the nearest trial that was not given yet."""

    def __init__(self, table: Table) -> None:
        self.table, self.space = table, table.space
        self.reference: Points = np.stack([_values(trial) for trial in table.trials])
        self.corner: Points = np.where(MAXIMISE, self.reference.min(axis=0), self.reference.max(axis=0))

    def begin(self, seed: int) -> Measure:
        """Start a search over it: give what a proposal comes to."""
        given: set[str] = set()

        def measure(proposal: Proposal) -> tuple[Trial, Points]:
            found = self.table.nearest(proposal.architecture, given)
            given.add(found.arch_id)
            return found, _values(found)

        return measure


def _values(trial: Trial) -> Points:
    return np.array([trial.accuracy, trial.s_normalised, trial.p_normalised], dtype=np.float64)


def search(
    problem: Synthetic | Logged, name: str, settings: dict[str, Any], seed: int, trials: int, workers: int = 1
) -> Points:
    """Run one search, trials as long as their step times; give the values of what it evaluated, as they ended."""
    algorithm = SEARCHES[name](problem.space, seed, **settings)
    algorithm.notes_winner = False
    measure = problem.begin(seed)
    running: list[tuple[float, int, Proposal, Trial, Points]] = []
    rows: list[Points] = []
    clock, asked = 0.0, 0
    while len(rows) < trials:
        while len(running) < workers and asked < trials:
            proposal = algorithm.ask()
            told, values = measure(proposal)
            heapq.heappush(running, (clock + (told.s_normalised or 1.0), asked, proposal, told, values))
            asked += 1
        clock, _, proposal, told, values = heapq.heappop(running)
        algorithm.pending.pop(proposal.architecture.arch_id, None)  # of a log another may be told in its place
        algorithm.tell(told)
        rows.append(values)
    return np.array(rows)


def true_values(landscape: Landscape, codes: NDArray[np.int64]) -> Points:
    """Accuracy, step time and params over those of the space's middle."""
    return np.stack([landscape.accuracy(codes), landscape.step_time(codes), landscape.size(codes)], axis=1)


def reference_front(landscape: Landscape, rounds: int = 30, climbed: int = 150, kept: int = 1500) -> Points:
    """True values of a front found by Pareto local search.

    Args:
        rounds: in each of which all single changes of some of the front are looked at.
        climbed: how many of the front, drawn anew.
        kept: of the front at the end, at most, drawn: the volume of thousands takes minutes.
    """
    rng = np.random.default_rng((landscape.seed, 13))
    codes = landscape.space.sample_encodings(20_000, rng)
    points = true_values(landscape, codes)
    for _ in range(rounds):
        front = pareto_front(points, MAXIMISE)
        codes, points = codes[front], points[front]
        some = rng.permutation(len(codes))[:climbed]
        near = np.unique(np.concatenate([neighbours(landscape.space, code) for code in codes[some]]), axis=0)
        codes = np.concatenate([codes, near])
        codes, first = np.unique(codes, axis=0, return_index=True)
        points = np.concatenate([points, true_values(landscape, near)])[first]
    points = points[pareto_front(points, MAXIMISE)]
    return points[rng.permutation(len(points))[:kept]]


def shares(
    runs: dict[tuple[str, int], Points], front: Points, corner: Points, at: tuple[int, ...] = CHECKPOINTS
) -> dict[tuple[str, int], dict[str, float]]:
    """Hypervolume of each run of one problem after so many trials, over that of all of them and a front together."""

    def volume(points: Points) -> float:
        return hypervolume(points[pareto_front(points, MAXIMISE)], corner, MAXIMISE)

    whole = volume(np.concatenate([front, *runs.values()]))
    return {key: {str(n): volume(points[:n]) / whole for n in at if n <= len(points)} for key, points in runs.items()}


def worst_of_random(landscape: Landscape) -> Points:
    """The reference point: the worst of 2,000 random architectures in each objective."""
    codes = landscape.space.sample_encodings(2000, np.random.default_rng((landscape.seed, 12)))
    points = true_values(landscape, codes)
    return np.where(MAXIMISE, points.min(axis=0), points.max(axis=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithm", default="nsga2,optuna_nsga2,random", help="names, comma-separated")
    parser.add_argument("--part", default="held_out", choices=("development", "held_out"))
    parser.add_argument("--landscape", default="0,4,9", help="numbers, comma-separated")
    parser.add_argument("--table", type=Path, help="search this CSV, a finished log, and no landscape")
    parser.add_argument("--config", default="cifar10_table", help="whose space a table's columns are decisions of")
    parser.add_argument("--workers", type=int, default=1, help="trials in flight")
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3, help="searches over each landscape")
    parser.add_argument("--noise", type=float, default=0.003, help="standard deviation of the accuracy told")
    parser.add_argument("--timing", type=float, default=0.0, help="standard deviation of log S, see timing_noise.py")
    parser.add_argument("--settings", default="{}", help="JSON: settings by the algorithm's name")
    parser.add_argument("--out", type=Path, help="write the shares there as JSON")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    names, settings = args.algorithm.split(","), json.loads(args.settings)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    if args.table:
        space = load_config(find_config(args.config, "search")).space
        problems: list[Synthetic | Logged] = [Logged(Table(space, read_trials(args.table, space)))]
    else:
        numbers = map(int, args.landscape.split(","))
        problems = [Synthetic(family(args.part)[number], args.noise, args.timing) for number in numbers]
    for problem in problems:
        runs = {
            (name, seed): search(problem, name, settings.get(name, {}), seed, args.trials, args.workers)
            for name in names
            for seed in range(args.seeds)
        }
        for (name, _), share in shares(runs, problem.reference, problem.corner).items():
            found[name].append(share)
    for name, rows in found.items():
        values = {n: np.array([row[n] for row in rows]) for n in rows[0]}
        cells = (f"{n}: {v.mean():.3f} ± {v.std() / np.sqrt(len(v)):.3f}" for n, v in values.items())
        print(name, len(rows), *cells, sep=" | ")
    if args.out:
        args.out.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
