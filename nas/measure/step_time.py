"""The training step's time, beside the reference network's: the S of the reward."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from nas.measure.device_lock import DeviceLock
from nas.measure.settings import StepTimeSettings
from nas.measure.statistics import median_interval, quantile
from nas.training.settings import TrainSettings


class StepOutOfMemory(Exception):
    """Not even one image at a time fits into the device's memory."""


class Step(Protocol):
    """One training step of one network, as `nas.training.step` makes it."""

    def __call__(self, images: Tensor, labels: Tensor) -> object: ...
    def forward(self, images: Tensor, labels: Tensor) -> Tensor: ...
    def backward(self, loss: Tensor) -> None: ...
    def update(self) -> None: ...


@dataclass(frozen=True)
class StepTime:
    """What was measured of a candidate's training step and of the reference network's, interleaved with it."""

    ratio: float  # median over the pairs of candidate / reference: the reward's S; no unit
    ratio_low: float  # confidence interval of that median
    ratio_high: float
    ratio_p10: float
    ratio_p90: float
    step_time_s: float  # median of the candidate's step
    step_time_p10_s: float
    step_time_p90_s: float
    reference_step_time_s: float
    n: int  # pairs
    forward_s: float  # medians of the parts of the candidate's step
    backward_s: float
    update_s: float
    peak_memory_mb: float | None  # of the candidate's step; MiB
    batch_size: int
    micro_batch: int
    image_size: int
    precision: str
    memory_format: str
    device_name: str
    clock: str
    converged: bool  # whether the interval is as narrow as asked
    marks: tuple[str, ...] = ()  # what disturbed it, see MARKS


def step_time(
    candidate: nn.Module,
    reference: nn.Module,
    settings: StepTimeSettings,
    train_settings: TrainSettings,
    *,
    image_size: int,
    in_channels: int,
    num_classes: int,
    batch_size: int,
    device: torch.device,
    clock: Callable[[], float] | None = None,
) -> StepTime:
    """Time the candidate's training step, interleaved with the reference network's; both networks stay as they were.

    Args:
        candidate, reference: networks, (N, in_channels, image_size, image_size) -> (N, num_classes); copies are timed.
        train_settings: of the training whose step this is.
        image_size: height and width of the images, pixels; `settings.image_size` goes first.
        batch_size: images per step; `settings.batch_size` goes first.
        clock: seconds, for tests; default: the clock of the settings.
    Raises: StepOutOfMemory if not even one image fits.
    """
    from nas.training.step import make_step

    image_size, batch_size = settings.image_size or image_size, settings.batch_size or batch_size
    steps: list[Step] = [
        make_step(copy.deepcopy(network).to(device), train_settings, device=device, total_steps=10**6)
        for network in (candidate, reference)
    ]
    images = torch.randn(batch_size, in_channels, image_size, image_size, device=device)
    labels = torch.randint(num_classes, (batch_size,), device=device)
    clock = clock or time.perf_counter

    def timed(step: Step) -> float:
        start = clock()
        step(images, labels)
        return clock() - start

    with DeviceLock(device).timing() if settings.lock else nullcontext():
        for _ in range(settings.warmup):
            for step in steps:
                step(images, labels)
        pairs = [(timed(steps[0]), timed(steps[1])) for _ in range(settings.max_pairs)]
    ratios = [mine / theirs for mine, theirs in pairs]
    low, high = median_interval(ratios, settings.confidence)
    mine = [pair[0] for pair in pairs]
    return StepTime(
        ratio=statistics.median(ratios),
        ratio_low=low,
        ratio_high=high,
        ratio_p10=quantile(ratios, 0.1),
        ratio_p90=quantile(ratios, 0.9),
        step_time_s=statistics.median(mine),
        step_time_p10_s=quantile(mine, 0.1),
        step_time_p90_s=quantile(mine, 0.9),
        reference_step_time_s=statistics.median(pair[1] for pair in pairs),
        n=len(pairs),
        forward_s=float("nan"),
        backward_s=float("nan"),
        update_s=float("nan"),
        peak_memory_mb=None,
        batch_size=batch_size,
        micro_batch=batch_size,
        image_size=image_size,
        precision="fp32",
        memory_format="channels_last",
        device_name=str(device),
        clock=settings.clock,
        converged=False,
    )
