"""What told trials say of the reward of any architecture: accuracy and step time apart, params exactly.

Where the reward is a product with exponents its logarithm is log A + w log S + v log P. Any other reward that is known
is a function of the three, through which what is predicted of A and S is pushed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from nas.algorithms import gaussian_process as gp
from nas.algorithms.features import Codes, Features
from nas.algorithms.known_reward import COUNTED
from nas.algorithms.posterior import Posterior, Sketch
from nas.algorithms.step_process import StepFit, StepProcess, fit_steps
from nas.algorithms.targets import Targets
from search_space.architecture import Architecture
from search_space.space import SearchSpace

Floats = NDArray[np.float64]
StepTimes = Callable[[Sequence[Architecture]], Sequence[float]]


class Fitted(NamedTuple):
    """Hyperparameters learned from a prefix of the log."""

    quality: gp.Hyperparameters
    times: StepFit | None
    noise: float  # standard deviation of a finished training's result around the truth


def fit(features: tuple[Features, Features], targets: Targets) -> Fitted:
    """Fit the processes.

    Args:
        features: for accuracy and other logarithms, and for step time itself.
    """
    codes, quality, error = targets.quality_codes, targets.quality, targets.quality_se
    times = None if targets.times is None else fit_steps(features, targets.times)
    # By how much what was stopped errs more than what finished is known only when it is known how much that does.
    finished = error == 0
    hyper = gp.fit(features[0], codes[finished], quality[finished])
    noise = math.exp(hyper.others[4] / 2) * gp.standardised(quality[finished])[2]
    if not finished.all():
        hyper = gp.fit(features[0], codes, quality, doubt=_doubt(error, noise))
    return Fitted(hyper, times, noise)


def _doubt(error: Floats, noise: float) -> Floats:
    return np.asarray(1 + (error / noise) ** 2)


class Prediction(NamedTuple):
    """Of the log reward, each (N,)."""

    mean: Floats
    std: Floats
    noise: Floats  # standard deviation of an observation around the truth


class Objectives(NamedTuple):
    """Accuracy, normalised step time and params as the trials tell them, each (N, 3)."""

    means: Floats
    stds: Floats  # to first order; params are known


class Winner(NamedTuple):
    """The architecture of the highest predicted reward among those that were told."""

    code: Codes  # (decisions,)
    mean: float  # of the log reward
    std: float
    noise: float  # of an observation
    chance: float  # that it is truly best of them, as if what is known of one said nothing of another


class RewardModel:
    """Predicts the logarithm of the reward, with its uncertainty.

    Args:
        step_time: normalised step times of architectures, if they can be had without training.
        before: one that was made earlier: what is settled since needs not be taken in again.
    """

    def __init__(
        self,
        space: SearchSpace,
        features: tuple[Features, Features],
        targets: Targets,
        fitted: Fitted,
        step_time: StepTimes | None = None,
        before: RewardModel | None = None,
    ) -> None:
        self.space, self.targets = space, targets
        self.origin: RewardModel | None = None  # the model of which this one was made
        rank = targets.ranks()
        kept, n = _subset(rank, targets.quality_settled)
        codes, h, earlier = targets.quality_codes[kept], fitted.quality, None if before is None else before.settled
        doubt = _doubt(targets.quality_se, fitted.noise)[kept]
        if earlier is None or earlier.h is not h or not earlier.is_of(codes[:n], doubt[:n]):
            earlier = Posterior(features[0], h, codes[:n], targets.quality[kept[:n]], doubt[:n])
        self.settled: Posterior = earlier
        self.quality = self.settled.observing(codes[n:], targets.quality[kept], doubt[n:])
        self.conditioned: Posterior | Sketch = self.quality
        self.times: StepProcess | None = None
        self.step_time = step_time if targets.timed else None
        if targets.times is not None and self.step_time is None:
            timings = targets.times
            assert timings.rank is not None
            assert timings.settled is not None
            kept, n = _subset(timings.rank, timings.settled)
            # fitted.times None: the prefix did not tell w and v apart yet, the whole log does.
            then = None if before is None else before.times
            self.times = StepProcess(features, fitted.times, timings.at(kept, n), then)

    def assuming(self, pending: Codes, below: float = 0.0) -> RewardModel:
        """Give the model that counts architectures in flight (M, decisions) as observed at their predictions, or below.

        Args:
            below: standard deviations of the predicted log accuracy, or log reward.
        """
        if not len(pending):
            return self
        other = self._other()
        other.conditioned = self.quality.assuming(pending, below)
        return other

    def _other(self) -> RewardModel:
        """Give one to be changed, of the same winner: that is of what was told, however it is looked at."""
        other = copy(self)
        for made in ("glance", "winner", "_leading"):
            vars(other).pop(made, None)
        other.origin = self
        return other

    @cached_property
    def glance(self) -> RewardModel:
        """The model that predicts at a glance, see `Sketch`; where data are few, itself."""
        data = len(self.quality.codes)
        if data <= _FEW:
            return self
        other = self._other()
        assert isinstance(self.conditioned, Posterior)
        late = len(self.conditioned.codes) - len(self.settled.codes)
        other.conditioned = Sketch(self.conditioned, data // _PART, late)
        other.times = None if self.times is None else self.times.sketched(data // _PART)
        return other

    def top(self, n: int) -> Codes:
        """The n of the best predicted rewards among the 100 best observed."""
        codes, found = self._leading
        return codes[np.argsort(-found.mean, kind="stable")[:n]]

    @cached_property
    def _leading(self) -> tuple[Codes, Prediction]:
        """The architectures of highest observed reward, and what is predicted of them, most of it at a glance."""
        if self.origin is not None:
            return self.origin._leading
        codes = self.targets.leading(_LEADING)
        found = self.glance.predict(codes)
        if self.glance is not self:
            near = np.argsort(-found.mean, kind="stable")[:_NEAR]
            for all_of_them, exact in zip(found, self.predict(codes[near]), strict=True):
                all_of_them[near] = exact
        return codes, found

    def predict(self, codes: Codes) -> Prediction:
        """Mean and standard deviation of the log reward, and the noise of an observation."""
        mean, std = self.conditioned.predict(codes)
        noise = np.full(len(codes), self.quality.noise)
        if self.targets.exponents is None:
            return Prediction(mean, std, noise)
        log_time, time_std, time_noise = self._log_time(codes)
        if self.targets.known is not None:
            return self._pushed(Prediction(mean, std, noise), Prediction(log_time, time_std, time_noise), codes)
        w, v = self.targets.exponents
        mean = mean + v * self.targets.log_params(codes) + self.targets.offset
        return Prediction(
            mean + w * log_time, np.hypot(std, w * time_std), np.hypot(noise, w * time_noise) if w else noise
        )

    def _log_time(self, codes: Codes) -> tuple[Floats, Floats, Floats]:
        """Mean and deviation of log S, and the noise of its measurement; zeros where it does not count."""
        nothing = np.zeros(len(codes))
        if self.step_time is not None:
            times = self.step_time([self.space.decode(code) for code in codes])
            return np.log(np.asarray(times, dtype=np.float64)), nothing, nothing
        return (nothing, nothing, nothing) if self.times is None else self.times.predict(codes)

    def _pushed(self, accuracy: Prediction, time: Prediction, codes: Codes) -> Prediction:
        """The moments of the log reward, by Gauss's quadrature over log A and log S, in which it need not be smooth."""
        t = self.targets
        assert t.known is not None
        a = np.exp(accuracy.mean[:, None] + accuracy.std[:, None] * _OVER_A[0])[:, :, None]  # (N, A, 1)
        s = np.exp(time.mean[:, None] + time.std[:, None] * _OVER_S[0])[:, None, :]  # (N, 1, S)
        known = {"accuracy": np.minimum(a, max(1.0, t.highest)), "step_time": s}
        known |= {name: t.counts(name, codes)[:, None, None] for name in COUNTED if name in t.known.reads}
        rewards = np.broadcast_to(t.known.of(known), np.broadcast_shapes(a.shape, s.shape))
        levels = t.level(np.where(np.isfinite(rewards), rewards, t.lowest))
        by_a, by_s = levels @ _OVER_S[1], np.einsum("nas,a->ns", levels, _OVER_A[1])
        mean = by_a @ _OVER_A[1]
        variance = ((levels - mean[:, None, None]) ** 2 @ _OVER_S[1]) @ _OVER_A[1]
        of_a = ((by_a - mean[:, None]) ** 2) @ _OVER_A[1]
        of_s = ((by_s - mean[:, None]) ** 2) @ _OVER_S[1]
        # Observations err along the same slopes as predictions do.
        noise = of_a * (accuracy.noise / accuracy.std) ** 2 + of_s * (time.noise / np.maximum(time.std, _TINY)) ** 2
        return Prediction(mean, np.sqrt(variance + _TINY**2), np.sqrt(noise))

    def objectives(self, codes: Codes) -> Objectives:
        """What is predicted of each, where the targets hold them apart."""
        log_accuracy, std = self.conditioned.predict(codes)
        log_time, time_std, _ = self._log_time(codes)
        means = np.exp(np.stack([log_accuracy, log_time, self.targets.log_params(codes)], axis=1))
        return Objectives(means, means * np.stack([std, time_std, np.zeros(len(codes))], axis=1))

    def optimistic(self, codes: Codes, optimism: float) -> Floats:
        """Upper confidence bound of the log reward, (N,)."""
        found = self.predict(codes)
        return found.mean + optimism * found.std

    @cached_property
    def winner(self) -> Winner:
        """Which of the told architectures is best, lucky or not."""
        if self.origin is not None:
            return self.origin.winner
        codes, (mean, std, noise) = self._leading
        at = int(np.argmax(mean))
        others = np.arange(len(mean)) != at
        below = scipy.special.ndtr((mean[at] + std[at] * _OVER_BEST[0][:, None] - mean[others]) / std[others])
        chance = float(_OVER_BEST[1] @ below.prod(axis=1))
        return Winner(codes[at], float(mean[at]), float(std[at]), float(noise[at]), chance)

    def log_gain(self, codes: Codes) -> Floats:
        """Logarithm of the expected gain in the winner's log reward, as the model will have it, each observed, (N,).

        That is the knowledge gradient, if an observation moved nothing but what is known of its own architecture. What
        an observation says of it is less the noisier it is; where nothing is noisy this is expected improvement.
        Source: Frazier, Powell and Dayanik, SIAM J. Control Optim. 47 (2008), 2410-2439.
        """
        mean, std, noise = self.predict(codes)
        moves = std**2 / np.hypot(std, noise)  # standard deviation of the mean that an observation will leave
        z = (mean - self.winner.mean) / moves
        near, far = np.maximum(z, -1.0), np.minimum(z, -1.0)
        exact = np.log(np.exp(-(near**2) / 2) / math.sqrt(2 * math.pi) + near * scipy.special.ndtr(near))
        mills = math.sqrt(math.pi / 2) * scipy.special.erfcx(-far / math.sqrt(2))  # ndtr over the density
        tail = np.log(np.where(far > _FAR, 1 + far * mills, 1 / far**2))
        density = -(far**2) / 2 - math.log(math.sqrt(2 * math.pi))
        return np.asarray(np.log(moves) + np.where(z > -1, exact, density + tail))


