"""The training step's time beside the reference network's: the S of the reward.

A step is the one that trains: forward, backward, update and moving average, on a batch that is on the device. Steps of
the candidate and of the reference network alternate, and S is the centre of the ratios of neighbours: what slows the
device down slows both, and cancels.
"""

from __future__ import annotations

import copy
import logging
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from nas.measure.beside import alone, seconds_of
from nas.measure.clock import choose_clock
from nas.measure.disturbances import watch
from nas.measure.location import quantiles
from nas.measure.memory import peak_memory_mb
from nas.measure.pairs import Pairs, centre, take_pairs
from nas.measure.settings import StepTimeSettings
from nas.training.cuda_graph import WARM_UP_STEPS
from nas.training.device import device_name, is_out_of_memory, synchronize
from nas.training.settings import EXECUTION, ExecutionSettings, TrainSettings
from nas.training.step import TrainingStep, make_step

logger = logging.getLogger(__name__)

EAGER = "eager"  # timed without CUDA graphs, for those of candidate and reference do not fit side by side
PART_STEPS = 5  # steps whose parts are timed

Batch = tuple[Tensor, Tensor]  # images (N, C, H, W), labels (N,)
Clock = Callable[[], float]  # seconds
Training = tuple[TrainSettings, ExecutionSettings]


class StepOutOfMemory(Exception):
    """A training step, or a forward pass, does not fit into the device's memory, however small the micro-batches."""


@dataclass(frozen=True)
class StepTime:
    """What was measured of a candidate's training step and of the reference network's, interleaved with it."""

    ratio: float  # candidate's step time over the reference's, the centre over the pairs: the reward's S
    ratio_low: float  # confidence interval of `ratio`
    ratio_high: float
    ratio_p10: float  # of the pairs
    ratio_p90: float
    step_time_s: float  # median of the candidate's turns
    step_time_p10_s: float
    step_time_p90_s: float
    reference_step_time_s: float  # median of the reference network's turns
    n: int  # pairs
    forward_s: float  # parts of `step_time_s`, in the proportion of a few steps timed part by part
    backward_s: float
    update_s: float
    peak_memory_mb: float  # of the candidate's step; MiB
    batch_size: int
    micro_batch: int  # images per forward and backward; less than `batch_size` where memory ran out
    image_size: int  # pixels
    precision: str  # fp32 or bf16
    memory_format: str  # channels_last or contiguous
    device_name: str
    clock: str  # wall or cpu
    converged: bool  # whether the interval is as narrow as the settings ask
    marks: tuple[str, ...] = ()  # EAGER; `retaken` and what disturbed pairs that were kept: see `disturbances`


def step_time(
    candidate: nn.Module,
    reference: nn.Module,
    settings: StepTimeSettings,
    train_settings: TrainSettings,
    *,
    execution: ExecutionSettings = EXECUTION,
    image_size: int,
    in_channels: int,
    num_classes: int,
    batch_size: int,
    device: torch.device,
    reference_image_size: int | None = None,
    clock: Clock | None = None,
    disturbed: Callable[[], frozenset[str]] | None = None,
) -> StepTime:
    """Time the candidate's training step beside the reference network's.

    Copies are timed, and the random generators are left as they were: what is trained afterwards is not changed.
    Where memory runs out, micro-batches of half the size make up the same batch, as in training.

    Args:
        candidate, reference: networks, (N, in_channels, image_size, image_size) -> (N, num_classes).
        train_settings, execution: of the training whose step this is.
        image_size: height and width of the images, pixels; `settings.image_size` goes first.
        batch_size: images per step; `settings.batch_size` goes first.
        device: as `resolve_device` gives it.
        reference_image_size: of the reference network's images; default: the candidate's.
        clock: default: the clock of the settings.
        disturbed: names what disturbs the device at the moment; default: what NVML tells of a GPU.
    Raises: StepOutOfMemory if not even the smallest micro-batches fit. ValueError for a clock that the device has not.
    """
    shape = (settings.batch_size or batch_size, in_channels, *(settings.image_size or image_size,) * 2)
    clock_name, chosen_clock = choose_clock(settings.clock, device)
    clock, disturbed = clock or chosen_clock, disturbed or watch(device)
    with alone(device, settings), _out_of_memory_named("the candidate beside the reference network"):
        batch = their_batch = make_batch(shape, num_classes, execution, device)
        if reference_image_size is not None:
            their_batch = make_batch((*shape[:2], *(reference_image_size,) * 2), num_classes, execution, device)
        steps = _prepare(
            candidate, reference, (train_settings, execution), settings.warmup, (batch, their_batch), clock
        )
        time_candidate = partial(seconds_of, partial(steps.candidate, *batch), device, clock)
        time_reference = partial(seconds_of, partial(steps.reference, *their_batch), device, clock)
        pairs = take_pairs(time_candidate, time_reference, settings, disturbed)
    result = _record(pairs, steps, batch, clock_name, settings)
    del steps, time_candidate, time_reference
    if device.type == "cuda":
        torch.cuda.empty_cache()  # captured graphs keep their memory from everyone else
    return result


@dataclass(frozen=True)
class _Steps:
    """Both steps, ready to be timed, and what was learnt of the candidate's meanwhile."""

    candidate: TrainingStep
    reference: TrainingStep
    parts: tuple[float, float, float]  # forward, backward, update: seconds
    peak_memory_mb: float
    marks: frozenset[str] = frozenset()


