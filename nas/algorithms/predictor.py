"""Model-guided search: learn accuracy and step time apart, count params exactly, propose what promises the best reward.

The reward A * S^w * P^v is no black box. Its logarithm is log A + w log S + v log P, where P is a count, S follows from
a few timings, and only A has to be learned from noisy training. Gaussian processes give the mean and the uncertainty of
the first two. A local search from the best candidates maximises mean + optimism * standard deviation at first, which
learns fast, and then the expected gain of the search's outcome: the architecture that the model takes for the best,
not the luckiest observation. Each proposal notes which one that is (nas/runs/chosen.py). With `objectives` it maximises
the volume by which the front of accuracy, step time and params is expected to grow.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.algorithms.algorithm import Algorithm, Proposal, as_proposed, check_settings
from nas.algorithms.features import Codes
from nas.algorithms.front_gain import MAXIMISE, Front
from nas.algorithms.known_reward import PREDICTED
from nas.algorithms.learner import LEAST, RewardLearner
from nas.algorithms.reward_model import RewardModel, StepTimes
from nas.algorithms.targets import Targets
from nas.runs.text import listed
from nas.runs.trial import Trial
from search_space.architecture import Architecture
from search_space.space import SearchSpace

logger = logging.getLogger(__name__)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PredictorSettings:
    """When the model proposes, and how boldly."""

    warm_up: int = 10  # random proposals before the model's, [2, 1e6]
    explore: int = 50  # proposals, the random ones counted in, before those by expected gain, [0, 1e9]
    optimism: float = 1.0  # standard deviations added to the mean log reward while it explores, [0, 100]
    candidates: int = 500  # random ones looked at for each proposal, beside the local search's, [1, 1e6]
    # Two or three of accuracy, step_time and params, whose front is to grow; empty = the reward counts. The two above
    # are not used then.
    objectives: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = [name for name in self.objectives if name not in PREDICTED]
        if unknown or len(set(self.objectives)) < len(self.objectives) or len(self.objectives) == 1:
            told = list(self.objectives)
            raise ValueError(f"objectives must be two or three of {', '.join(PREDICTED)}, or none, got {told}")
        check_settings(
            warm_up=(self.warm_up, 2, 10**6),
            explore=(self.explore, 0, 10**9),
            optimism=(self.optimism, 0, 100),
            candidates=(self.candidates, 1, 10**6),
        )


class Predictor(Algorithm):
    """Gaussian processes of accuracy and step time on the stage encoding; upper confidence bound, then expected gain.

    Args:
        step_time: gives normalised step times of architectures, if they can be had without training (a timer on the
            device, a table); then S is not predicted.
    Raises: ValueError for a setting out of range.
    """

    name = "predictor"
    notes_winner = False  # beside what it notes of the model that it proposes by
    Settings = PredictorSettings
    settings: PredictorSettings

    def __init__(
        self, space: SearchSpace, seed: int = 0, *, step_time: StepTimes | None = None, **settings: Any
    ) -> None:
        super().__init__(space, seed, **settings)
        self._reward_learner = RewardLearner(space, step_time=step_time, apart=bool(self.settings.objectives))
        self.warned = False
        self._lengths = np.array([len(d.choices) for d in space.decisions], dtype=np.int64)
        self.multipliers = np.random.default_rng(0).integers(2**62, size=len(space.decisions), dtype=np.int64)

    def _learn(self, trial: Trial) -> None:
        """Nothing: `learner` was told."""

    def _learn_again(self, trial: Trial, mean: Trial) -> None:
        """Nothing, either: the learner makes means of several trainings itself."""

    def _choose(self, timings: Sequence[Trial]) -> Proposal:
        """Choose the first, which the model takes for the best: their accuracies are not alike to it."""
        return as_proposed(timings[0])

    def _propose(self, rng: np.random.Generator) -> Proposal:
        asked = self.told + len(self.pending)
        # With many in flight a few results are enough to begin: more random proposals would be made without any.
        warm_up = self.settings.warm_up
        if asked >= warm_up and len(early := self.outlook.early()) >= LEAST:
            return self._by_early(early, rng)
        if asked < warm_up or self._learner().scored < min(warm_up, LEAST) or not self.space.decisions:
            return Proposal(self.space.sample(rng), "predictor.random")
        with self._learner().one_thread():
            model = self._model()
            apart = bool(self.settings.objectives) and self._all_told(model.targets)
            pending = self._pending_codes()
            expected = model.assuming(pending)
            model = expected if apart else model.assuming(pending, _BELOW)
            glance = model.glance
            if apart:
                worth, hopeful = self._front_gain(glance, rng)
            else:
                worth, hopeful = self._reward_gain(asked), glance.top(_STARTS)
            found = self._search(worth(glance), None if glance is model else worth(model), hopeful, rng)
            if found is None:
                return Proposal(self.space.sample(rng), "predictor.random")
            architecture, code = found
            notes = self._objective_notes(expected, code) if apart else self._learner().notes(expected, code)
        return Proposal(architecture, "predictor.model", notes=notes)

    def _all_told(self, targets: Targets) -> bool:
        """Whether every objective was told of some trial; where one was not, the reward counts, and that is said."""
        columns = zip(PREDICTED, targets.measured().T, strict=True)
        lacking = [name for name, told in columns if name in self.settings.objectives and not np.isfinite(told).any()]
        if lacking and not self.warned:
            self.warned = True
            logger.warning("predictor: no finished trial has %s; until one has, the reward counts", listed(lacking))
        return not lacking and targets.exponents is not None

    def _reward_gain(self, asked: int) -> _WorthBy:
        """What a candidate is worth to the reward, by a model."""
        if asked >= self.settings.explore:
            return lambda model: model.log_gain
        return lambda model: partial(model.optimistic, optimism=self.settings.optimism)

    @cached_property
    def _sample(self) -> Codes:
        """Some random architectures, always the same."""
        return self.space.sample_encodings(_SAMPLE, np.random.default_rng(self.seed))

    def _front_gain(self, glance: RewardModel, rng: np.random.Generator) -> tuple[_WorthBy, Codes]:
        """What a candidate is worth to the front, by a model: the logarithm of the volume that it adds.

        And some candidates that are worth looking at: those of the front with one decision drawn anew.

        Args:
            glance: the model or its sketch, of which the means are used.
        """
        # What is worse than the worst of some random ones, and of what was told, is of no interest.
        seen = np.concatenate([glance.objectives(self._sample).means, glance.targets.measured()])
        corner = np.where(MAXIMISE, np.nanmin(seen, axis=0), np.nanmax(seen, axis=0)) + _BEYOND
        counts = [name in self.settings.objectives for name in PREDICTED]
        codes = glance.targets.foremost(_FRONT, np.flatnonzero(counts))
        known = np.concatenate([codes, self._pending_codes()])
        # An objective that does not count is the same of all.
        front = Front(np.where(counts, glance.objectives(known).means, 0.0), np.where(counts, corner, _BEYOND))

        def gain(by: RewardModel, codes: Codes) -> Floats:
            means, stds = (np.where(counts, values, 0.0) for values in by.objectives(codes))
            stds = np.maximum(_SURE, stds)
            volume = front.expected_gain((means[:, 0], stds[:, 0]), (means[:, 1], stds[:, 1]), means[:, 2])
            return np.log(np.maximum(_NOTHING, volume))

        return lambda by: partial(gain, by), self._allowed(self._redrawn(codes, self.settings.candidates, rng))

    def _objective_notes(self, model: RewardModel, code: Codes) -> dict[str, Any]:
        found = model.objectives(code[None])
        return {"predicted_accuracy": float(found.means[0, 0]), "predicted_step_time": float(found.means[0, 1])}

    def _by_early(self, trials: Sequence[Trial], rng: np.random.Generator) -> Proposal:
        """Propose by what trials had after an early epoch; what is noted of a winner would be of that epoch, too."""
        early = type(self)(self.space, self.seed, step_time=self._learner().step_time)
        early.settings, early._reward_learner.apart, early.reward = self.settings, self._learner().apart, self.reward
        for trial in trials:
            early._reward_learner.learn(trial)
        early.told, early.pending, early.seen = self.told, self.pending, self.seen
        early.warned = True  # what is lacking is said when more is known
        architecture = early._propose(rng).architecture
        return Proposal(architecture, "predictor.early")

    def _model(self) -> RewardModel:
        return self._learner().model()

    def optimistic_accuracy(self, architecture: Architecture, confidence: float = 0.99) -> float:
        """Accuracy that a training of the architecture stays below with this confidence; NaN before the model knows.

        Of an observed, noisy accuracy, not of its mean. Raises: ValueError if confidence is not in (0, 1).
        """
        if not 0 < confidence < 1:
            raise ValueError(f"confidence must be in (0, 1), got {confidence!r}")
        if self._learner().scored < max(LEAST, self.settings.warm_up):
            return math.nan
        with self._learner().one_thread():
            model = self._model()
            if model.targets.exponents is None:
                return math.nan
            mean, std = model.quality.predict(self.space.encode(architecture)[None])
        spread = math.hypot(float(std[0]), model.quality.noise)
        return math.exp(float(mean[0]) + NormalDist().inv_cdf(confidence) * spread)

    def _search(
        self, worth: Worth, closely: Worth | None, hopeful: Codes, rng: np.random.Generator
    ) -> tuple[Architecture, Codes] | None:
        """Climb from the best of random candidates and of the hopeful ones; the best point on the way that is new.

        Args:
            worth: of encodings (N, decisions), (N,).
            closely: what the best by `worth` are compared by in the end; None = the same.
        """
        codes = self._distinct(np.concatenate([self.space.sample_encodings(self.settings.candidates, rng), hopeful]))
        values = worth(codes)
        for _ in range(_CLIMBS):
            near = self._changes(codes[_best(values)[:_STARTS]], rng)
            near = near[~np.isin(self._keys(near), self._keys(codes))]
            if not len(near):
                break
            codes, values = np.concatenate([codes, near]), np.concatenate([values, worth(near)])
            if values[-len(near) :].max() <= values[: -len(near)].max():  # none is better
                break
        codes = codes[_best(values)]
        new = ~np.isin(self._keys(codes), self._keys(self._proposed()))
        codes = codes[new]
        if closely is not None:
            codes[:_CLOSELY] = codes[:_CLOSELY][_best(closely(codes[:_CLOSELY]))]
        for code in codes:
            architecture = self.space.decode(code)
            if architecture.arch_id not in self.seen:
                return architecture, code
        return None

    def _changes(self, starts: Codes, rng: np.random.Generator) -> Codes:
        """Every allowed single change of the starts, and some double ones."""
        rows = []
        for index, length in enumerate(self._lengths):
            for step in range(1, length):
                changed = starts.copy()
                changed[:, index] = (changed[:, index] + step) % length
                rows.append(changed)
        singles = np.concatenate(rows)
        return self._distinct(self._allowed(np.concatenate([singles, self._redrawn(singles, _DOUBLES, rng)])))

    def _redrawn(self, codes: Codes, n: int, rng: np.random.Generator) -> Codes:
        """Draw n of the rows, with one decision of each drawn anew."""
        changed = codes[rng.integers(0, len(codes), n)]
        columns = rng.integers(0, len(self._lengths), n)
        changed[np.arange(n), columns] = rng.integers(0, self._lengths[columns])
        return changed

    def _allowed(self, codes: Codes) -> Codes:
        """Give the rows, any choices of each decision, as the encodings that they are, where these are allowed."""
        codes = self.space.canonical(codes)
        return codes[self.space.allowed(codes)]

    def _pending_codes(self) -> Codes:
        codes = [self.space.encode(p.architecture) for p in self.pending.values()]
        return np.array(codes, dtype=np.int64).reshape(-1, len(self.space.decisions))

    def _proposed(self) -> Codes:
        return np.concatenate([[o.code for o in self._learner().observations], self._pending_codes()])

    def _keys(self, codes: Codes) -> NDArray[np.int64]:
        """A number for each row: equal rows, equal numbers; unequal ones differ but for a chance of about 1e-19."""
        return np.asarray(codes @ self.multipliers)

    def _distinct(self, codes: Codes) -> Codes:
        return codes[np.sort(np.unique(self._keys(codes), return_index=True)[1])]


def _best(values: Floats) -> NDArray[np.int64]:
    """Numbers of all, the best first, equals as they come."""
    return np.argsort(-values, kind="stable")


Worth = Callable[[Codes], Floats]  # of encodings (N, decisions), (N,)
_WorthBy = Callable[[RewardModel], Worth]
_BELOW = 1.0  # standard deviations by which what is in flight is taken to end below what is predicted
_FRONT = 300  # architectures that a front is looked for among
_SAMPLE = 500  # random architectures that say what is bad
_BEYOND = np.array([-1e-3, 1e-3, 1e-3])  # how much worse the corner is than they are
_SURE, _NOTHING = 1e-9, 1e-300
_STARTS, _CLIMBS, _DOUBLES = 6, 12, 100
_CLOSELY = 24  # candidates, the best at a glance, that are looked at closely