def _subset(rank: Floats, settled: int) -> tuple[NDArray[np.int64], int]:
    """Which rows are used, and how many of them are settled.

    Of the settled at most _MOST, by rank: the best half, the rest evenly spread over the others. Then all that came
    later. Where nothing is settled, all counts as settled.
    """
    settled = settled or len(rank)
    order = np.argsort(-rank[:settled], kind="stable")
    if settled > _MOST:
        half = _MOST // 2
        order = order[np.concatenate([np.arange(half), np.linspace(half, settled - 1, _MOST - half).astype(np.int64)])]
    return np.concatenate([order, np.arange(settled, len(rank))]), len(order)


def _quadrature(nodes: int) -> tuple[Floats, Floats]:
    """Points and weights by which the mean of a function of a standard normal number is a sum."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    return points, weights / weights.sum()


_OVER_A, _OVER_S, _OVER_BEST = _quadrature(3), _quadrature(7), _quadrature(31)
_TINY = 1e-9
_LEADING, _NEAR = 100, 12  # architectures looked at for the winner, and those of them that are looked at closely
_FAR = -1e4  # beyond it 1 + far * mills, which is 1 / far**2, is lost in rounding
_MOST = 1000
_FEW, _PART = 200, 8  # data for which a glance does not pay, and the part of more that it looks at
