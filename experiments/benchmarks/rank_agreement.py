"""How often intervals of rank correlations and of regret hold the truth, in simulated studies of few architectures.

An architecture has a true quality, drawn from a normal distribution; long training errs by 0.2 of its deviation, a
proxy by 0.3, 0.7 or 1.5. Intervals of 95 % by percentiles of resampled architectures, by BCa and basic bootstrap
(scipy's), by Fisher's z (variance 0.437 / (n - 4) for tau, 1 / (n - 3) for rho), and, of regret, by percentiles of the
resampled regret and of the expected one.

    python -m experiments.benchmarks.rank_agreement      # a minute
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats

from nas.claims.rank_agreement import Floats, expected_regret, kendall, percentiles, regret, resamples, spearman

COUNTS, NOISES, OF_LONG = (8, 10, 12, 15), (0.3, 0.7, 1.5), 0.2
Ends = tuple[float, float]


def intervals(proxy: Floats, long: Floats, drawn: Floats) -> Iterator[tuple[str, str, Ends | None]]:
    """Give what is estimated, the way, and the interval."""
    count, once = len(long), np.ones((1, len(long)))
    for name, statistic, variance in (("tau", kendall, 0.437 / (count - 4)), ("rho", spearman, 1 / (count - 3))):
        yield name, "percentiles", percentiles(statistic(proxy, long, drawn), 0.95)
        for way in ("BCa", "basic"):
            yield name, way, _scipys(lambda counts, of=statistic: of(proxy, long, counts), count, way)
        z = np.arctanh(np.clip(statistic(proxy, long, once)[0], -0.999, 0.999))
        yield name, "Fisher's z", tuple(np.tanh(z + 1.96 * np.sqrt(variance) * np.array([-1, 1])))
    for top in (1, 3):
        yield f"regret@{top}", "resampled", percentiles(regret(proxy, long, drawn, top), 0.95)
        yield f"regret@{top}", "expected", percentiles(expected_regret(proxy, long, drawn, top), 0.95)


def _scipys(statistic: Callable[[Floats], Floats], count: int, way: str) -> Ends | None:
    """Give scipy's interval of a statistic of how often each architecture is drawn."""

    def of_indices(indices: Floats, axis: int = -1) -> Floats:
        rows = np.atleast_2d(indices).astype(int)
        counts = np.stack([np.bincount(row, minlength=count) for row in rows]).astype(float)
        return statistic(counts) if np.ndim(indices) > 1 else statistic(counts)[0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of resamples that are all alike
        found = stats.bootstrap(
            (np.arange(count),), of_indices, n_resamples=499, vectorized=True, method=way,
            rng=np.random.default_rng(0),
        ).confidence_interval  # fmt: skip
    return (float(found.low), float(found.high)) if np.isfinite(found.low) else None


def truths(count: int, noise: float, rng: np.random.Generator) -> dict[str, float]:
    """Give what is estimated, of all architectures."""
    correlation = 1 / np.sqrt((1 + OF_LONG**2) * (1 + noise**2))
    quality = rng.normal(size=(20_000, count))
    long, proxy = (quality + each * rng.normal(size=quality.shape) for each in (OF_LONG, noise))
    ordered = np.take_along_axis(long, np.argsort(-proxy, axis=1), axis=1)
    lost = {f"regret@{top}": float((long.max(axis=1) - ordered[:, :top].max(axis=1)).mean()) for top in (1, 3)}
    return lost | {"tau": 2 / np.pi * np.arcsin(correlation), "rho": 6 / np.pi * np.arcsin(correlation / 2)}


def main() -> None:
    """Print a table of Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=300)
    studies = parser.parse_args().studies
    print("| architectures | noise | of | truth | way | held | width |\n|---|---|---|---|---|---|---|")
    for count in COUNTS:
        drawn = resamples(count, 500, seed=0)
        for noise in NOISES:
            rng = np.random.default_rng(count)
            truth, held, widths = truths(count, noise, rng), {}, {}
            for _ in range(studies):
                quality = rng.normal(size=count)
                long, proxy = (quality + each * rng.normal(size=count) for each in (OF_LONG, noise))
                for name, way, ends in intervals(proxy, long, drawn):
                    held.setdefault((name, way), []).append(ends is not None and ends[0] <= truth[name] <= ends[1])
                    widths.setdefault((name, way), []).append(np.nan if ends is None else ends[1] - ends[0])
            for (name, way), each in held.items():
                numbers = f"{truth[name]:.2f} | {way} | {np.mean(each):.2f} | {np.nanmean(widths[name, way]):.2f}"
                print(f"| {count} | {noise} | {name} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
