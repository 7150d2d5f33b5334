"""Reinforcement learning: a controller over the decisions, trained with REINFORCE or PPO. The paper's larger search.

Sources: Zoph and Le 2017 (arXiv:1611.01578); Schulman et al. 2017 (arXiv:1707.06347); EfficientNetV2
(arXiv:2104.00298), section 3.2.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.algorithms.algorithm import Algorithm, Proposal, check_settings
from nas.algorithms.outlook import worth
from nas.runs.trial import Trial
from search_space.space import SearchSpace

Floats = NDArray[np.float64]


class Controller:
    """A softmax per decision whose logits are a bias plus, if autoregressive, a weight for each choice made before.

    Gradients are in closed form: that of log p with respect to the logits is one-hot minus probability.
    """

    def __init__(self, lengths: list[int], autoregressive: bool) -> None:
        self.lengths = lengths
        self.starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        size = int(self.starts[-1])
        decision = np.repeat(np.arange(len(lengths)), lengths)
        # Row: a choice made; column: a logit it moves. Only decisions later in the order may look back.
        before = decision[:, None] < decision[None, :]
        self.mask = before.astype(np.float64) if autoregressive else np.zeros((size, size))
        self.bias, self.weights = np.zeros(size), np.zeros((size, size))
        self.moments = [np.zeros_like(p) for p in (self.bias, self.bias, self.weights, self.weights)]
        self.steps = 0

    def sample(self, n: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], Floats]:
        """Draw encodings (n, decisions) and the natural logarithms of their probabilities (n,)."""
        logits, codes, total = np.tile(self.bias, (n, 1)), np.zeros((n, len(self.lengths)), dtype=np.int64), np.zeros(n)
        for d, length in enumerate(self.lengths):
            p = _softmax(logits[:, self.starts[d] : self.starts[d + 1]])
            codes[:, d] = np.minimum((p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1), length - 1)
            total += np.log(p[np.arange(n), codes[:, d]])
            logits += self.weights[self.starts[d] + codes[:, d]]
        return codes, total

    def log_probs(self, rows: Floats) -> Floats:
        """Natural logarithms of the probabilities of rows as `one_hot` gives them, (N,)."""
        return np.asarray((np.log(self.probabilities(rows) + 1e-300) * rows).sum(axis=1))

    def one_hot(self, codes: NDArray[np.int64]) -> Floats:
        """Encodings (N, decisions) as rows of zeros and ones (N, choices of all decisions)."""
        rows = np.zeros((len(codes), int(self.starts[-1])))
        rows[np.arange(len(codes))[:, None], codes + self.starts[:-1]] = 1.0
        return rows

    def probabilities(self, rows: Floats) -> Floats:
        """Probability of every choice given the earlier ones of the same row; same shape as `rows`."""
        logits = self.bias + rows @ self.weights
        parts = (_softmax(logits[:, a:b]) for a, b in zip(self.starts[:-1], self.starts[1:], strict=True))
        return np.concatenate(list(parts), axis=1)

    def climb(self, rows: Floats, by_logit: Floats, learning_rate: float) -> None:
        """Take one Adam step up the objective whose gradient with respect to the logits is `by_logit` (N, choices)."""
        self.steps += 1
        gradients = (by_logit.sum(axis=0), (rows.T @ by_logit) * self.mask)
        for i, (parameter, gradient) in enumerate(zip((self.bias, self.weights), gradients, strict=True)):
            mean, square = self.moments[2 * i], self.moments[2 * i + 1]
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient**2 - square)
            corrected = (mean / (1 - 0.9**self.steps)) / (np.sqrt(square / (1 - 0.999**self.steps)) + 1e-8)
            parameter += learning_rate * corrected


class _Sample(NamedTuple):
    code: NDArray[np.int64]
    log_prob: float
    reward: float


@dataclass(frozen=True)
class ControllerSettings:
    """Of every controller trained by the policy gradient."""

    learning_rate: float = 0.2  # of Adam, [1e-8, 10]
    batch: int = 5  # scored trials between updates, [1, 1e4]
    entropy: float = 0.02  # weight of the entropy bonus, [0, 100]
    autoregressive: bool = False  # whether a decision looks at the earlier ones; else they are independent
    memory: int = 50  # latest scored trials that an update learns from, [batch, 1e5]; older ones weigh by their ratio

    def __post_init__(self) -> None:
        check_settings(
            learning_rate=(self.learning_rate, 1e-8, 10),
            batch=(self.batch, 1, 10**4),
            entropy=(self.entropy, 0, 100),
            memory=(self.memory, self.batch, 10**5),
        )


class PolicyGradient(Algorithm):
    """A controller trained after every `batch` scored trials by the policy gradient; abstract: of what advantages.

    Each proposal carries its log-probability, so that a result which comes late, when the policy has moved, is weighted
    by the ratio of the two. A trial without one (of another algorithm) counts as drawn uniformly.
    """

    Settings = ControllerSettings
    settings: ControllerSettings
    epochs: int = 1  # Adam steps per batch
    clip: float = math.inf  # half-width of the ratio's range around 1

    def __init__(self, space: SearchSpace, seed: int = 0, **settings: Any) -> None:
        super().__init__(space, seed, **settings)
        self.controller = Controller([len(d.choices) for d in space.decisions], self.settings.autoregressive)
        self.told_codes: set[bytes] = set()
        self.recent: deque[_Sample] = deque(maxlen=self.settings.memory)
        self.waiting = 0  # scored since the last update

    def _propose(self, rng: np.random.Generator) -> Proposal:
        codes, log_probs = self.controller.sample(_DRAWS, rng)
        if self.space.is_conditional:
            codes = self.space.canonical(codes)
            log_probs = self.controller.log_probs(self._rows(codes)[0])
        allowed = self.space.allowed(codes)
        pending = {self.space.encode(p.architecture).tobytes() for p in self.pending.values()}
        for code, log_prob in zip(codes[allowed], log_probs[allowed], strict=True):
            if code.tobytes() not in self.told_codes and code.tobytes() not in pending:
                return Proposal(self.space.decode(code), self.name, notes={"log_prob": float(log_prob)})
        if not allowed.any():
            return Proposal(self.space.sample(rng), f"{self.name}.random")
        # The policy repeats itself: the nearest new one on a walk from what it wants, at the probability it has.
        architecture = self.space.decode(codes[allowed][0])
        for _ in range(_WALK):
            architecture = self.space.mutate(architecture, rng)
            if architecture.arch_id not in self.seen:
                break
        log_prob = self.controller.log_probs(self._rows(self.space.encode(architecture)[None])[0])[0]
        return Proposal(architecture, f"{self.name}.mutation", notes={"log_prob": float(log_prob)})

    def _rows(self, codes: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
        """One-hot rows, and which of their columns are of decisions that the row makes: an inactive one has none."""
        decided = np.repeat(self.space.active(codes), self.controller.lengths, axis=1)
        return self.controller.one_hot(codes) * decided, decided

    def _learn(self, trial: Trial) -> None:
        self.told_codes.add(self.space.encode(trial.architecture).tobytes())
        reward = worth(trial)
        if reward is None:
            return
        uniform = -sum(math.log(length) for length in self.controller.lengths)
        log_prob = trial.proposal.get("log_prob", uniform)
        self.recent.append(_Sample(self.space.encode(trial.architecture), float(log_prob), reward))
        self.waiting += 1
        if self.waiting >= self.settings.batch:
            self._update(list(self.recent))
            self.waiting = 0

    def _learn_again(self, trial: Trial, mean: Trial) -> None:
        code = self.space.encode(mean.architecture)
        for place, sample in enumerate(self.recent):
            if (sample.code == code).all():
                self.recent[place] = sample._replace(reward=float(mean.reward or 0.0))

    @abstractmethod
    def _advantages(self, rewards: Floats) -> Floats:
        """What each of the rewards (N,) in memory counts for; the last `waiting` of them are new."""

    def _update(self, samples: list[_Sample]) -> None:
        advantages = self._advantages(np.array([s.reward for s in samples]))
        old = np.array([s.log_prob for s in samples])
        rows, decided = self._rows(np.stack([s.code for s in samples]))
        for _ in range(self.epochs):
            p = self.controller.probabilities(rows)
            ratio = np.exp(np.clip((np.log(p + 1e-12) * rows).sum(axis=1) - old, -20, _LARGEST_LOG_RATIO))
            # PPO's pessimistic minimum: no gradient where the ratio has left the clip range in the wanted direction.
            inside = np.where(advantages > 0, ratio <= 1 + self.clip, ratio >= 1 - self.clip)
            by_logit = (advantages * ratio * inside)[:, None] * (rows - p)
            by_logit += self.settings.entropy * self._entropy_gradient(p)
            by_logit *= decided
            self.controller.climb(rows, by_logit / len(rows), self.settings.learning_rate)

    def _entropy_gradient(self, p: Floats) -> Floats:
        log_p = np.log(p + 1e-12)
        result = np.empty_like(p)
        for a, b in zip(self.controller.starts[:-1], self.controller.starts[1:], strict=True):
            part = log_p[:, a:b]
            result[:, a:b] = -p[:, a:b] * (part - (p[:, a:b] * part).sum(axis=1, keepdims=True))
        return result


@dataclass(frozen=True)
class ReinforceSettings(ControllerSettings):
    """Of REINFORCE."""

    baseline_decay: float = 0.95  # of the moving mean and spread of rewards, [0, 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(baseline_decay=(self.baseline_decay, 0, 1 - 1e-9))


class Reinforce(PolicyGradient):
    """The policy gradient of rewards over a moving baseline."""

    name = "reinforce"
    Settings = ReinforceSettings
    settings: ReinforceSettings

    def __init__(self, space: SearchSpace, seed: int = 0, **settings: Any) -> None:
        super().__init__(space, seed, **settings)
        self.weight, self.mean, self.square = 0.0, 0.0, 0.0  # moving sums of 1, reward and its square

    def _advantages(self, rewards: Floats) -> Floats:
        decay = self.settings.baseline_decay
        for reward in rewards[-self.waiting :]:
            self.weight = decay * self.weight + 1
            self.mean = decay * self.mean + reward
            self.square = decay * self.square + reward**2
        mean = self.mean / self.weight
        spread = math.sqrt(max(0.0, self.square / self.weight - mean**2))
        return _standardised(rewards, mean, spread)


@dataclass(frozen=True)
class PPOSettings(ControllerSettings):
    """Of PPO."""

    entropy: float = 0.05  # more of it: several steps a batch settle sooner than the rewards warrant, [0, 100]
    epochs: int = 4  # Adam steps per batch, [1, 1000]
    clip: float = 1.0  # half-width of the ratio's range around 1, [1e-6, 10]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(epochs=(self.epochs, 1, 1000), clip=(self.clip, 1e-6, 10))


class PPO(PolicyGradient):
    """The policy gradient with several steps on each batch, the ratio clipped, and rewards that count by their rank.

    Ranks, as evolution strategies use them, keep the few best worth learning from when rewards have come close together
    or one was a failure; source: Wierstra et al. 2014 (arXiv:1106.4487), section 3.1.
    """

    name = "ppo"
    Settings = PPOSettings
    settings: PPOSettings

    def __init__(self, space: SearchSpace, seed: int = 0, **settings: Any) -> None:
        super().__init__(space, seed, **settings)
        self.epochs, self.clip = self.settings.epochs, self.settings.clip

    def _advantages(self, rewards: Floats) -> Floats:
        by_rank = np.exp(-_TOP * np.arange(len(rewards)) / len(rewards))
        _, place, ties = np.unique(-rewards, return_inverse=True, return_counts=True)
        # Equal rewards share what their ranks are worth: the order in which they came says nothing.
        worth = (np.add.reduceat(by_rank, np.cumsum(ties) - ties) / ties)[place]
        return _standardised(worth, worth.mean(), worth.std())


def _standardised(values: Floats, mean: float, spread: float) -> Floats:
    """In units of their spread; 0 where they differ by rounding alone, of which Adam would make steps of full size."""
    off = values - mean
    return np.asarray(np.where(np.abs(off) > _ROUNDING * np.abs(values).max(), off / (spread + 1e-9), 0.0))


def _softmax(logits: Floats) -> Floats:
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(p / p.sum(axis=-1, keepdims=True))


_DRAWS = 32
_ROUNDING = 1e-12
_WALK = 100  # steps, of which most need one
_TOP = 5.0  # the best fifth holds two thirds of the worth
_LARGEST_LOG_RATIO = math.log(10)  # one stale, once unlikely trial must not outweigh its batch
