"""What the predictor's ways with noise are worth: noisy accuracies and step times, with and without each of them.

The same seeds for each variant: the predictor as it is, without the intervals of step times (all count alike, and one
that is far off counts, too), with proposals for the trial that looks best in place of the one that the model takes for
the best, without both, and with a reward that it is not told. Printed are the parts of the way from random search's
mean to the optimum, g as in `algorithms.py`, of what the search chooses, of what looks best and of the best tried, and
the paired difference to what looks best in the last variant, with standard errors; then how often what was chosen is
the best tried, beside how often the model expected that.

    python -m experiments.benchmarks.noisy_search --seeds 40 --out runs.jsonl
    python -m experiments.benchmarks.noisy_search --reward mnasnet_hard --variants predictor,unknown --out hard.jsonl
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from experiments.benchmarks.algorithms import baseline, landscape_of, measured
from experiments.benchmarks.results import all_searched, by_case
from experiments.benchmarks.timing_noise import TimingNoise, timed
from nas.algorithms.known_reward import known_reward
from nas.algorithms.predictor import Predictor
from nas.algorithms.reward_model import RewardModel
from nas.runs.chosen import WINNER
from nas.runs.ranking import best, best_seen
from nas.runs.trial import Trial

CHECKPOINTS = (50, 100, 200, 500)


class AllAlike(Predictor):
    """Told no intervals of step times."""

    def tell(self, trial: Trial) -> None:
        super().tell(replace(trial, s_low=None, s_high=None))


class _LooksBest(RewardModel):
    def log_gain(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Expected gain in the true log reward of what looks best, each (N,): ordered as its logarithm is."""
        t = self.targets
        at = int(np.argmax(np.where(t.scored, t.looked, 0.0)))
        looked, likely = math.log(t.looked[at]), float(self.predict(t.codes[at : at + 1]).mean[0])
        mean, std, _ = self.predict(codes)
        spread = np.hypot(std, self.quality.noise)
        z = (mean - looked) / spread
        density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        return np.asarray((mean - likely) * scipy.special.ndtr(z) + std**2 / spread * density)


class LooksBest(Predictor):
    """Proposes for the trial that looks best."""

    def _model(self) -> RewardModel:
        model = super()._model()
        model.__class__ = _LooksBest
        return model


class Before(LooksBest, AllAlike):
    """Both."""


VARIANTS: dict[str, Callable[..., Predictor]] = {
    "predictor": Predictor,
    "all_alike": AllAlike,
    "looks_best": LooksBest,
    "before": Before,
    "unknown": Predictor,  # the reward is not told
}


def search(variant: str, number: int, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """Run one search; give g at the checkpoints of what is chosen, what looks best and the best tried."""
    landscape = landscape_of(given.part, number, given.reward)
    rng = np.random.default_rng((seed, 99))
    timing = partial(timed, noise=TimingNoise(given.timing), rng=np.random.default_rng((seed, 97)))
    algorithm = VARIANTS[variant](landscape.space, seed)
    if variant != "unknown":
        algorithm.reward = known_reward(given.reward, {})
    means, optimum = baseline(given.part, number, given.trials, given.noise, given.reward)
    log, truth, found = [], {}, {}
    for n in range(1, given.trials + 1):
        trial, true = measured(landscape, algorithm.ask(), given.noise * rng.normal(), timing, given.noise)
        algorithm.tell(trial)
        log.append(trial)
        truth[trial.arch_id] = true
        if n in CHECKPOINTS:
            chosen, seen = best(log), best_seen(log)
            assert chosen is not None
            assert seen is not None
            trues = {"chosen": truth[chosen.arch_id], "seen": truth[seen.arch_id], "tried": max(truth.values())}
            found[str(n)] = {name: (each - means[n - 1]) / (optimum - means[n - 1]) for name, each in trues.items()}
            found[str(n)]["chance"] = trial.proposal.get(WINNER, {}).get("chance", math.nan)
    return {"variant": variant, "number": number, "seed": seed, "g": found}


def table(records: list[dict[str, Any]], variants: list[str]) -> str:
    """Markdown: a row a variant and checkpoint; of the searches that all variants have."""
    by, cases = by_case(records, variants)
    heads = ["variant", "trials", "chosen", "looks best", "best tried", f"chosen - what looks best of {variants[-1]}"]
    lines = ["| " + " | ".join([*heads, "chosen is best tried", "expected"]) + " |", "|---" * 8 + "|"]
    for n in by[variants[0], *cases[0]]["g"]:
        last = np.array([by[variants[-1], *case]["g"][n]["seen"] for case in cases])
        for name in variants:
            rows = [by[name, *case]["g"][n] for case in cases]
            cells = [name, n, *(_mean([row[part] for row in rows]) for part in ("chosen", "seen", "tried"))]
            cells.append(_mean(np.array([row["chosen"] for row in rows]) - last, "+"))
            hit = np.mean([row["chosen"] == row["tried"] for row in rows])
            lines.append(
                "| " + " | ".join([*cells, f"{hit:.0%}", f"{np.mean([r['chance'] for r in rows]):.0%}"]) + " |"
            )
    return "\n".join([f"{len(cases)} searches a row", "", *lines])


def _mean(values: Any, sign: str = "") -> str:
    array = np.asarray(values)
    return f"{array.mean():{sign}.3f} ± {array.std(ddof=1) / math.sqrt(len(array)):.3f}"


def main() -> None:
    """Run what is not there yet, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", default="predictor,looks_best,all_alike,before", help="by commas")
    parser.add_argument("--part", default="held_out", choices=("development", "held_out"))
    parser.add_argument("--landscapes", default="1,4,7,12", help="numbers, by commas")
    parser.add_argument("--reward", default="weighted_product", choices=("weighted_product", "mnasnet_hard"))
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=20, help="searches over each landscape")
    parser.add_argument("--noise", type=float, default=0.003, help="standard deviation of an accuracy")
    parser.add_argument("--timing", type=float, default=0.03, help="standard deviation of log S, see timing_noise.py")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines; searches that are there are not run again")
    given = parser.parse_args()
    print(table(all_searched(given, search), given.variants.split(",")))


if __name__ == "__main__":
    main()
