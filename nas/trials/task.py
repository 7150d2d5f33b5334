"""What all trials of a search share. No torch, so that it reaches a worker before torch does."""

from __future__ import annotations

from dataclasses import dataclass

from nas.data.settings import AugmentSettings, DataSettings
from nas.measure.settings import StepTimeSettings
from nas.search.settings import RewardSettings
from nas.training.settings import ExecutionSettings, TrainSettings
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
    git_commit: str | None
