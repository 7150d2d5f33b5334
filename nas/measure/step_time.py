"""The training step's time beside the reference network's: the S of the reward.

A step is the one that trains: forward, backward, update and moving average, on a batch that is on the device. Steps of
the candidate and of the reference network alternate, and S is the centre of the ratios of neighbours: what slows the
device down slows both, and cancels. After every few pairs both are built and allocated anew, so that the interval of S
holds what another measurement would find, not what another look at the same tensors would.
"""

from __future__ import annotations

import copy
import logging
import math
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
from nas.measure.pairs import Pairs, Timers, take_pairs
from nas.measure.settings import StepTimeSettings
from nas.training.cuda_graph import WARM_UP_STEPS
from nas.training.device import device_name, give_back_memory, is_out_of_memory, synchronize
from nas.training.settings import EXECUTION, ExecutionSettings, TrainSettings
from nas.training.step import TrainingStep, make_step, memory_format_name, precision_name

logger = logging.getLogger(__name__)

EAGER = "eager"  # timed without CUDA graphs, for those of candidate and reference do not fit side by side
PART_STEPS = 5  # steps whose parts are timed
BLOCK_WARM_UP = 2  # steps of each network before a block is timed, besides those that come before a capture

Batch = tuple[Tensor, Tensor]  # images (N, C, H, W), labels (N,)
Clock = Callable[[], float]  # seconds
Executions = tuple[ExecutionSettings, ExecutionSettings]  # the candidate's, the reference network's


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
    size = settings.image_size or image_size
    shape = (settings.batch_size or batch_size, in_channels, size, size)
    their_shape = (*shape[:2], *(reference_image_size or size,) * 2)
    clock_name, chosen_clock = choose_clock(settings.clock, device)
    # A learning rate of nothing: random labels must not drive weights to infinity, or gradients to numbers so small
    # that a CPU computes with them slowly.
    train_settings = replace(train_settings, learning_rate=1e-9, schedule="constant")
    bench = _Bench(candidate, reference, train_settings, shape, their_shape, num_classes, device, clock or chosen_clock)
    with alone(device, settings), out_of_memory_named("training step of the candidate beside the reference network"):
        seen = _look(bench, execution, settings.warmup)
        pairs, seen = _take(bench, seen, settings, disturbed or watch(device))
    give_back_memory(device)  # captured graphs keep theirs from everyone else
    return _record(pairs, seen, bench, clock_name, settings)


@dataclass(frozen=True)
class _Bench:
    """What is timed, on what."""

    candidate: nn.Module
    reference: nn.Module
    settings: TrainSettings
    shape: tuple[int, ...]  # of the candidate's batches
    their_shape: tuple[int, ...]  # of the reference network's
    num_classes: int
    device: torch.device
    clock: Clock

    def batches(self, execution: ExecutionSettings) -> tuple[Batch, Batch]:
        """Allocate a batch for each network; the same one if they take images of one size."""
        mine = make_batch(self.shape, self.num_classes, execution, self.device)
        if self.their_shape == self.shape:
            return mine, mine
        return mine, make_batch(self.their_shape, self.num_classes, execution, self.device)

    def step(self, network: nn.Module, execution: ExecutionSettings) -> TrainingStep:
        """Allocate a copy of a network, ready to be trained."""
        network = copy.deepcopy(network)
        return make_step(network, self.settings, device=self.device, total_steps=1, execution=execution)


@dataclass(frozen=True)
class _Seen:
    """What was learnt of the steps before any is timed."""

    executions: Executions  # with the micro-batches that fit, and without graphs where two do not
    parts: tuple[float, float, float]  # forward, backward, update of the candidate's: seconds
    peak_memory_mb: float
    marks: frozenset[str] = frozenset()


def _look(bench: _Bench, execution: ExecutionSettings, warmup: int) -> _Seen:
    """Find out what fits: both steps captured where they can be, the whole batch at once where it can be."""
    eager = replace(execution, cuda_graph="off")
    if bench.device.type == "cpu" or execution.cuda_graph == "off":
        return _warmed_up(bench, eager, warmup)
    try:
        seen = _warmed_up(bench, execution, warmup)
        if set(seen.executions) == {execution}:
            return seen
    except StepOutOfMemory:
        pass
    # Graphs keep their memory, where eager steps take turns; so smaller micro-batches may not be the candidate's fault.
    # Without graphs they are. Nor is one captured step to be compared with one that had no room for it.
    logger.info("no room for two captured steps: timing eager ones")
    give_back_memory(bench.device)
    return replace(_warmed_up(bench, eager, warmup), marks=frozenset({EAGER}))


