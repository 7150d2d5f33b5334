"""What a worker is given: the candidate, and what all trials of a search share. No torch: it is read before torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from nas.algorithms import Proposal
from nas.data.settings import AugmentSettings, DataSettings
from nas.measure.settings import StepTimeSettings
from nas.seeds import SEEDING
from nas.training.settings import ExecutionSettings, TrainSettings
from nas.trials.scoring import RewardSettings
from search_space.architecture import Architecture


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


class Candidate(NamedTuple):
    """A proposal with its number; `attempt` counts its starts from 1."""

    trial_id: int
    proposal: Proposal
    seed: int
    attempt: int
