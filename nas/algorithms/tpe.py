"""Tree-structured Parzen estimator, by Optuna's ask and tell. The only file that imports Optuna (extra `algorithms`).

Source: Bergstra et al. 2011; Watanabe 2023 (arXiv:2304.11127).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.algorithms.algorithm import Algorithm, Proposal, check_settings
from nas.algorithms.outlook import worth
from nas.runs.trial import Trial
from search_space.architecture import Architecture
from search_space.space import SearchSpace


@dataclass(frozen=True)
class TPESettings:
    """Of Optuna's TPESampler."""

    startup: int = 10  # random trials at the start, [1, 1e6]
    candidates: int = 24  # draws from the good density of which the best is proposed, [1, 1e5]
    multivariate: bool = True  # whether decisions are modelled together

    def __post_init__(self) -> None:
        check_settings(startup=(self.startup, 1, 10**6), candidates=(self.candidates, 1, 10**5))


class TPE(Algorithm):
    """Optuna's TPESampler over categorical decisions; what is in flight counts as poor (its constant liar).

    Raises: ValueError for a setting out of range, or if Optuna is not installed.
    """

    name = "tpe"
    Settings = TPESettings
    settings: TPESettings

    def __init__(self, space: SearchSpace, seed: int = 0, **settings: Any) -> None:
        super().__init__(space, seed, **settings)
        try:
            import optuna
        except ImportError:
            raise ValueError("algorithm 'tpe' needs Optuna: pip install 'training-aware-nas[algorithms]'") from None
        self.optuna = optuna
        self.options = {
            "n_startup_trials": self.settings.startup,
            "n_ei_candidates": self.settings.candidates,
            "multivariate": self.settings.multivariate,
        }
        lengths = {d.name: len(d.choices) for d in space.decisions}
        self.distributions = {
            name: optuna.distributions.CategoricalDistribution(list(range(lengths[name]))) for name in sorted(lengths)
        }
        self.sampler = _sampler(optuna, self.distributions)
        self.worths: dict[str, tuple[Architecture, float]] = {}  # by arch_id, in the order told: what Optuna looks at
        self.study = self._new_study()

    def _new_study(self) -> Any:
        with quiet(self.optuna):
            sampler = self.optuna.samplers.RandomSampler(seed=0)
            study = self.optuna.create_study(direction="maximize", sampler=sampler)
            done = self.optuna.trial.TrialState.COMPLETE
            study.add_trials(
                [self._record(architecture, done, reward) for architecture, reward in self.worths.values()]
            )
        return study

    def _propose(self, rng: np.random.Generator) -> Proposal:
        states = self.optuna.trial.TrialState
        with warnings.catch_warnings(), quiet(self.optuna):
            warnings.simplefilter("ignore", self.optuna.exceptions.ExperimentalWarning)
            # A fresh generator for each proposal: the sampler's own would depend on what was asked before.
            if len(self.study.get_trials(deepcopy=False)) >= 2 * _MOST:  # of dead ones, which cost time, too
                self.study = self._new_study()
            self.study.sampler = self.sampler(seed=int(rng.integers(2**31)), constant_liar=True, **self.options)
            for proposal in self.pending.values():
                self.study.add_trial(self._record(proposal.architecture, states.RUNNING))
            running = list(self.study.get_trials(deepcopy=False, states=(states.RUNNING,)))
            asked = self.study.ask(self.distributions)
            # Failed ones are not looked at again, so the order of completed ones is all the state there is.
            for trial in (*running, asked):
                self.study.tell(trial.number, state=states.FAIL)
        code = np.array([asked.params[d.name] for d in self.space.decisions], dtype=np.int64)
        code = self.space.canonical(code[None])[0]
        if not self.space.allowed(code[None])[0]:
            return Proposal(self.space.sample(rng), "tpe.random")
        architecture = self.space.decode(code)
        if architecture.arch_id in self.seen:
            # Its densities peak where it has been; asking it again costs as much and mostly says the same.
            return Proposal(self._mutated(architecture, rng), "tpe.mutation", (architecture.arch_id,))
        return Proposal(architecture, "tpe")

    def _mutated(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """A random walk from the architecture to the first one not seen, of 100 steps at most."""
        for _ in range(100):
            architecture = self.space.mutate(architecture, rng)
            if architecture.arch_id not in self.seen:
                break
        return architecture

    def _learn(self, trial: Trial) -> None:
        reward = worth(trial)
        if reward is None:
            return
        self.worths[trial.arch_id] = trial.architecture, reward
        if len(self.worths) >= _MOST:
            self._thin()
            self.study = self._new_study()
            return
        with quiet(self.optuna):
            done = self.optuna.trial.TrialState.COMPLETE
            self.study.add_trial(self._record(trial.architecture, done, reward))

    def _learn_again(self, trial: Trial, mean: Trial) -> None:
        """Optuna's trials cannot be changed: all are told to a new study, in the same order."""
        self.worths[mean.arch_id] = mean.architecture, float(mean.reward or 0.0)
        self.study = self._new_study()

    def _thin(self) -> None:
        """Leave the best, of which Optuna makes the density of good ones, and every second of the others."""
        best = set(sorted(self.worths, key=lambda arch_id: -self.worths[arch_id][1])[:_GOOD])
        kept = best | {*[arch_id for arch_id in self.worths if arch_id not in best][1::2]}
        self.worths = {arch_id: known for arch_id, known in self.worths.items() if arch_id in kept}

    def _record(self, architecture: Architecture, state: Any, value: float | None = None) -> Any:
        choices = self.space.encode(architecture).tolist()
        params = {d.name: choice for d, choice in zip(self.space.decisions, choices, strict=True)}
        return self.optuna.trial.create_trial(state=state, value=value, params=params, distributions=self.distributions)


_MOST = 800  # trials that Optuna looks at: its cost grows with them
_GOOD = 50  # it takes at most 25 for good ones


def _sampler(optuna: Any, distributions: dict[str, Any]) -> Any:
    """Optuna's sampler, told what is searched: to find that out it compares all distributions of all trials."""

    class Told(optuna.samplers.TPESampler):  # type: ignore[misc]
        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return distributions

    return Told


@contextmanager
def quiet(optuna: Any) -> Iterator[None]:
    """Keep Optuna from reporting every trial: the trial log does."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
