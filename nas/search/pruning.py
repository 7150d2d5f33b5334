"""When a trial is stopped because it can no longer win. No ray."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nas.algorithms.bound import CurveBound, bound, needed_accuracy
from nas.algorithms.halving import Halving
from nas.config.settings import SearchSettings
from nas.runs.ranking import ranked
from nas.runs.repeats import is_repeat
from nas.runs.trial import Trial

NEEDED = ("s_normalised", "p_normalised", "w", "v")  # what a bound needs of every trial

# Of a candidate's number and what its trial would be if it ended now: why it is to be stopped, or None.
Judge = Callable[[int, Trial], str | None]


def make_judge(
    settings: SearchSettings,
    epochs: int,
    trials: Sequence[Trial],
    *,
    eval_every: int = 1,
    spared: Callable[[int], bool] = lambda number: False,
) -> Judge | None:
    """Give what says whether a trial in training is to be stopped; None if none is.

    Args:
        epochs, eval_every: of every training.
        trials: finished so far; the sequence may grow.
        spared: whether the trial of a number is not to be stopped, nor compared with: of repeats the lucky ones alone
            would be left, and they are of the best.
    Raises: ValueError if trainings are too short, or evaluated too seldom, to save anything, or not at `prune_epochs`.
    """
    if settings.prune == "asha":
        halving = Halving(epochs, eval_every, settings.prune_epochs)
        for trial in trials:  # of before this search was stopped or killed
            if not is_repeat(trial):
                halving.tell(trial.trial_id, tuple(trial.curve))
        return lambda number, so_far: None if spared(number) else halving.verdict(number, so_far.curve)
    if settings.prune == "bound":
        return BoundJudge(trials, settings.prune_top, settings.prune_confidence, spared)
    return None


class BoundJudge:
    """Stops what will not be among the `k` best, however its accuracy goes on.

    Args:
        trials: finished so far; the sequence may grow.
        confidence: share of the trainings that stay below all their bounds.
        spared: whether the trial of a number is not to be stopped.
    """

    def __init__(self, trials: Sequence[Trial], k: int, confidence: float, spared: Callable[[int], bool]) -> None:
        self.trials, self.k, self.spared = trials, k, spared
        self.curves = CurveBound(confidence)
        self.known = 0
        self.best: list[Trial] = []  # the k best of those known

    def __call__(self, number: int, so_far: Trial) -> str | None:
        """Say why the trial will not be among the best, or give None if it still may.

        Raises: ValueError if it has no step time, size or exponents, without which there is no bound.
        """
        if self.spared(number):
            return None
        s, p, w, v = so_far.s_normalised, so_far.p_normalised, so_far.w, so_far.v
        if s is None or p is None or w is None or v is None:
            lacking = [name for name in NEEDED if getattr(so_far, name) is None]
            raise ValueError(
                f"search.prune bound needs {', '.join(NEEDED)} of every trial, but no {lacking[0]} is reported"
            )
        self._learn()
        needed = needed_accuracy(self.best, s, p, k=self.k, w=w, v=v)
        verdict = bound(self.curves.optimistic(so_far.curve), needed)
        if not verdict.hopeless:
            return None
        return (
            f"stopped after epoch {len(so_far.curve)}: accuracy at most {verdict.optimistic_accuracy:.4f}, "
            f"but {needed:.4f} is needed for the best {self.k}"
        )

    def _learn(self) -> None:
        for trial in self.trials[self.known :]:
            self.curves.tell(trial)
            if not is_repeat(trial):  # of the k best no two are one architecture
                self.best = ranked([*self.best, trial])[: self.k]
            self.known += 1
