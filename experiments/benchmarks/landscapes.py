"""A seeded family of synthetic search problems over stage-factorised spaces, for comparing search algorithms offline.

Accuracy has diminishing returns in every stage's depth, expansion and kernel size, interactions within and between
stages, saturation, and a rugged rest that no low-order model captures; step time is a roofline per stage with an
efficiency of its own for each kind of convolution. `boosted` landscapes are of another kind: gradient-boosted trees,
fitted to noisy samples of such formulas, as benchmarks made from real trainings are; neither part adds up over stages.
Nothing is random once the seed is given: noise is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

from search_space.architecture import Stage
from search_space.choices import StageChoices
from search_space.cost import count_batch, output_size, squeeze_channels, stage_cost
from search_space.space import SearchSpace
from search_space.spaces import efficientnetv2

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Hardness:
    """What makes a landscape easy or hard."""

    accuracy_std: float = 0.016  # of random architectures, before saturation
    within: float = 0.25  # share of the variance from interactions inside a stage
    between: float = 0.15  # from interactions of neighbouring stages
    rugged: float = 0.10  # from random trees over all decisions
    saturation: float = 0.5  # 0 = none; 1 = the best are told apart half as well as the worst
    boosted: int = 0  # noisy samples to which trees are fitted that take the formulas' place; 0 = the formulas


@dataclass(frozen=True)
class Landscape:
    """One problem: accuracy, normalised step time and normalised params of any encoding, all without noise."""

    name: str
    space: SearchSpace
    seed: int
    hardness: Hardness = Hardness()
    w: float = -0.07
    v: float = -0.05
    hard: bool = False  # whether the reward is mnasnet_hard's, with the middle's step time as the target

    def accuracy(self, encodings: NDArray[np.int64]) -> Floats:
        """Top-1 in [0, 1], shape (N,)."""
        return self._boosted[0](encodings) if self.hardness.boosted else self._formula(encodings)

    def step_time(self, encodings: NDArray[np.int64]) -> Floats:
        """Training step time over that of the space's middle architecture, shape (N,)."""
        if not self.hardness.boosted:
            return self._seconds(encodings) / self._seconds(self._middle)
        return np.asarray(np.exp(self._boosted[1](encodings)))

    def _formula(self, encodings: NDArray[np.int64]) -> Floats:
        raw = (self._raw(encodings) - self._scale[0]) / self._scale[1]
        bend = self.hardness.saturation
        bent = (1 - np.exp(-bend * raw / 3)) * 3 / bend if bend else raw
        return np.clip(0.755 + self.hardness.accuracy_std * bent, 0.01, 0.99)

    @cached_property
    def _boosted(self) -> tuple[Callable[[NDArray[np.int64]], Floats], Callable[[NDArray[np.int64]], Floats]]:
        """Trees of accuracy, fitted to noisy trainings, and of the logarithm of `step_time`, fitted to timings."""
        rng = np.random.default_rng((self.seed, 8))
        codes = self.space.sample_encodings(self.hardness.boosted, rng)
        accuracy = self._formula(codes) + 0.003 * rng.normal(size=len(codes))
        seconds = np.log(self._seconds(codes)) + 0.01 * rng.normal(size=len(codes))
        shape = {"max_iter": 300, "max_leaf_nodes": 24, "min_samples_leaf": 10, "early_stopping": False}
        trees = (HistGradientBoostingRegressor(**shape).fit(codes, y) for y in (accuracy, seconds))
        first, second = (tree.predict for tree in trees)
        middle = second(self._middle)
        return first, lambda encodings: second(encodings) - middle

    def params(self, encodings: NDArray[np.int64]) -> NDArray[np.int64]:
        """Parameters, shape (N,)."""
        tables, rest = self._sizes
        return np.asarray(sum(table[self._index(encodings, i)] for i, table in enumerate(tables)) + rest)

    def size(self, encodings: NDArray[np.int64]) -> Floats:
        """Parameters over those of the space's middle architecture, shape (N,)."""
        return np.asarray(self.params(encodings) / self.params(self._middle))

    def factor(self, encodings: NDArray[np.int64]) -> Floats:
        """Reward over accuracy: the step time's and the params' part of the weighted product, shape (N,)."""
        if self.hard:
            return np.minimum(1.0, 1 / self.step_time(encodings))
        return np.asarray(self.step_time(encodings) ** self.w * self.size(encodings) ** self.v)

    def reward(self, encodings: NDArray[np.int64]) -> Floats:
        """The reward, shape (N,)."""
        return self.accuracy(encodings) * self.factor(encodings)

    @cached_property
    def optimum(self) -> float:
        """The best reward found by 48 steepest ascents over single and then double changes."""
        return float(self.reward(self.best).max())

    @cached_property
    def best(self) -> NDArray[np.int64]:
        """Encodings of the local optima found, shape (M, decisions)."""
        rng = np.random.default_rng((self.seed, 7))
        codes = np.stack([self._ascend(code) for code in self.space.sample_encodings(48, rng)])
        codes = codes[np.argsort(-self.reward(codes))[:4]]
        for _ in range(4):  # double changes of the best until nothing gains
            pairs = np.concatenate([neighbours(self.space, near) for near in neighbours(self.space, codes[:1])])
            better = self._ascend(pairs[np.argmax(self.reward(pairs))])
            if self.reward(better[None])[0] <= self.reward(codes[:1])[0] + 1e-12:
                break
            codes = np.concatenate([better[None], codes])
        return codes

    def _ascend(self, code: NDArray[np.int64]) -> NDArray[np.int64]:
        value = self.reward(code[None])[0]
        while True:
            near = neighbours(self.space, code)
            rewards = self.reward(near)
            if rewards.max() <= value:
                return code
            code, value = near[rewards.argmax()], rewards.max()

    # ---- the parts, as tables over the combinations of each stage

    @cached_property
    def _stages(self) -> list[tuple[list[int], list[Stage]]]:
        """Per stage: its columns of an encoding, and its combinations in the order of their mixed-radix index."""
        found = []
        for number, choices in enumerate(self.space.stages):
            columns = [i for i, d in enumerate(self.space.decisions) if d.stage == number]
            found.append((columns, list(choices.combinations())))
        return found

    def _index(self, encodings: NDArray[np.int64], number: int) -> NDArray[np.int64]:
        columns = self._stages[number][0]
        if not columns:
            return np.zeros(len(encodings), dtype=np.int64)
        lengths = tuple(len(self.space.decisions[column].choices) for column in columns)
        return np.ravel_multi_index(tuple(encodings[:, columns].T), lengths).astype(np.int64)

    @cached_property
    def _middle(self) -> NDArray[np.int64]:
        middle = np.array([[len(d.choices) // 2 for d in self.space.decisions]], dtype=np.int64)
        return self.space.canonical(middle)

    @cached_property
    def _sizes(self) -> tuple[list[NDArray[np.int64]], int]:
        tables, channels = [], self.space.stem_channels
        for _, stages in self._stages:
            tables.append(np.array([stage_cost(stage, channels, 8).params for stage in stages]))
            channels = stages[0].channels
        first = sum(int(table[self._index(self._middle, i)[0]]) for i, table in enumerate(tables))
        return tables, int(count_batch(self.space, self._middle, 224).params[0]) - first

    @cached_property
    def _times(self) -> tuple[list[Floats], float]:
        rng = np.random.default_rng((self.seed, 1))
        efficiency = {
            "dense": rng.uniform(0.35, 0.6),
            "pointwise": rng.uniform(0.2, 0.45),
            "depthwise": rng.uniform(0.01, 0.04),
            "bandwidth": rng.uniform(0.6, 1.4),
            "launch": rng.uniform(0.3, 2.0),
        }
        tables, channels, size = [], self.space.stem_channels, output_size(224, self.space.stem_stride)
        for _, stages in self._stages:
            tables.append(np.array([_stage_time(stage, channels, size, efficiency) for stage in stages]))
            channels, size = stages[0].channels, output_size(size, stages[0].stride)
        return tables, float(rng.uniform(0.3, 0.6)) * sum(float(table.mean()) for table in tables)

    def _seconds(self, encodings: NDArray[np.int64]) -> Floats:
        tables, rest = self._times
        return np.asarray(sum(table[self._index(encodings, i)] for i, table in enumerate(tables)) + rest)

    @cached_property
    def _worths(self) -> tuple[list[Floats], list[Floats]]:
        """Per stage: main effects and interactions inside it, each of mean 0."""
        rng = np.random.default_rng((self.seed, 2))
        mains, mixed = [], []
        for number, (_, stages) in enumerate(self._stages):
            late = 0.8 + 0.4 * number / max(1, len(self._stages) - 1)
            weight = late * rng.lognormal(0, 0.35)
            main = weight * _stage_worth(stages, rng)
            noise = np.zeros(len(stages))
            for a, b in (
                ("kernel_size", "expansion"),
                ("expansion", "layers"),
                ("layers", "se_ratio"),
                ("op", "expansion"),
            ):
                first = _codes(stages, a)
                second = _codes(stages, b)
                noise += rng.normal(size=(first.max() + 1, second.max() + 1))[first, second]
            mains.append(main - main.mean())
            mixed.append(weight * (noise - noise.mean()))
        return mains, mixed

    @cached_property
    def _trees(self) -> tuple[NDArray[np.int64], Floats, Floats]:
        rng = np.random.default_rng((self.seed, 3))
        decisions = rng.integers(0, len(self.space.decisions), size=(_TREES, _DEPTH))
        lengths = np.array([len(d.choices) for d in self.space.decisions])[decisions]
        return decisions, rng.integers(1, lengths) - 0.5, rng.normal(size=(_TREES, 2**_DEPTH))

    def _parts(self, encodings: NDArray[np.int64]) -> Floats:
        mains, mixed = self._worths
        by_stage = np.stack([table[self._index(encodings, i)] for i, table in enumerate(mains)])
        inside = sum(table[self._index(encodings, i)] for i, table in enumerate(mixed))
        signs = np.random.default_rng((self.seed, 4)).normal(-0.6, 1.0, size=len(mains) - 1)
        between = (signs[:, None] * by_stage[1:] * by_stage[:-1]).sum(axis=0)
        decisions, splits, leaves = self._trees
        bits = encodings[:, decisions] > splits
        rugged = leaves[np.arange(_TREES), (bits << np.arange(_DEPTH)).sum(axis=2)].sum(axis=1)
        return np.stack([by_stage.sum(axis=0), inside, between, rugged])

    @cached_property
    def _mix(self) -> Floats:
        draws = self.space.sample_encodings(4000, np.random.default_rng((self.seed, 5)))
        h = self.hardness
        shares = np.array([1 - h.within - h.between - h.rugged, h.within, h.between, h.rugged])
        return np.asarray(np.sqrt(shares) / (self._parts(draws).std(axis=1) + 1e-12))

    @cached_property
    def _scale(self) -> tuple[float, float]:
        draws = self.space.sample_encodings(4000, np.random.default_rng((self.seed, 6)))
        raw = self._raw(draws)
        return float(raw.mean()), float(raw.std())

    def _raw(self, encodings: NDArray[np.int64]) -> Floats:
        return np.asarray(self._mix @ self._parts(encodings))


_TREES, _DEPTH = 120, 4


def neighbours(space: SearchSpace, code: NDArray[np.int64]) -> NDArray[np.int64]:
    """Every encoding that differs from `code` in one decision; the space has no conditional ones."""
    rows = []
    for index, decision in enumerate(space.decisions):
        for choice in range(len(decision.choices)):
            if choice != code.ravel()[index]:
                rows.append(code.ravel().copy())
                rows[-1][index] = choice
    return np.array(rows)


def _codes(stages: list[Stage], name: str) -> NDArray[np.int64]:
    values = [getattr(stage, name) for stage in stages]
    return np.array([sorted(set(values)).index(value) for value in values])


def _stage_worth(stages: list[Stage], rng: np.random.Generator) -> Floats:
    """Diminishing returns: each field's logarithm under a random exponent, SE and op as steps."""
    depth, width, kernel = rng.uniform(0.7, 1.3), rng.uniform(0.5, 1.1), rng.uniform(0.0, 0.6)
    se, fused, bend = rng.uniform(0.0, 0.4), rng.normal(0.1, 0.2), rng.uniform(0.5, 1.0)
    total = [
        depth * np.log(s.layers) ** bend
        + width * np.log(s.expansion) ** bend
        + kernel * np.log(s.kernel_size / 3)
        + se * (s.se_ratio > 0)
        + fused * (s.op == "fused_mbconv")
        for s in stages
    ]
    return np.array(total)


def _stage_time(stage: Stage, in_channels: int, size: int, efficiency: dict[str, float]) -> float:
    """Seconds (in units of 1e9 operations at peak) of one stage: per block the larger of arithmetic and traffic."""
    total, channels = 0.0, in_channels
    for layer in range(stage.layers):
        stride = stage.stride if layer == 0 else 1
        one = replace(stage, layers=1, stride=stride)
        cost = stage_cost(one, channels, size)
        out = output_size(size, stride)
        if stage.op == "mbconv":
            depthwise = stage.kernel_size**2 * channels * stage.expansion * out**2
            arithmetic = depthwise / efficiency["depthwise"] + (cost.macs - depthwise) / efficiency["pointwise"]
        else:
            arithmetic = cost.macs / efficiency["dense"]
        traffic = 120 * cost.activations / efficiency["bandwidth"]
        launches = 3 + (stage.expansion > 1) + 4 * (squeeze_channels(channels, stage.se_ratio) > 0)
        roof = (arithmetic**3 + traffic**3) ** (1 / 3)
        total += roof / 1e9 + efficiency["launch"] * launches * 1e-3 + 4e-9 * cost.params
        channels, size = stage.channels, out
    return total


def mnasnet_like(kernels: tuple[int, ...] = (3, 5), expansions: tuple[int, ...] = (1, 4, 6)) -> SearchSpace:
    """Give a seven-stage space with kernel size, expansion, layers and squeeze-and-excitation of each stage."""
    channels, strides = (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 2, 1, 2, 1)
    stages = tuple(
        StageChoices(
            op=("mbconv",),
            layers=(1, 2, 3),
            kernel_size=kernels,
            expansion=expansions,
            channels=(c,),
            stride=(s,),
            se_ratio=(0.0, 0.25),
        )
        for c, s in zip(channels, strides, strict=True)
    )
    return SearchSpace(32, stages, 1280, image_size=224)


SPACES: dict[str, Callable[..., Any]] = {
    "mnasnet": mnasnet_like,
    "mnasnet_k7": lambda: mnasnet_like((3, 5, 7), (3, 4, 6)),
    "efficientnetv2": efficientnetv2,
}

HARDNESS = {
    "smooth": Hardness(accuracy_std=0.010, within=0.05, between=0.04, rugged=0.02, saturation=0.3),
    "mixed": Hardness(accuracy_std=0.012, within=0.08, between=0.08, rugged=0.06, saturation=0.5),
    "rugged": Hardness(accuracy_std=0.016, within=0.12, between=0.12, rugged=0.16, saturation=0.5),
}

BOOSTED = {"boosted": Hardness(accuracy_std=0.014, within=0.10, between=0.10, rugged=0.10, boosted=5000)}

# Nearly additive and less spread out, so that the same noise hurts more.
GENTLE = {
    "gentle": Hardness(accuracy_std=0.008, within=0.02, between=0.02, rugged=0.0, saturation=0.3),
    "narrow": Hardness(accuracy_std=0.006, within=0.05, between=0.05, rugged=0.02, saturation=0.3),
}


def family(part: str) -> list[Landscape]:
    """Give the landscapes of `development` or of `held_out`, each with a seed of its own.

    0 to 8: each space at each hardness; 9 and 10: boosted; 11 to 16: gentle and narrow by turns.
    Raises: ValueError for another part.
    """
    seeds = {"development": 1000, "held_out": 5000}
    if part not in seeds:
        raise ValueError(f"unknown part {part!r}; known: {', '.join(seeds)}")
    spaces = list(SPACES.items())
    cases = [*product(spaces, HARDNESS.items()), *product(spaces[:2], BOOSTED.items())]
    cases += 3 * list(product(spaces[:1], GENTLE.items()))
    return [
        Landscape(f"{space}-{hard}", make(), seeds[part] + number, hardness)
        for number, ((space, make), (hard, hardness)) in enumerate(cases)
    ]
