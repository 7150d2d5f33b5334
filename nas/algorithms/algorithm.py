"""The interface of every search algorithm: ask for an architecture, tell what became of it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import numpy as np

from nas.algorithms.known_reward import TOLD_AS, KnownReward
from nas.algorithms.learner import RewardLearner
from nas.algorithms.outlook import Outlook
from nas.runs.ranking import is_scored
from nas.runs.repeats import is_repeat, mean_of
from nas.runs.trial import Trial
from search_space.architecture import Architecture
from search_space.lookup import with_hint
from search_space.space import Infeasible, SearchSpace
from search_space.typed import type_hints, typed

logger = logging.getLogger(__name__)


class Exhausted(Exception):
    """Every architecture of the space has been proposed."""


@dataclass(frozen=True)
class Proposal:
    """A candidate and how it came about."""

    architecture: Architecture
    proposed_by: str  # the algorithm, or the part of it, such as `evolution.random`
    parents: tuple[str, ...] = ()  # arch_ids
    notes: Mapping[str, Any] = field(
        default_factory=dict
    )  # JSON the algorithm wants back with the trial, as `proposal`


def as_proposed(trial: Trial) -> Proposal:
    """Give the proposal that a trial came of."""
    return Proposal(trial.architecture, trial.proposed_by, trial.parents, trial.proposal)


@dataclass(frozen=True)
class NoSettings:
    """Of an algorithm that has none."""


class Algorithm(ABC):
    """Proposes candidates and learns from trials; any number may be in flight and come back in any order.

    All state follows from what was told and what is in flight: an algorithm that is told the same trials in the same
    order, and given the same pending proposals, asks the same next. So a search resumes from its log alone.

    An algorithm has a `name`, a frozen dataclass `Settings` of what a configuration may set, with a default each, and
    the two methods `_propose` and `_learn`. What cannot be written in YAML is a keyword argument of its `__init__`.

    Args:
        space: where candidates come from.
        seed: of every random choice, together with the number of proposals so far.
        settings: fields of `Settings`; their types are checked here, their ranges by the dataclass.
    Raises: ValueError that names the first setting which is not known, of another type or out of range.
    """

    name: str
    Settings: ClassVar[type[Any]] = NoSettings
    settings: Any  # an instance of Settings
    reward: KnownReward | None = None  # what the search scores by, if it says so and that can be predicted
    notes_winner = True  # False where nobody reads that note, as in a replay, and for what others are compared with

    def __init__(self, space: SearchSpace, seed: int = 0, **settings: Any) -> None:
        self.space, self.seed = space, seed
        self.settings = make_settings(type(self), settings)
        self.pending: dict[str, Proposal] = {}  # by arch_id, in the order asked
        self.seen: set[str] = set()
        self.told = 0
        self.timed = 0  # timings told
        self.trained: dict[str, list[Trial]] = {}  # scored trials of each architecture, by arch_id
        self.outlook = Outlook()
        self._reward_learner = RewardLearner(space)

    def ask(self) -> Proposal:
        """Propose a candidate, which is pending until it is told.

        Raises: Exhausted if every architecture was proposed before; Infeasible as `space.sample` does.
        """
        rng = np.random.default_rng((self.seed, self.told + self.timed + len(self.pending)))
        proposal = self._new(rng) or self._unseen(rng)
        proposal = self._with_winner(proposal)
        self.assume(proposal)
        return proposal

    def _with_winner(self, proposal: Proposal) -> Proposal:
        """Note beside an algorithm's own notes which architecture the search would choose by now.

        A note that cannot be made is said once, and ends no search.
        """
        if not self.notes_winner:
            return proposal
        try:
            notes = self._learner().notes_now_and_then(self.space.encode(proposal.architecture))
        except Exception:
            self.notes_winner = False
            said = "%s: no model can be made of the trials; the best is what looks best"
            logger.warning(said, self.name, exc_info=True)
            return proposal
        if notes.keys() & proposal.notes.keys():  # an algorithm's own, of whatever unit
            return proposal
        return replace(proposal, notes={**proposal.notes, **notes})

    def _learner(self) -> RewardLearner:
        """What was told, as a model learns it."""
        learner = self._reward_learner
        learner.reward = self.reward if isinstance(self.reward, KnownReward) else None
        return learner

    def _new(self, rng: np.random.Generator) -> Proposal | None:
        """The algorithm's own proposal, or None if it keeps to what was seen or finds nothing to change."""
        for _ in range(_TRIES):
            try:
                proposal = self._propose(rng)
            except Infeasible:
                return None
            if not isinstance(proposal, Proposal):
                raise TypeError(f"{type(self).__name__}._propose must return a Proposal, got {proposal!r}")
            if proposal.architecture.arch_id not in self.seen:
                return proposal
        return None

    def assume(self, proposal: Proposal) -> None:
        """Take a proposal as asked and in flight: how a resumed search hands back what was running."""
        self.pending[proposal.architecture.arch_id] = proposal
        self.seen.add(proposal.architecture.arch_id)

    def tell(self, trial: Trial) -> None:
        """Learn from a finished trial of any status, asked here or not (a log replayed, an earlier search, a repeat).

        Raises: ValueError naming the first field that is not a choice of the space; `compatible` asks beforehand.
        """
        self.space.encode(trial.architecture)
        self.pending.pop(trial.arch_id, None)
        self.seen.add(trial.arch_id)
        self.told += 1
        self.outlook.tell(trial)
        earlier = self.trained.get(trial.arch_id)
        if is_scored(trial):
            self.trained[trial.arch_id] = [*(earlier or ()), trial]
        if earlier is None or not is_repeat(trial):
            completed = self.outlook.completed(trial)
            self._reward_learner.learn(completed)
            self._learn(completed)
        elif is_scored(trial):  # a repeat without a result says nothing new
            self._reward_learner.learn(trial)
            self._learn_again(trial, mean_of(self.trained[trial.arch_id]))

    def tell_timing(self, timing: Trial) -> None:
        """Take in that an architecture was timed before it is decided whether it is trained; it is in flight no more.

        Args:
            timing: `timed`, or of the status that says why it could not be.
        Raises: ValueError as `tell` does.
        """
        self.space.encode(timing.architecture)
        self.pending.pop(timing.arch_id, None)
        self.seen.add(timing.arch_id)
        self.timed += 1
        self._learn_timing(timing)

    def choose(self, timings: Sequence[Trial]) -> Proposal:
        """Propose for training one of the architectures that were timed; it is in flight again.

        Args:
            timings: those to choose from, `timed` all of them and told; at least one, in the order proposed.
        Returns: one of these, or one of earlier timings that was not trained.
        """
        proposal = self._choose(timings)
        self.assume(proposal)
        return proposal

    @abstractmethod
    def _propose(self, rng: np.random.Generator) -> Proposal:
        """Propose a candidate; may be one already seen, then it is asked again."""

    @abstractmethod
    def _learn(self, trial: Trial) -> None:
        """Take in a finished trial of any status.

        One that was stopped early (`pruned`) has the reward and accuracy that it would have come to, where that is
        known; `worth` gives what counts of either kind.
        """

    def _learn_again(self, trial: Trial, mean: Trial) -> None:
        """Take in another training, under another seed, of an architecture that has a scored trial already.

        Args:
            trial: of this training, scored.
            mean: of all of them, with the standard error that this has; it takes the place of what was learned.
        """
        self._learn(mean)

    def _learn_timing(self, timing: Trial) -> None:  # noqa: B027  most have no use for it
        """Take in a timing; who has no use for it leaves it."""

    def _choose(self, timings: Sequence[Trial]) -> Proposal:
        """Choose as `choose` says: what has the highest reward if all are as accurate as those trained are at the mean.

        The first where that is not known: before a trial is scored, or where the reward reads anything else.
        """
        return as_proposed(timings[self._worthiest(timings)])

    def _worthiest(self, timings: Sequence[Trial]) -> int:
        accuracies = [one.accuracy for trials in self.trained.values() for one in trials if one.accuracy is not None]
        if self.reward is None or not accuracies:
            return 0
        read = [name for name in self.reward.reads if name in TOLD_AS]
        costs = {name: [getattr(each, TOLD_AS[name]) for each in timings] for name in read}
        if any(None in column for column in costs.values()):
            return 0
        known = {name: np.array(column, dtype=np.float64) for name, column in costs.items()}
        rewards = self.reward.of({"accuracy": np.full(len(timings), np.mean(accuracies))} | known)
        return int(np.argmax(np.where(np.isnan(rewards), -np.inf, rewards)))

    def _unseen(self, rng: np.random.Generator) -> Proposal:
        for _ in range(_TRIES):
            architecture = self.space.sample(rng)
            if architecture.arch_id not in self.seen:
                return Proposal(architecture, f"{self.name}.random")
        if self.space.size <= _ENUMERABLE:
            left = [a for a in self.space if a.arch_id not in self.seen]
            if left:
                return Proposal(left[rng.integers(len(left))], f"{self.name}.random")
        raise Exhausted(f"all architectures of the space were proposed ({len(self.seen)})")