def _prepare(
    candidate: nn.Module,
    reference: nn.Module,
    training: Training,
    warmup: int,
    batches: tuple[Batch, Batch],
    clock: Clock,
) -> _Steps:
    """Both steps, captured where they can be; the batches are the candidate's and the reference network's."""
    # A learning rate of nothing: random labels must not drive weights to infinity, or gradients to numbers so small
    # that a CPU computes with them slowly.
    settings, execution = replace(training[0], learning_rate=1e-9, schedule="constant"), training[1]
    eager = settings, replace(execution, cuda_graph="off")
    if batches[0][0].device.type == "cpu" or execution.cuda_graph == "off":
        return _warmed_up(candidate, reference, eager, warmup, batches, clock)
    try:
        steps = _warmed_up(candidate, reference, (settings, execution), warmup, batches, clock)
        both = steps.candidate, steps.reference
        if not any(step.no_room or step.micro_batch != execution.micro_batch for step in both):
            return steps
        del both
        del steps
    except StepOutOfMemory:
        pass
    # Graphs keep their memory, where eager steps take turns; so smaller micro-batches may not be the candidate's fault.
    # Without graphs they are. Nor is one captured step to be compared with one that had no room for it.
    logger.info("no room for two captured steps: timing eager ones")
    torch.cuda.empty_cache()
    return replace(_warmed_up(candidate, reference, eager, warmup, batches, clock), marks=frozenset({EAGER}))


def _warmed_up(
    candidate: nn.Module,
    reference: nn.Module,
    training: Training,
    warmup: int,
    batches: tuple[Batch, Batch],
    clock: Clock,
) -> _Steps:
    batch, their_batch = batches
    with _out_of_memory_named("the candidate"):
        mine = _first_steps(candidate, training, warmup, batch)
        parts, peak = _look_inside(mine, batch, clock)  # eager steps, while nothing is captured yet
    with _out_of_memory_named("the reference network"):
        theirs = _first_steps(reference, training, warmup, their_batch)
    for _ in range(1 if training[1].cuda_graph == "off" else 1 + WARM_UP_STEPS):
        mine(*batch)
        theirs(*their_batch)
    return _Steps(mine, theirs, parts, peak)


def _first_steps(network: nn.Module, training: Training, n: int, batch: Batch) -> TrainingStep:
    settings, execution = training
    step = make_step(copy.deepcopy(network), settings, device=batch[0].device, total_steps=1, execution=execution)
    for _ in range(n):  # any of them may find that a smaller micro-batch is needed
        step(*batch)
    return step


def _look_inside(step: TrainingStep, batch: Batch, clock: Clock) -> tuple[tuple[float, float, float], float]:
    """Give the seconds of forward, backward and update, and the peak memory in MiB."""
    while True:
        try:
            parts = [_parts(step, batch, clock) for _ in range(PART_STEPS)]
            forward, backward, update = (statistics.median(part) for part in zip(*parts, strict=True))
            return (forward, backward, update), peak_memory_mb(step, *batch)
        except (RuntimeError, MemoryError) as error:
            # Where memory is short and in pieces, a size that fitted may not fit again.
            if not (is_out_of_memory(error) and step.halve_micro_batch(len(batch[0]))):
                raise


@contextmanager
def _out_of_memory_named(what: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise StepOutOfMemory(f"no training step of {what} fits: {str(error).splitlines()[0]}") from None


def make_batch(shape: tuple[int, ...], num_classes: int, execution: ExecutionSettings, device: torch.device) -> Batch:
    """Give a batch of noise as training gets its batches: on the device, in its memory format, normalised."""
    layout = torch.channels_last if execution.channels_last else torch.contiguous_format
    images = torch.randn(shape).to(device, memory_format=layout)
    return images, torch.randint(num_classes, shape[:1]).to(device)


def _parts(step: TrainingStep, batch: Batch, clock: Clock) -> tuple[float, float, float]:
    moments: list[tuple[str, float]] = []

    def mark(name: str) -> None:
        synchronize(step.device)
        moments.append((name, clock()))

    step.eager(*batch, mark)
    seconds = dict.fromkeys(("forward", "backward", "update"), 0.0)
    for (_, before), (name, now) in pairwise(moments):
        seconds[name] += now - before
    return seconds["forward"], seconds["backward"], seconds["update"]


def _record(pairs: Pairs, steps: _Steps, batch: Batch, clock_name: str, settings: StepTimeSettings) -> StepTime:
    ratio = centre(pairs.ratios, settings.confidence)
    ratio_p10, ratio_p90 = quantiles(pairs.ratios, 0.1, 0.9)
    p10_s, median_s, p90_s = quantiles(pairs.candidate_s, 0.1, 0.5, 0.9)
    forward_s, backward_s, update_s = (median_s * part / sum(steps.parts) for part in steps.parts)
    images, step = batch[0], steps.candidate
    return StepTime(
        ratio=ratio.ratio,
        ratio_low=ratio.low,
        ratio_high=ratio.high,
        ratio_p10=ratio_p10,
        ratio_p90=ratio_p90,
        step_time_s=median_s,
        step_time_p10_s=p10_s,
        step_time_p90_s=p90_s,
        reference_step_time_s=statistics.median(pairs.reference_s),
        n=len(pairs.ratios),
        forward_s=forward_s,
        backward_s=backward_s,
        update_s=update_s,
        peak_memory_mb=steps.peak_memory_mb,
        batch_size=len(images),
        micro_batch=step.micro_batch or len(images),
        image_size=images.shape[-1],
        precision=step.precision,
        memory_format=step.memory_format,
        device_name=device_name(images.device),
        clock=clock_name,
        converged=pairs.converged,
        marks=tuple(sorted(pairs.marks | steps.marks)),
    )
