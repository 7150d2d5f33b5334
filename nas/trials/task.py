"""What a worker is given: the candidate, and what all trials of a search share. No torch: it is read before torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from nas.algorithms import Proposal
from nas.data.settings import AugmentSettings, DataSettings
from nas.measure.settings import StepTimeSettings
from nas.seeds import SEEDING
from nas.training.settings import ExecutionSettings, TrainSettings
from nas.trials.scoring import RewardSettings
from search_space.architecture import Architecture

if TYPE_CHECKING:
    from nas.data.prepare import Prepared


@dataclass(frozen=True)
class Task:
    """Settings of every trial; evaluators of your own get it, too."""

    data: DataSettings
    augment: AugmentSettings
    training: TrainSettings
    execution: ExecutionSettings
    step_time: StepTimeSettings
    reward: RewardSettings
    reference: Architecture
    image_size: int
    device: str
    threads: int  # of the CPU, for this worker, unless `execution` says how many
    time_limit_s: float | None  # of timing and training together
    device_share: float  # of a device (a GPU, else a core) that a trial holds
    seeding: int = SEEDING  # how streams are drawn from a trial's seed; see nas/seeds.py
    measure: tuple[str, ...] = ()  # what else is measured: keys of MEASURERS, or module:function
    timing_only: bool = False  # whether the candidate is timed and not trained: see `search.time_first`
    timed: Mapping[str, Any] | None = None  # fields of its timing, where it was timed before; None = it was not
    prepared: Prepared | None = None  # the data set, as it lies on the driver's host; None = not prepared yet


class Candidate(NamedTuple):
    """A proposal with its number; `attempt` counts its starts from 1."""

    trial_id: int  # trials count from 0 up, timings of architectures that are not trained yet from -1 down
    proposal: Proposal
    seed: int
    attempt: int
    timed: Mapping[str, Any] | None = None  # fields of its timing, of one that was timed before it is trained

    @property
    def timing_only(self) -> bool:
        """Whether it is timed and not trained."""
        return is_timing(self.trial_id)


def is_timing(trial_id: int) -> bool:
    """Whether a candidate of this number is timed and not trained."""
    return trial_id < 0