def _warmed_up(bench: _Bench, execution: ExecutionSettings, warmup: int) -> _Seen:
    batch, their_batch = bench.batches(execution)
    with out_of_memory_named("training step of the candidate"):
        mine = bench.step(bench.candidate, execution)
        for _ in range(warmup):  # any of them may find that a smaller micro-batch is needed
            mine(*batch)
        parts, peak = _look_inside(mine, batch, bench.clock)  # eager steps, while nothing is captured yet
    with out_of_memory_named("training step of the reference network"):
        theirs = bench.step(bench.reference, execution)
        for _ in range(warmup):
            theirs(*their_batch)
    _do((mine, batch), (theirs, their_batch), _before_timing(execution))
    return _Seen(_executions(mine, theirs), parts, peak)


def _take(
    bench: _Bench, seen: _Seen, settings: StepTimeSettings, disturbed: Callable[[], frozenset[str]]
) -> tuple[Pairs, _Seen]:
    """Take the pairs, all executed alike: where a later block has less room, anew with what fits there."""
    while True:
        found: list[Executions] = []
        pairs = take_pairs(partial(_block, bench, seen.executions, found), settings, disturbed)
        if set(found) == {seen.executions}:
            return pairs, seen
        logger.info("a later block had less room: timing all of them anew")
        mine, theirs = (min(each, key=lambda one: one.micro_batch or math.inf) for each in zip(*found, strict=True))
        marks = seen.marks
        if seen.executions[0].cuda_graph != "off" and any(one.cuda_graph == "off" for each in found for one in each):
            mine, theirs = replace(mine, cuda_graph="off"), replace(theirs, cuda_graph="off")
            marks |= {EAGER}
        seen = replace(seen, executions=(mine, theirs), marks=marks)


@contextmanager
def _block(bench: _Bench, executions: Executions, found: list[Executions]) -> Iterator[Timers]:
    """Build both steps and their batches, to be timed; add to `found` what they turn out to need."""
    give_back_memory(bench.device)
    batch, their_batch = bench.batches(executions[0])
    mine, theirs = bench.step(bench.candidate, executions[0]), bench.step(bench.reference, executions[1])
    _do((mine, batch), (theirs, their_batch), _before_timing(executions[0]))
    yield (
        partial(seconds_of, partial(mine, *batch), bench.device, bench.clock),
        partial(seconds_of, partial(theirs, *their_batch), bench.device, bench.clock),
    )
    found.append(_executions(mine, theirs))


def _before_timing(execution: ExecutionSettings) -> int:
    return BLOCK_WARM_UP + (0 if execution.cuda_graph == "off" else WARM_UP_STEPS)


def _do(mine: tuple[TrainingStep, Batch], theirs: tuple[TrainingStep, Batch], times: int) -> None:
    for _ in range(times):
        for step, batch in (mine, theirs):
            step(*batch)


def _executions(mine: TrainingStep, theirs: TrainingStep) -> Executions:
    """How the steps are executed by now: `micro_batch` may have become smaller, a graph may have found no room."""
    first, second = (
        replace(
            step.execution,
            micro_batch=step.micro_batch,
            cuda_graph="off" if step.no_room else step.execution.cuda_graph,
        )
        for step in (mine, theirs)
    )
    return first, second


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
def out_of_memory_named(what: str) -> Iterator[None]:
    """Turn memory that runs out within the block into a StepOutOfMemory of one line: no `what` fits."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise StepOutOfMemory(f"no {what} fits: {str(error).splitlines()[0]}") from None


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


def _record(pairs: Pairs, seen: _Seen, bench: _Bench, clock_name: str, settings: StepTimeSettings) -> StepTime:
    ratio = pairs.centre(settings.confidence)
    ratio_p10, ratio_p90 = quantiles(pairs.ratios, 0.1, 0.9)
    p10_s, median_s, p90_s = quantiles(pairs.candidate_s, 0.1, 0.5, 0.9)
    forward_s, backward_s, update_s = (median_s * part / sum(seen.parts) for part in seen.parts)
    execution = seen.executions[0]
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
        peak_memory_mb=seen.peak_memory_mb,
        batch_size=bench.shape[0],
        micro_batch=execution.micro_batch or bench.shape[0],
        image_size=bench.shape[-1],
        precision=precision_name(execution, bench.device),
        memory_format=memory_format_name(execution),
        device_name=device_name(bench.device),
        clock=clock_name,
        converged=pairs.converged,
        marks=tuple(sorted(pairs.marks | seen.marks)),
    )
