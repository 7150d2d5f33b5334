"""What a search or a full training tells those who listen, and how it tells them."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_space.lookup import describe

if TYPE_CHECKING:
    from nas.algorithms import Proposal
    from nas.runs.trial import Trial

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchInfo:
    """A search as it stands."""

    folder: Path  # the run folder
    run_id: str
    config: Mapping[str, Any]  # resolved, plain data
    trials: Sequence[Trial]  # finished, in the order they ended; when a search begins, those from before
    budget: int  # finished trials at which the search ends
    workers: int  # trials at once
    state: str  # running, finished, stopped (by a signal), out of time, failed (by an error, which follows)


@dataclass(frozen=True)
class TrainingInfo:
    """A full training as it begins or goes on."""

    folder: Path
    run_id: str  # kept when the training goes on
    config: Mapping[str, Any]  # resolved, plain data
    curve: Sequence[Mapping[str, Any]]  # epochs done before, the fields of EpochResult
    epochs: int  # of the whole training
    image_sizes: Sequence[int]  # of each epoch, pixels
    steps: Sequence[int]  # of each epoch, updates
    device: str  # in words


@dataclass(frozen=True)
class TrainingEnd:
    """What became of a full training."""

    folder: Path
    status: str  # ok, nan, oom, timeout; failed: workers died too often
    error: str | None  # why, where the status is not ok
    epochs_done: int
    accuracy: float | None  # top-1 on minival of the final weights, [0, 1]
    loss: float | None  # on minival
    best_accuracy: float | None  # of the most accurate epoch, the first of equals
    best_epoch: int | None  # counted from 0
    test: Mapping[str, Any] | None  # how the weights asked for do on the test split, where any were

    def scored(self, *, test: bool) -> float | None:
        """Give the accuracy on the test split, or on minival; None where the training did not end well."""
        accuracy: float | None = (self.test or {}).get("accuracy") if test else self.accuracy
        return accuracy if self.status == "ok" else None


class Callback:
    """Listens to a search or a full training: override what you need, the rest does nothing.

    Called in the process that drives: the command's, or your script's; never in a worker, also where several workers
    train. One call at a time, in the order of things:

        search:    on_search_begin, then for each trial on_trial_begin, on_epoch ..., on_trial_end, then on_search_end.
                   Where candidates are timed first, on_timing comes in between, for each of them.
                   Trials that run side by side take turns. One whose process died is told by `on_trial_lost`; it begins
                   anew, or ends with a status that says so.
        training:  on_train_begin, on_step and on_epoch ..., on_train_end.

    `on_message` may come at any time. An end follows every begin, also after an error or a signal (but not after a
    `kill -9`). A search or training that goes on begins again with what was done before in `trials` or `curve`. It
    tells nothing of these a second time, so a callback that keeps something elsewhere makes it agree with them when it
    begins.

    While a callback works the driver waits: no candidate is started. So be quick, or hand the work to a thread. Trials
    are on disk before callbacks hear of them: what a callback raises is logged as a warning and harms neither the log
    nor other callbacks. Nothing of the run may be changed here; all that is given is to be read.
    """

    live = True  # whether on_epoch is for a search's trials while they run; else the curve in on_trial_end is enough
    alone = False  # whether one of its class is enough: of several the last hears

    def on_message(self, text: str) -> None:
        """Take a line worth telling the user, such as `starting Ray`."""

    def on_search_begin(self, search: SearchInfo) -> None:
        """Take that a search begins, or goes on."""

    def on_timing(self, timing: Trial) -> None:
        """Take that a candidate was timed, of which it is not decided whether it is trained; see search.time_first."""

    def on_trial_begin(self, trial_id: int, proposal: Proposal) -> None:
        """Take that a process begins with a candidate; again if it went away before."""

    def on_epoch(self, epoch: Mapping[str, Any], trial_id: int | None = None) -> None:
        """Take an epoch that is done.

        Args:
            epoch: the fields of EpochResult.
            trial_id: of a search's candidate; None in a full training. A trial begun anew repeats its epochs.
        """

    def on_trial_lost(self, trial_id: int) -> None:
        """Take that a candidate's process went away; it runs again or is answered."""

    def on_trial_end(self, trial: Trial) -> None:
        """Take a finished trial, of whatever status; its line is in the log."""

    def on_search_end(self, search: SearchInfo) -> None:
        """Take that the search is over, for now or for good: see its state."""

    def on_train_begin(self, training: TrainingInfo) -> None:
        """Take that a full training begins, or goes on."""

    def on_step(self) -> None:
        """Take that a step of a full training begins; not told where several workers train."""

    def on_train_end(self, training: TrainingInfo, result: TrainingEnd) -> None:
        """Take that a full training is over; after an error in it there is a result with status `failed`."""


