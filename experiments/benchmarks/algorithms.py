r"""Compare search algorithms on the synthetic landscapes: how much of the way from random search to the optimum.

g(N) = (true reward of the best after N trials - random search's mean of it) / (optimum - that mean), where the best is
what the search recommends (`nas.runs.ranking.best`); of random search it is what looked best, of exact step times.

    python -m experiments.benchmarks.algorithms --algorithm predictor,evolution --trials 200 --seeds 20 \
        --noise 0,0.003 --timing 0,0.03 --out runs.jsonl
"""

from __future__ import annotations

import argparse
import heapq
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from threadpoolctl import threadpool_limits

from experiments.benchmarks.landscapes import Landscape, family
from experiments.benchmarks.timing_noise import TimedStep, TimingNoise, timed
from nas.algorithms import ALGORITHMS, Algorithm, Proposal
from nas.algorithms.known_reward import known_reward
from nas.runs.ranking import best, best_seen, score
from nas.runs.trial import Trial
from nas.trials.scoring import score_error
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
    timing: float = 0.0  # standard deviation of log S, see TimingNoise; 0 = step times are exact
    reward: str = "weighted_product"  # or mnasnet_hard


class PlainGP(Algorithm):
    """The textbook method, for comparison: a Matern process of the log reward on the encoding, expected improvement."""

    name = "plain_gp"

    def __init__(self, space: SearchSpace, seed: int = 0) -> None:
        super().__init__(space, seed)
        self.x: list[NDArray[np.float64]] = []
        self.y: list[float] = []
        self.model: Any = None

    @property
    def _steps(self) -> NDArray[np.int64]:
        return np.array([len(d.choices) - 1 for d in self.space.decisions])

    def _propose(self, rng: np.random.Generator) -> Proposal:
        if len(self.y) < 10:
            return Proposal(self.space.sample(rng), "plain_gp.random")
        x, y = np.array(self.x), np.array(self.y)
        model = self._fitted(x, y)
        best = np.rint(x[np.argsort(-y)[:5]] * self._steps).astype(np.int64)
        mutants = np.repeat(best, 200, axis=0)
        fresh = self.space.sample_encodings(len(mutants), rng)
        mutants = np.where(rng.random(mutants.shape) < 2 / mutants.shape[1], fresh, mutants)
        codes = np.concatenate([mutants, self.space.sample_encodings(500, rng)])
        mean, std = model.predict(codes / self._steps, return_std=True)
        z = (mean - model.predict(x).max()) / std
        for i in np.argsort(-(std * (z * norm.cdf(z) + norm.pdf(z)))):
            architecture = self.space.decode(codes[i])
            if architecture.arch_id not in self.seen:
                return Proposal(architecture, "plain_gp")
        return Proposal(self.space.sample(rng), "plain_gp.random")

    def _fitted(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> GaussianProcessRegressor:
        """Refit after every 10th trial, else keep the kernel."""
        matern = Matern(np.full(x.shape[1], 2.0), (0.3, 30), nu=2.5)
        kernel, optimizer = ConstantKernel(1.0) * matern + WhiteKernel(0.1), "fmin_l_bfgs_b"
        if self.model is not None and len(y) % 10:
            kernel, optimizer = self.model.kernel_, None
        self.model = GaussianProcessRegressor(kernel, normalize_y=True, optimizer=optimizer).fit(x, y)
        return self.model

    def _learn(self, trial: Trial) -> None:
        if (reward := score(trial)) is not None:
            self.x.append(self.space.encode(trial.architecture) / self._steps)
            self.y.append(float(np.log(reward)))


KNOWN: Mapping[str, Callable[..., Algorithm]] = {**ALGORITHMS, "plain_gp": PlainGP}


def measured(
    landscape: Landscape,
    proposal: Proposal,
    noise: float,
    timing: Callable[[float], TimedStep] | None = None,
    accuracy_se: float | None = None,
) -> tuple[Trial, float]:
    """Give the trial with noisy accuracy and step time, and the true reward.

    Args:
        noise: added to the accuracy.
        accuracy_se: its standard deviation, as a log states it; the reward's is that and the interval of S carried on.
        timing: makes a measurement of the true step time; None = it is exact.
    """
    code = landscape.space.encode(proposal.architecture)[None]
    accuracy, factor = float(landscape.accuracy(code)[0]), float(landscape.factor(code)[0])
    params, true_s = int(landscape.params(code)[0]), float(landscape.step_time(code)[0])
    step = TimedStep(true_s, None, None) if timing is None else timing(true_s)
    off = min(1.0, 1 / step.s) / min(1.0, 1 / true_s) if landscape.hard else (step.s / true_s) ** landscape.w
    trial = Trial(
        proposal.architecture,
        "ok",
        proposed_by=proposal.proposed_by,
        parents=proposal.parents,
        proposal=proposal.notes,
        params=params,
        accuracy=accuracy + noise,
        s_normalised=step.s,
        s_low=step.low,
        s_high=step.high,
        p_normalised=float(landscape.size(code)[0]),
        accuracy_se=accuracy_se,
        reward=(accuracy + noise) * factor * off,
        w=None if landscape.hard else landscape.w,
        v=None if landscape.hard else landscape.v,
    )
    if accuracy_se is not None:
        settings = {} if landscape.hard else {"w": landscape.w, "v": landscape.v}
        name = "mnasnet_hard" if landscape.hard else "weighted_product"
        trial = replace(trial, reward_se=score_error(vars(trial), name, settings, confidence=0.95))
    return trial, accuracy * factor


def search(job: Job) -> dict[str, Any]:
    """Run one search, `workers` at a time, each trial as long as its step time; give the true rewards of its best."""
    landscape = landscape_of(job.part, job.landscape, job.reward)
    rng = np.random.default_rng((job.seed, 99))
    timing = partial(timed, noise=TimingNoise(job.timing), rng=np.random.default_rng((job.seed, 97)))
    algorithm = KNOWN[job.algorithm](landscape.space, job.seed, **dict(job.settings))
    algorithm.reward = known_reward(job.reward, {})
    running: list[tuple[float, int, Trial, float]] = []
    clock, asked, seconds = 0.0, 0, []
    log, truth, chosen = [], {}, {}
    while len(log) < job.trials:
        while len(running) < job.workers and asked < job.trials:
            start = time.perf_counter()
            proposal = algorithm.ask()
            seconds.append(time.perf_counter() - start)
            trial, true = measured(landscape, proposal, job.noise * rng.normal(), timing, job.noise)
            length = (trial.s_normalised or 1.0) * rng.uniform(0.9, 1.1)
            heapq.heappush(running, (clock + length, asked, trial, true))
            asked += 1
        clock, _, trial, true = heapq.heappop(running)
        algorithm.tell(trial)
        log.append(trial)
        truth[trial.arch_id] = true
        if len(log) in CHECKPOINTS:
            chosen[len(log)] = [truth[each.arch_id] for each in (best(log), best_seen(log)) if each is not None]
    means, optimum = baseline(job.part, job.landscape, job.trials, job.noise, job.reward)
    g = {n: [(true - means[n - 1]) / (optimum - means[n - 1]) for true in trues] for n, trues in chosen.items()}
    return {
        **asdict(job),
        "settings": dict(job.settings),
        "name": landscape.name,
        "ask_s": float(np.mean(seconds)),
        "ask_max_s": float(np.max(seconds)),
        "gap": float(optimum - means[-1]),
        "g": {str(n): each[0] for n, each in g.items()},
        "g_seen": {str(n): each[1] for n, each in g.items()},
    }


_family = cache(family)


@cache
def landscape_of(part: str, number: int, reward: str) -> Landscape:
    """Give a landscape of a family, with this reward."""
    return replace(_family(part)[number], hard=reward == "mnasnet_hard")


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


@cache
def baseline(part: str, number: int, trials: int, noise: float, reward: str) -> tuple[NDArray[np.float64], float]:
    """Random's means and the optimum of one landscape."""
    landscape = landscape_of(part, number, reward)
    return random_means(landscape, trials, noise), landscape.optimum


def compare(jobs: list[Job], processes: int, out: Path) -> list[dict[str, Any]]:
    """Run the jobs that `out` does not hold yet, adding a line to it for each; give the records of all."""

    def key(record: dict[str, Any]) -> str:
        return json.dumps([record.get(field.name, field.default) for field in fields(Job)])

    keys = {job: key({**asdict(job), "settings": dict(job.settings)}) for job in jobs}
    records = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    records = [record for record in records if key(record) in keys.values()]
    done = {key(record) for record in records}
    left = [job for job in jobs if keys[job] not in done]
    with ProcessPoolExecutor(processes, initializer=threadpool_limits, initargs=(1,)) as pool, out.open("a") as file:
        for future in as_completed([pool.submit(search, job) for job in left]):
            records.append(future.result())
            file.write(json.dumps(records[-1]) + "\n")
            file.flush()
    return records


def table(records: list[dict[str, Any]], by: tuple[str, ...] = ("algorithm", "workers", "noise", "timing")) -> str:
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
    parser.add_argument("--timing", default="0", help="standard deviations of log S, comma-separated; 0: exact")
    parser.add_argument("--reward", default="weighted_product", choices=("weighted_product", "mnasnet_hard"))
    parser.add_argument("--workers", default="1", help="numbers of asynchronous workers, comma-separated")
    parser.add_argument("--settings", default="{}", help="JSON of the algorithm's settings")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--by", default="algorithm,workers,noise,timing")
    parser.add_argument(
        "--out", type=Path, required=True, help="JSON lines, a search each; those there are not run again"
    )
    args = parser.parse_args()
    numbers = [int(n) for n in args.landscape.split(",") if n] or range(len(family(args.part)))
    settings = tuple(json.loads(args.settings).items())
    jobs = [
        Job(
            args.part, number, name, settings, seed, args.trials, float(noise), int(workers), float(timing), args.reward
        )
        for seed in range(args.seeds)  # first, so that a comparison cut short is balanced
        for number in numbers
        for name in args.algorithm.split(",")
        for workers in args.workers.split(",")
        for noise in args.noise.split(",")
        for timing in args.timing.split(",")
    ]
    records = compare(jobs, args.processes, args.out)
    print(table(records, tuple(args.by.split(","))))


if __name__ == "__main__":
    main()
