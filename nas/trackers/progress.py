"""How far a search or a training is, in numbers and as a line of text: what a display shows, wherever that is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from nas.runs.advice import AHEAD, Advisor
from nas.runs.chosen import WINNER
from nas.runs.objectives import Front, objectives_of
from nas.runs.ranking import estimate_of, score
from nas.runs.repeats import Estimate, is_repeat
from nas.runs.text import duration
from nas.runs.trial import Trial
from nas.trackers.callback import SearchInfo, TrainingInfo

Clock = Callable[[], float]


class SearchProgress:
    """Trials by status, the best reward so far (of several objectives the front), workers busy and the time left.

    Args:
        search: as it begins; its trials count as done.
        clock: seconds.
    """

    def __init__(self, search: SearchInfo, clock: Clock = time.monotonic) -> None:
        self.total, self.slots, self.clock = search.budget, search.workers, clock
        self.statuses: Counter[str] = Counter()
        self.best: Trial | None = None  # of highest reward
        self.scored: list[Trial] = []
        self.estimate: Estimate | None = None  # of the best architecture, once more is known than single rewards
        self.front = Front(objectives) if (objectives := objectives_of(search.config)) else None
        self.advisor = Advisor()
        self.running: set[int] = set()
        self.timed = 0  # since it began
        for trial in search.trials:
            self.count(trial)
        self.began, self.done_before = clock(), self.done

    @property
    def done(self) -> int:
        """Finished trials."""
        return self.statuses.total()

    def count(self, trial: Trial) -> None:
        """Take a finished trial."""
        self.running.discard(trial.trial_id)
        self.statuses[trial.status] += 1
        if self.front is not None:
            self.front.count(trial)
        else:
            self.advisor.count(trial)
        reward, highest = score(trial), None if self.best is None else score(self.best)
        if reward is not None and (highest is None or reward > highest):
            self.best = trial
        if reward is not None:
            self.scored.append(trial)
            every = max(1, self.done // 100)  # what is computed from all of them costs a constant amount a trial
            if is_repeat(trial) or ((self.estimate or WINNER in trial.proposal) and self.done % every == 0):
                self.estimate = estimate_of(self.scored)

    def look(self) -> tuple[float, str]:
        """Give the trials done, and the line."""
        parts = [f"{self.done}/{self.total} ok {self.statuses['ok']}"]
        parts += [f"{status} {n}" for status, n in sorted(self.statuses.items()) if status != "ok"]
        if self.front is not None:  # of several objectives no trial is the best
            parts += filter(None, [self.front.look()])
        elif self.best is not None:
            seen = f"{self.best.reward:.4f} (trial {self.best.trial_id})"
            mean = self.estimate and f"{self.estimate.mean:.4f} ±{self.estimate.std:.4f}, seen "
            parts.append(f"best {mean or ''}{seen}")
            if advice := self.advisor.look():
                known = "" if advice.best_sd is None else f" of ±{advice.best_sd:.4f}"
                parts.append(f"{AHEAD} more +{advice.expected_gain:.4f}{known}")
        parts += [f"timed {self.timed}"] if self.timed else []
        parts.append(f"busy {len(self.running)}/{self.slots}")
        if not (self.running or self.timed) and self.done < self.total:
            parts.append("waiting for a worker")
        new, elapsed = self.done - self.done_before, self.clock() - self.began
        if new and self.done < self.total:
            parts.append(f"ETA {duration(elapsed / new * (self.total - self.done))}")
        return self.done, ", ".join([*parts, duration(elapsed)])


class TrainProgress:
    """Epochs and steps done, the last epoch's numbers and the time left.

    The time left counts pixels: an epoch of twice the image size takes four times as long.

    Args:
        training: as it begins; its curve counts as done.
        clock: seconds.
    """

    def __init__(self, training: TrainingInfo, clock: Clock = time.monotonic) -> None:
        self.clock, self.steps, self.done = clock, training.steps, len(training.curve)
        self.work = [size**2 for size in training.image_sizes]  # of each epoch
        self.state, self.step = "", 0
        self.began, self.before = clock(), self._worked()
        self.first_step: float | None = None  # when; what comes before it says nothing of the rest

    @property
    def total(self) -> float:
        """Work in all."""
        return sum(self.work)

    def count_step(self) -> None:
        """Take a step that begins."""
        self.step += 1
        self._started(0.0)

    def count(self, epoch: Mapping[str, Any]) -> None:
        """Take an epoch that is done, the fields of EpochResult."""
        self.done, self.step = epoch["epoch"] + 1, 0
        self._started(epoch["seconds"])
        accuracy = "" if epoch["accuracy"] is None else f", accuracy {epoch['accuracy']:.4f}"
        self.state = f"train loss {epoch['train_loss']:.4f}{accuracy}, {epoch['image_size']} px"

    def look(self) -> tuple[float, str]:
        """Give the work done, and the line."""
        elapsed, worked = self.clock() - self.began, self._worked()
        parts = [f"epoch {self.done}/{len(self.work)}", self.state]
        if self.first_step is not None and sum(self.work[: self.done]) > self.before and self.done < len(self.work):
            rate = (worked - self.before) / (self.clock() - self.first_step)
            parts.append(f"ETA {duration((self.total - worked) / rate)}")
        return worked, ", ".join(part for part in (*parts, duration(elapsed)) if part)

    def _started(self, ago_s: float) -> None:
        if self.first_step is None:
            self.first_step = self.clock() - ago_s

    def _worked(self) -> float:
        """Work done: of whole epochs, and of the steps of this one."""
        whole = sum(self.work[: self.done])
        if self.done == len(self.work):
            return whole
        return whole + self.work[self.done] * min(1.0, self.step / self.steps[self.done])
