"""Inference latency beside the reference network's: of one image, and of a batch as training has them.

Timed as the training step is: forward passes of the candidate and of the reference network alternate, on images that
are on the device, and the ratio is the centre of the ratios of neighbours. They are eager, in evaluation mode and
without gradients; precision and memory format are the training's.
"""

from __future__ import annotations

import copy
import logging
import math
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from nas.measure.beside import alone, seconds_of
from nas.measure.clock import choose_clock
from nas.measure.disturbances import watch
from nas.measure.pairs import Pairs, Timers, take_pairs
from nas.measure.settings import StepTimeSettings
from nas.measure.step_time import StepOutOfMemory, make_batch, out_of_memory_named
from nas.measure.subject import Subject
from nas.training.device import device_name, give_back_memory, set_up
from nas.training.settings import ExecutionSettings
from nas.training.step import autocast_dtype, memory_format_name, precision_name

logger = logging.getLogger(__name__)

Forward = Callable[[Tensor], object]


@dataclass(frozen=True)
class Inference:
    """What was measured of a candidate's forward pass and of the reference network's, interleaved with it."""

    ratio: float  # candidate's latency over the reference's at batch 1, the centre over the pairs
    ratio_low: float  # confidence interval of `ratio`
    ratio_high: float
    latency_s: float  # of one image; median of the candidate's turns
    reference_latency_s: float
    n: int  # pairs of them
    batch_ratio: float  # the same of a batch; NaN where the memory does not hold one, as are the next four
    batch_ratio_low: float
    batch_ratio_high: float
    batch_latency_s: float  # of all its images
    reference_batch_latency_s: float
    batch_size: int
    image_size: int  # pixels
    precision: str  # fp32 or bf16
    memory_format: str  # channels_last or contiguous
    device_name: str
    clock: str  # wall or cpu
    converged: bool  # whether both intervals are as narrow as the settings ask
    marks: tuple[str, ...] = ()  # `retaken` and what disturbed pairs that were kept: see `disturbances`


def inference(subject: Subject) -> dict[str, float]:
    """Measure a candidate's inference latency: the `fields` of `inference_time`, as metrics of its trial."""
    measured = inference_time(
        subject.network,
        subject.reference,
        image_size=subject.image_size,
        in_channels=subject.in_channels,
        batch_size=subject.batch_size,
        execution=subject.execution,
        device=subject.device,
        settings=subject.settings,
    )
    return fields(measured)


def fields(measured: Inference) -> dict[str, float]:
    """Give the numbers that a trial keeps: `inference_ratio` is a ratio, the S of inference, with its interval."""
    return {
        "inference_ms": measured.latency_s * 1e3,
        "inference_batch_ms": measured.batch_latency_s * 1e3,
        "inference_ratio": measured.ratio,
        "inference_ratio_low": measured.ratio_low,
        "inference_ratio_high": measured.ratio_high,
    }


def inference_time(
    network: nn.Module,
    reference: nn.Module,
    *,
    image_size: int,
    in_channels: int,
    batch_size: int,
    execution: ExecutionSettings,
    device: torch.device,
    settings: StepTimeSettings,
    clock: Callable[[], float] | None = None,
    disturbed: Callable[[], frozenset[str]] | None = None,
) -> Inference:
    """Time the candidate's forward pass beside the reference network's.

    Copies are timed, and the random generators are left as they were: what is trained afterwards is not changed.

    Args:
        network, reference: networks that take (N, in_channels, image_size, image_size).
        image_size: height and width of the images, pixels; `settings.image_size` goes first.
        batch_size: images of the batch; `settings.batch_size` goes first.
        execution: precision and memory format.
        device: as `resolve_device` gives it.
        settings: how many passes, how they are paired, on which clock.
        clock: seconds; default: the clock of the settings.
        disturbed: names what disturbs the device at the moment; default: what NVML tells of a GPU.
    Raises: StepOutOfMemory if not even one image fits. ValueError for a clock that cannot be had on the device.
    """
    set_up(device)
    clock_name, chosen_clock = choose_clock(settings.clock, device)
    clock, disturbed = clock or chosen_clock, disturbed or watch(device)
    size, batch = settings.image_size or image_size, settings.batch_size or batch_size
    networks, shape = (network, reference), (in_channels, size, size)
    with alone(device, settings), torch.inference_mode():

        def pairs(n: int) -> Pairs:
            block = partial(_block, networks, (n, *shape), execution, device, settings.warmup, clock)
            with out_of_memory_named(f"forward pass of {n}"):
                return take_pairs(block, settings, disturbed)

        one = pairs(1)
        try:
            many = pairs(batch)
        except StepOutOfMemory as error:
            logger.info("the latency of a batch is not measured: %s", error)
            many = Pairs((math.nan,), (math.nan,), (0,), frozenset(), False)
    ratio, batch_ratio = (each.centre(settings.confidence) for each in (one, many))
    return Inference(
        ratio=ratio.ratio,
        ratio_low=ratio.low,
        ratio_high=ratio.high,
        latency_s=statistics.median(one.candidate_s),
        reference_latency_s=statistics.median(one.reference_s),
        n=len(one.ratios),
        batch_ratio=batch_ratio.ratio,
        batch_ratio_low=batch_ratio.low,
        batch_ratio_high=batch_ratio.high,
        batch_latency_s=statistics.median(many.candidate_s),
        reference_batch_latency_s=statistics.median(many.reference_s),
        batch_size=batch,
        image_size=size,
        precision=precision_name(execution, device),
        memory_format=memory_format_name(execution),
        device_name=device_name(device),
        clock=clock_name,
        converged=one.converged and many.converged,
        marks=tuple(sorted(one.marks | many.marks)),
    )


def _forward(network: nn.Module, execution: ExecutionSettings, device: torch.device) -> Forward:
    """A copy's forward pass as it is used after training with these settings."""
    layout = torch.channels_last if execution.channels_last else torch.contiguous_format
    ready = copy.deepcopy(network).to(device).to(memory_format=layout).eval()  # type: ignore[call-overload]
    dtype = autocast_dtype(execution, device)

    def forward(images: Tensor) -> object:
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            return ready(images)

    return forward


@contextmanager
def _block(
    networks: tuple[nn.Module, nn.Module],
    shape: tuple[int, ...],
    execution: ExecutionSettings,
    device: torch.device,
    warmup: int,
    clock: Callable[[], float],
) -> Iterator[Timers]:
    """Build both forward passes and their images, to be timed."""
    give_back_memory(device)
    images = make_batch(shape, 1, execution, device)[0]
    mine, theirs = (partial(_forward(network, execution, device), images) for network in networks)
    for _ in range(warmup):
        mine()
        theirs()
    yield partial(seconds_of, mine, device, clock), partial(seconds_of, theirs, device, clock)
