"""Compare search algorithms on the synthetic landscapes: how much of the way from random search to the optimum.

g(N) = (true reward of the trial that looked best after N - random search's mean of it) / (optimum - that mean).

    python -m experiments.benchmarks.algorithms --algorithm predictor,evolution --trials 200 --seeds 20 --noise 0,0.003
"""

from __future__ import annotations

import argparse
import heapq
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.landscapes import Landscape, family
from nas.algorithms import ALGORITHMS, Algorithm, Proposal
from nas.algorithms.algorithm import score
from nas.trial import Trial
from search_space.architecture import Architecture
from search_space.space import SearchSpace

CHECKPOINTS = (50, 100, 200, 500, 1000)


@dataclass(frozen=True)
class Job:
    """One search: which landscape, which algorithm with which settings, how noisy, how many workers."""

    part: str
    landscape: int
    algorithm: str
    settings: tuple[tuple[str, Any], ...]
    seed: int
    trials: int
    noise: float
    workers: int


class PlainGP(Algorithm):
    """The textbook method, for comparison: a Matern process on the encoding, black-box log reward, expected improvement."""

    name = "plain_gp"

    def __init__(self, space: SearchSpace, seed: int = 0) -> None:
        super().__init__(space, seed)
        self.x: list[NDArray[np.float64]] = []
        self.y: list[float] = []
        self.model: Any = None

    def _scaled(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        return codes / (np.array([len(d.choices) for d in self.space.decisions]) - 1)

    def _propose(self, rng: np.random.Generator) -> Proposal:
        from scipy.stats import norm
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        if len(self.y) < 20:
            return Proposal(self.space.sample(rng), "plain_gp.random")
        x, y = np.array(self.x), np.array(self.y)
        kernel, optimizer = (
            ConstantKernel(1.0) * Matern(np.full(x.shape[1], 2.0), (0.1, 100), nu=2.5) + WhiteKernel(0.1),
            "fmin_l_bfgs_b",
        )
        if self.model is not None and len(y) % 20:
            kernel, optimizer = self.model.kernel_, None
        self.model = GaussianProcessRegressor(kernel, normalize_y=True, optimizer=optimizer).fit(x, y)
        top = np.array([self.space.encode(self.space.decode(np.rint(c * 0).astype(int))) * 0 for c in x[:0]])
        best = np.rint(x[np.argsort(-y)[:5]] * (np.array([len(d.choices) for d in self.space.decisions]) - 1)).astype(
            np.int64
        )
        mutants = np.repeat(best, 200, axis=0)
        fresh = self.space.sample_encodings(len(mutants), rng)
        mutants = np.where(rng.random(mutants.shape) < 2 / mutants.shape[1], fresh, mutants)
        codes = np.concatenate([mutants, self.space.sample_encodings(500, rng), *([top] if len(top) else [])])
        mean, std = self.model.predict(self._scaled(codes), return_std=True)
        z = (mean - self.model.predict(x).max()) / std
        for i in np.argsort(-(std * (z * norm.cdf(z) + norm.pdf(z)))):
            architecture = self.space.decode(codes[i])
            if architecture.arch_id not in self.seen:
                return Proposal(architecture, "plain_gp")
        return Proposal(self.space.sample(rng), "plain_gp.random")

    def _learn(self, trial: Trial) -> None:
        if (reward := score(trial)) is not None:
            self.x.append(self._scaled(self.space.encode(trial.architecture)))
            self.y.append(float(np.log(reward)))


KNOWN: Mapping[str, Callable[..., Algorithm]] = {**ALGORITHMS, "plain_gp": PlainGP}


def measured(landscape: Landscape, architecture: Architecture, proposal: Proposal, noise: float) -> tuple[Trial, float]:
    """Give the trial with noisy accuracy, and the true reward."""
    code = landscape.space.encode(architecture)[None]
    accuracy, factor = float(landscape.accuracy(code)[0]), float(landscape.factor(code)[0])
    params = int(landscape.params(code)[0])
    trial = Trial(
        architecture,
        "ok",
        proposed_by=proposal.proposed_by,
        parents=proposal.parents,
        proposal=proposal.notes,
        params=params,
        accuracy=accuracy + noise,
        s_normalised=float(landscape.step_time(code)[0]),
        p_normalised=params / int(landscape.params(landscape._middle)[0]),
        reward=(accuracy + noise) * factor,
        w=landscape.w,
        v=landscape.v,
    )
    return trial, accuracy * factor


def search(job: Job) -> dict[str, Any]:
    """Run one search, `workers` at a time, each trial as long as its step time; give the looked-best's true rewards."""
    landscape = _landscape(job.part, job.landscape)
    rng = np.random.default_rng((job.seed, 99))
    algorithm = KNOWN[job.algorithm](landscape.space, job.seed, **dict(job.settings))
    running: list[tuple[float, int, Trial, float]] = []
    clock, asked, seconds = 0.0, 0, []
    best, curve = (-np.inf, 0.0), []
    while len(curve) < job.trials:
        while len(running) < job.workers and asked < job.trials:
            start = time.perf_counter()
            architecture = algorithm.ask()
            seconds.append(time.perf_counter() - start)
            noise = job.noise * rng.normal()
            trial, true = measured(landscape, architecture, algorithm.pending[architecture.arch_id], noise)
            length = (trial.s_normalised or 1.0) * rng.uniform(0.9, 1.1)
            heapq.heappush(running, (clock + length, asked, trial, true))
            asked += 1
        clock, _, trial, true = heapq.heappop(running)
        algorithm.tell(trial)
        best = max(best, (trial.reward or 0.0, true))
        curve.append(best[1])
    return {"job": job, "curve": np.array(curve), "ask_s": float(np.mean(seconds)), "ask_max_s": float(np.max(seconds))}


_CACHE: dict[str, list[Landscape]] = {}


def _landscape(part: str, number: int) -> Landscape:
    if part not in _CACHE:
        _CACHE[part] = family(part)
    return _CACHE[part][number]


def random_means(landscape: Landscape, trials: int, noise: float, seeds: int = 400) -> NDArray[np.float64]:
    """Random search's mean true reward of the looked-best after 1..trials, shape (trials,)."""
    rng = np.random.default_rng((landscape.seed, 11))
    codes = landscape.space.sample_encodings(20_000, rng)
    accuracy, factor = landscape.accuracy(codes), landscape.factor(codes)
    total = np.zeros(trials)
    for _ in range(seeds):
        drawn = rng.integers(0, len(codes), trials)
        looks = (accuracy[drawn] + noise * rng.normal(size=trials)) * factor[drawn]
        at = np.maximum.accumulate(np.where(looks >= np.maximum.accumulate(looks), np.arange(trials), 0))
        total += (accuracy * factor)[drawn][at]
    return total / seeds


def baseline(task: tuple[str, int, int, float]) -> tuple[NDArray[np.float64], float]:
    """Random's means and the optimum of one landscape."""
    part, number, trials, noise = task
    landscape = _landscape(part, number)
    return random_means(landscape, trials, noise), landscape.optimum


def compare(jobs: list[Job], processes: int) -> list[dict[str, Any]]:
    """Run the jobs; a record per job with g at the checkpoints."""
    tasks = sorted({(j.part, j.landscape, j.trials, j.noise) for j in jobs})
    with ProcessPoolExecutor(processes) as pool:
        known = dict(zip(tasks, pool.map(baseline, tasks), strict=True))
        results = list(pool.map(search, jobs))
    records = []
    for result in results:
        job = result["job"]
        means, optimum = known[(job.part, job.landscape, job.trials, job.noise)]
        g = (result["curve"] - means) / (optimum - means)
        records.append(
            {
                "landscape": _landscape(job.part, job.landscape).name,
                "algorithm": job.algorithm,
                "settings": dict(job.settings),
                "seed": job.seed,
                "noise": job.noise,
                "workers": job.workers,
                "ask_s": result["ask_s"],
                "ask_max_s": result["ask_max_s"],
                "gap": float(optimum - means[-1]),
                "g": {str(n): float(g[n - 1]) for n in CHECKPOINTS if n <= job.trials},
            }
        )
    return records


def table(records: list[dict[str, Any]], by: tuple[str, ...] = ("algorithm", "workers", "noise")) -> str:
    """Markdown: the mean g(N) per group with its standard error over seeds and landscapes."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault(tuple(str(record[name]) for name in by), []).append(record)
    points = list(records[0]["g"])
    lines = ["| " + " | ".join([*by, *(f"g({n})" for n in points), "ask s", "runs"]) + " |"]
    lines.append("|" + "---|" * (len(by) + len(points) + 2))
    for key, members in groups.items():
        cells = []
        for n in points:
            values = np.array([m["g"][n] for m in members])
            cells.append(f"{values.mean():.3f} ± {values.std() / np.sqrt(len(values)):.3f}")
        ask = np.mean([m["ask_s"] for m in members])
        lines.append("| " + " | ".join([*key, *cells, f"{ask:.3f}", str(len(members))]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithm", default="predictor", help="names, comma-separated")
    parser.add_argument("--part", default="development", choices=("development", "held_out"))
    parser.add_argument("--landscape", default="", help="numbers, comma-separated; default: all")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=20, help="searches over each landscape")
    parser.add_argument("--noise", default="0,0.003", help="standard deviations of accuracy, comma-separated")
    parser.add_argument("--workers", default="1", help="numbers of asynchronous workers, comma-separated")
    parser.add_argument("--settings", default="{}", help="JSON of the algorithm's settings")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--by", default="algorithm,workers,noise")
    parser.add_argument("--out", type=Path, help="write records here as JSON")
    args = parser.parse_args()
    numbers = [int(n) for n in args.landscape.split(",") if n] or range(len(family(args.part)))
    settings = tuple(json.loads(args.settings).items())
    jobs = [
        Job(args.part, number, name, settings, seed, args.trials, float(noise), int(workers))
        for name in args.algorithm.split(",")
        for workers in args.workers.split(",")
        for noise in args.noise.split(",")
        for number in numbers
        for seed in range(args.seeds)
    ]
    records = compare(jobs, args.processes)
    if args.out:
        args.out.write_text(json.dumps(records, indent=1) + "\n")
    print(table(records, tuple(args.by.split(","))))


if __name__ == "__main__":
    main()