def compatible(space: SearchSpace, architecture: Architecture) -> bool:
    """Whether trials of this architecture may be told to a search over `space`: every field is one of its choices.

    So it is for all of an earlier search over the same space or a narrower one. Constraints do not count: what was
    measured outside them teaches too.
    """
    try:
        space.encode(architecture)
    except ValueError:
        return False
    return True


def make_settings(algorithm: type[Algorithm], given: Mapping[str, Any]) -> Any:
    """Give an algorithm's `Settings`, with defaults for what is not given; lists may stand for tuples.

    Raises: ValueError that names the first setting which is not known, of another type or out of range.
    """
    known = [f.name for f in fields(algorithm.Settings) if f.init]
    for key in given:
        if key not in known:
            raise ValueError(f"unknown setting {with_hint(key, known)}")
    kinds = type_hints(algorithm.Settings, f"{algorithm.__name__}.Settings")
    return algorithm.Settings(**{key: typed(key, kinds[key], value) for key, value in given.items()})


def check_settings(**bounds: tuple[float, float, float]) -> None:
    """Raise a ValueError naming the first setting, given as (value, lowest, highest), that is outside its bounds."""
    for name, (value, low, high) in bounds.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} must be a number, got {value!r}")
        if not low <= value <= high:
            raise ValueError(f"{name} must be in [{low:g}, {high:g}], got {value!r}")


_TRIES = 50
_ENUMERABLE = 200_000

__all__ = [
    "Algorithm",
    "Exhausted",
    "Infeasible",
    "NoSettings",
    "Proposal",
    "check_settings",
    "compatible",
    "make_settings",
]
