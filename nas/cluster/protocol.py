"""What the process of the search and the process that talks to Ray have to say to each other. No ray.

Ray and Ray Tune take more than a second to import: what the search's process needs is here.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from nas.cluster.share import Share
from nas.runs.trial import Trial
from nas.trials.task import Candidate


class Ask(Protocol):
    """What a function in Ray's process has to do with the process that called it."""

    def __call__(self, what: str, *question: Any) -> Any:
        """Ask for something, and wait for the answer."""

    def tell(self, what: str, *content: Any) -> None:
        """Tell something, in order with what is asked, without waiting; what it raises there ends the call there."""


OUTPUT = "output"  # in the folder of temporary files: what Ray has printed before there was a run folder


class NoRay(ValueError):
    """Ray is not to be had: there is none at the address, or it refuses."""


class RayLate(NoRay):
    """Ray gave up its own start: a busy machine was slower than it waits."""


class RayFailed(RuntimeError):
    """Ray failed, or the process that talks to it ended."""


class Stopped(Exception):
    """The search was told to stop by a signal; its number is `signum`."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum

    def __str__(self) -> str:
        return f"stopped by signal {self.signum}"


@dataclass(frozen=True)
class Setup:
    """What Ray's process needs to be like the one that started it."""

    address: str | None  # of a cluster; None: start Ray here
    folder: Path  # for temporary files
    path: tuple[str, ...]  # where modules are found
    arguments: tuple[str, ...]
    main: str | None  # the script that runs there: Ray lets workers import what lies beside it


@dataclass(frozen=True)
class Job:
    """What all candidates of a search are evaluated with. The task is pickled: what it holds may be a plug-in's."""

    task: bytes
    plugins: tuple[str, ...]
    evaluator: str  # module:function
    epochs: int  # of a training; the last one is no report, for the answer follows at once
    time_limit_s: float | None
    reports: bool  # whether somebody wants to hear of epochs
    packages: tuple[str, ...] = ()  # of the user's, which must be the same everywhere
    fingerprint: str | None = None  # of the data on the driver
    many_hosts: bool = False  # whether there are others, where a candidate may do what fails here

    @classmethod
    def of(cls, task: Any, **settings: Any) -> Job:
        """Make a job of a task that is not pickled yet."""
        return cls(task=pickle.dumps(task), **settings)


@dataclass(frozen=True)
class Event:
    """Something that happened, for whoever listens."""

    kind: Literal["started", "epoch", "finished", "died"]
    candidate: Candidate
    trial: Trial | None = None  # of `finished`; of `epoch` as far as it is known


class Candidates(Protocol):
    """Where candidates come from and answers go: the ledger of a search."""

    @property
    def done(self) -> bool:
        """Whether every candidate is answered and no more will come."""

    def next_candidate(self) -> Candidate | None:
        """Give the next candidate to start; None: none now."""

    def finish(self, trial_id: int, outcome: Trial) -> Trial | None:
        """Take what became of a candidate; None if that is known already."""

    def died(self, trial_id: int, reason: str, *, timed_out: bool, lost: bool, out_of_memory: bool) -> Trial | None:
        """Take that a candidate's process (or, `lost`, what it ran on) went away; give the trial if that ends it."""

    def stop(self) -> None:
        """Take that nothing runs any more."""


class Source(Protocol):
    """The candidates of a search, as Ray's process knows them: who listens is told by the other one."""

    @property
    def done(self) -> bool:
        """Whether every candidate is answered and no more will come."""

    def next_candidate(self) -> Candidate | None:
        """Give the next candidate to start; None: none now. Raises what was raised by anything told before."""

    def began(self, trial_id: int) -> None:
        """Take that a process has begun with a candidate."""

    def so_far(self, trial_id: int, trial: Trial) -> None:
        """Take what is known of a candidate after an epoch."""

    def finish(self, trial_id: int, outcome: Trial) -> None:
        """Take what became of a candidate."""

    def died(self, trial_id: int, reason: str, *, timed_out: bool, lost: bool, out_of_memory: bool) -> bool:
        """Take that a candidate's process (or, `lost`, what it ran on) went away; say whether that ends it."""

    def stop(self) -> None:
        """Take that nothing runs any more."""


# Gives the reason to stop the candidate of a number, of which this much is known, or None.
Judge = Callable[[int, Trial], str | None]


@dataclass(frozen=True)
class Aside:
    """What is remembered of a node that is set aside while it, or Ray here, is away."""

    id: str
    host: str
    reason: str
    faults: int  # since a trial was answered there
    again_at: float  # when it is checked, by time.monotonic, which all processes of a machine share


@dataclass(frozen=True)
class Engine:
    """How candidates are run."""

    share: Share  # of each trial
    workers: int | None = None  # trials at once; None = as many as fit
    fresh_process: bool | None = None  # a new process per trial; None = on GPUs only
    max_hours: float | None = None  # no candidate is started later
    address: str | None = None  # of the cluster; None = this machine
    judge: Judge | None = None  # stops single trials
    proven: bool = False  # whether a trial has finished: then nodes that all are at fault for now are waited for
    aside: tuple[Aside, ...] = ()  # nodes that were set aside before Ray was started again