class Callbacks(Callback):
    """Calls each of several callbacks, in order; what one raises is logged once and stops nobody.

    Args:
        each: the callbacks, those of the caller last: a display of theirs is in place of the configuration's.
    """

    def __init__(self, each: Iterable[Callback]) -> None:
        given = tuple(each)
        self.each = tuple(
            one
            for number, one in enumerate(given, start=1)
            if not (one.alone and any(type(later) is type(one) for later in given[number:]))
        )
        # While a search runs, what Ray prints goes to a file; what callbacks print does not.
        self._streams = sys.stdout, sys.stderr
        self._errors: Counter[tuple[int, str]] = Counter()  # by callback and method

    @property
    def wants_epochs(self) -> bool:
        """Whether anyone wants to hear of a running trial's epochs."""
        return any(one.live and type(one).on_epoch is not Callback.on_epoch for one in self.each)

    def on_message(self, text: str) -> None:
        """Tell each."""
        self._call("on_message", lambda one: one.on_message(text))

    def on_search_begin(self, search: SearchInfo) -> None:
        """Tell each."""
        self._call("on_search_begin", lambda one: one.on_search_begin(search))

    def on_timing(self, timing: Trial) -> None:
        """Tell each."""
        self._call("on_timing", lambda one: one.on_timing(timing))

    def on_trial_begin(self, trial_id: int, proposal: Proposal) -> None:
        """Tell each."""
        self._call("on_trial_begin", lambda one: one.on_trial_begin(trial_id, proposal))

    def on_epoch(self, epoch: Mapping[str, Any], trial_id: int | None = None) -> None:
        """Tell each; of a running trial only those who want that."""
        self._call("on_epoch", lambda one: one.on_epoch(epoch, trial_id) if one.live or trial_id is None else None)

    def on_trial_lost(self, trial_id: int) -> None:
        """Tell each."""
        self._call("on_trial_lost", lambda one: one.on_trial_lost(trial_id))

    def on_trial_end(self, trial: Trial) -> None:
        """Tell each."""
        self._call("on_trial_end", lambda one: one.on_trial_end(trial))

    def on_search_end(self, search: SearchInfo) -> None:
        """Tell each; then say what was not said of errors."""
        self._call("on_search_end", lambda one: one.on_search_end(search))
        self._say_repeated()

    def on_train_begin(self, training: TrainingInfo) -> None:
        """Tell each."""
        self._call("on_train_begin", lambda one: one.on_train_begin(training))

    def on_step(self) -> None:
        """Tell each."""
        self._call("on_step", lambda one: one.on_step())

    def on_train_end(self, training: TrainingInfo, result: TrainingEnd) -> None:
        """Tell each; then say what was not said of errors."""
        self._call("on_train_end", lambda one: one.on_train_end(training, result))
        self._say_repeated()

    def _call(self, method: str, call: Callable[[Callback], None]) -> None:
        with contextlib.redirect_stdout(self._streams[0]), contextlib.redirect_stderr(self._streams[1]):
            for number, one in enumerate(self.each):
                try:
                    call(one)
                except (Exception, SystemExit) as error:  # a user's or a tracker's fault is not the run's
                    self._errors[number, method] += 1
                    if self._errors[number, method] == 1:
                        logger.warning("callback %s.%s: %s", type(one).__name__, method, describe(error))

    def _say_repeated(self) -> None:
        for (number, method), count in self._errors.items():
            if count > 1:
                name = type(self.each[number]).__name__
                logger.warning("callback %s.%s raised %d times in all", name, method, count)
        self._errors.clear()
