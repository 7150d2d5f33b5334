"""Which architecture a search trains again, and when: where another training may most change which is best."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from nas.algorithms import Proposal
from nas.config.settings import RepeatSettings
from nas.runs.ranking import is_scored
from nas.runs.repeats import REPEAT, Posterior, errors_of, posterior
from nas.runs.trial import Trial

Floats = NDArray[np.float64]


def is_due(settings: RepeatSettings, asked: int, budget: int) -> bool:
    """Whether the next candidate of a search is to be a repeat: the last ones of its trials are.

    Args:
        asked: candidates so far.
        budget: trials of the search.
    """
    return budget - asked <= settings.trials


def next_repeat(settings: RepeatSettings, trials: Sequence[Trial], running: Mapping[str, int]) -> Proposal | None:
    """Propose to train again one of the `top` best architectures.

    Args:
        trials: finished ones, of any status, in the order of the log.
        running: trainings in flight, by arch_id.
    Returns: the proposal, or None while fewer than two architectures are scored.
    """
    scored = [trial for trial in trials if is_scored(trial)]
    if len({trial.arch_id for trial in scored}) < 2:
        return None
    ids, rewards = [trial.arch_id for trial in scored], [trial.reward or 0.0 for trial in scored]
    found = posterior(ids, rewards, errors_of(scored))
    begun = Counter(trial.arch_id for trial in trials) + Counter(running)
    unknown = np.array([begun[each] for each in found.architectures]) - found.trainings  # in flight, or failed
    chosen = found.architectures[most_telling(found, settings.top, unknown)]
    architecture = next(trial.architecture for trial in trials if trial.arch_id == chosen)
    return Proposal(architecture, REPEAT, (chosen,), {"repeat": begun[chosen]})


def most_telling(found: Posterior, top: int, unknown: NDArray[np.int64]) -> int:
    """Give which architecture's next training is expected to raise the highest posterior mean by most.

    That is the knowledge gradient: what is gained is nothing where the training leaves the same one best.

    Args:
        top: only so many of the best are looked at.
        unknown: (A,): trainings of each that make one more tell less, though no reward of theirs is known.
    Source: Frazier, Powell and Dayanik, SIAM J. Control Optim. 47 (2008), 2410-2439.
    """
    order = np.argsort(-found.mean, kind="stable")
    rival = np.full(len(order), found.mean[order[0]])
    rival[order[0]] = found.mean[order[1]]
    noise = max(found.noise, _LEAST) ** 2
    variance = 1 / (1 / np.maximum(found.std, _LEAST) ** 2 + unknown / noise)
    moves = variance / np.sqrt(variance + noise)  # standard deviation of the mean that the training will leave
    looked_at = order[:top]
    gains = _log_gain(-np.abs(found.mean - rival) / moves) + np.log(moves)
    return int(looked_at[np.argmax(gains[looked_at])])


def _log_gain(z: Floats) -> Floats:
    """Logarithm of the mean of what a standard normal number exceeds -z by, for z <= 0; it never comes to -inf."""
    density = -(z**2) / 2 - math.log(math.sqrt(2 * math.pi))
    near = np.maximum(z, _FAR)
    exact = np.log(np.exp(-(near**2) / 2) / math.sqrt(2 * math.pi) + near * ndtr(near))
    return np.asarray(np.where(z > _FAR, exact, density - 2 * np.log(np.maximum(-z, 1.0))))


_FAR = -20.0
_LEAST = 1e-12
