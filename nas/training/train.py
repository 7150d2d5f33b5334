"""Train one network for some epochs; whatever becomes of it, the result says so."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn

from nas.seeds import SEEDING, seed_of
from nas.training import device as devices
from nas.training.batches import Batch, Batches, batches_of
from nas.training.checkpoint import TrainingState, restore, state_of
from nas.training.evaluate import evaluate
from nas.training.progressive import Strengths, stage_batch_size
from nas.training.result import EpochResult, Status, TrainResult
from nas.training.settings import EXECUTION, ExecutionSettings, TrainSettings
from nas.training.step import TrainingStep, make_step, memory_format_name, precision_name
from nas.training.workers import ALONE, Workers

logger = logging.getLogger(__name__)

CHECK_STEPS = 32  # on a GPU the loss is looked at this often, since looking waits for the device


@dataclass(frozen=True)
class Progression:
    """Batches and regularisation that change while a network trains.

    Args:
        schedule: progress in [0, 1), asked at the start of each epoch -> what to train with.
        batches: gives the batches for it, whenever it changes: of its image size and augmentation, with
            `stage_batch_size` images.
    Source: EfficientNetV2, section 4.
    """

    schedule: Callable[[float], Strengths]
    batches: Callable[[Strengths], Batches]


class _Stop(Exception):
    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status: Status = status


def train(
    network: nn.Module,
    train_batches: Batches | Progression,
    eval_batches: Batches,
    settings: TrainSettings,
    *,
    execution: ExecutionSettings = EXECUTION,
    device: torch.device | None = None,
    seed: int = 0,
    seeding: int = SEEDING,
    on_epoch: Callable[[EpochResult], bool | None] | None = None,
    between_steps: Callable[[], None] | None = None,
    on_state: Callable[[TrainingState], None] | None = None,
    resume: TrainingState | None = None,
    workers: Workers = ALONE,
    clock: Callable[[], float] = time.perf_counter,
) -> TrainResult:
    """Train a network in place.

    Afterwards `network` holds the weights that the result speaks of (the averaged ones if EMA is on). The same seed,
    weights and batches give the same result, on a CPU bit for bit; PyTorch's global generators are left as they were.

    Args:
        network: built and initialised; seed the generator before building it, too.
        train_batches: images and labels on the device; or a progression of them, whose dropout and drop path go before
            the settings'.
        eval_batches: images and labels on the device, of the size to evaluate at.
        execution: precision, memory format, micro-batches, graphs, time limit.
        device: where to train; default: where the network's parameters are.
        seed, seeding: of dropout and drop path; see nas/seeds.py.
        on_epoch: told of every epoch; returning False before the last ends the training with status `pruned`.
        between_steps: called before each step, e.g. to let a timer have the device; its time counts nowhere.
        on_state: given the training's state after every epoch, before `on_epoch`; to be saved at once, if at all.
        resume: a state to go on from, with the same arguments otherwise: the result is that of an uninterrupted
            training, and so are the times, added up.
        workers: those that train together: each calls this with the same arguments, but with its share of the batches.
            Status, curve and weights are the same in all of them.
        clock: seconds.
    Returns: TrainResult; a loss that is not finite, memory that runs out and the time limit are statuses, not errors.
    Raises: ValueError if there are no batches, the objective or optimiser cannot be imported, `resume` is of another
        network, or several workers have a time limit. BatchOutOfMemory if memory runs out in making a batch.
        RuntimeError if memory runs out in one of several workers: the others would wait for it.
    """
    if workers.count > 1 and execution.time_limit_s is not None:
        raise ValueError("time_limit_s is for one worker; several would not stop at the same step")
    device = device or next(network.parameters()).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        training = _Training(
            network, settings, execution, device, (seed, seeding), on_epoch, between_steps, on_state, workers, clock
        )
        return training.run(train_batches, eval_batches, resume)


def _plan(source: Batches | Progression, settings: TrainSettings) -> Callable[[int], tuple[TrainSettings, Batches]]:
    """Give a function of the epoch: its settings and batches, the same object while nothing changes."""
    if not isinstance(source, Progression):
        return lambda epoch: (settings, source)
    made: dict[Strengths, tuple[TrainSettings, Batches]] = {}

    def plan(epoch: int) -> tuple[TrainSettings, Batches]:
        strengths = source.schedule(epoch / settings.epochs)
        if strengths not in made:
            made.clear()  # the stage before may hold its images on the device
            made[strengths] = (_stage_settings(settings, strengths), source.batches(strengths))
        return made[strengths]

    return plan


def _stage_settings(settings: TrainSettings, strengths: Strengths) -> TrainSettings:
    batch_size = stage_batch_size(settings.batch_size, strengths)
    return replace(settings, batch_size=batch_size, dropout=strengths.dropout, drop_path=strengths.drop_path)


class _Training:
    """The state of one training while it runs."""

    def __init__(
        self,
        network: nn.Module,
        settings: TrainSettings,
        execution: ExecutionSettings,
        device: torch.device,
        seed: tuple[int, int],  # and how streams are drawn from it
        on_epoch: Callable[[EpochResult], bool | None] | None,
        between_steps: Callable[[], None] | None,
        on_state: Callable[[TrainingState], None] | None,
        workers: Workers,
        clock: Callable[[], float],
    ) -> None:
        self.network, self.settings, self.execution = network, settings, execution
        self.device, self.workers, (self.seed, self.seeding) = device, workers, seed
        self.on_epoch, self.between_steps, self.on_state, self.clock = on_epoch, between_steps, on_state, clock
        self.step: TrainingStep | None = None
        self.curve: list[EpochResult] = []
        self.data_wait_s = 0.0
        self.paused_s = 0.0
        self.start = clock()
        self.check_steps = CHECK_STEPS if device.type == "cuda" else 1

    def run(
        self, train_batches: Batches | Progression, eval_batches: Batches, resume: TrainingState | None
    ) -> TrainResult:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        status, error = self._outcome(train_batches, eval_batches, resume)
        if error is not None:
            logger.info("training ended: %s: %s", status, error)
        if self.step is not None and self.step.ema is not None:
            self.network.load_state_dict(self.step.ema.network.state_dict())
        return self._result(status, error)

    def _outcome(
        self, source: Batches | Progression, eval_batches: Batches, resume: TrainingState | None
    ) -> tuple[Status, str | None]:
        try:
            self._train(source, eval_batches, resume)
        except _Stop as stop:
            return stop.status, str(stop)
        except (RuntimeError, MemoryError) as error:
            if self.workers.count > 1 or not devices.is_out_of_memory(error):
                raise
            return "oom", f"{type(error).__name__}: {error}".splitlines()[0]
        return "ok", None

    def _train(self, source: Batches | Progression, eval_batches: Batches, resume: TrainingState | None) -> None:
        plan, current = _plan(source, self.settings), None
        if resume is not None:
            current = self._resume(plan, resume)
        for epoch in range(len(self.curve), self.settings.epochs):
            settings, batches = plan(epoch)
            if batches is not current:
                self._begin(settings, batches, epoch)
                current = batches
            assert self.step is not None
            torch.manual_seed(seed_of(self.seed, "regularisation", epoch, self.workers.rank, seeding=self.seeding))
            result = self._epoch(self.step, epoch, batches)
            for network in (self.network, *((self.step.ema.network,) if self.step.ema else ())):
                self.workers.average_buffers(network)
            if (epoch + 1) % self.settings.eval_every == 0 or epoch + 1 == self.settings.epochs:
                result = self._evaluate(self.step, result, eval_batches)
            self.curve.append(result)
            if self.on_state is not None:
                curve = tuple(each.to_dict() for each in self.curve)
                self.on_state(state_of(self.step, curve, self._now() - self.start, self.data_wait_s))
            unwanted = self.on_epoch is not None and self.on_epoch(result) is False
            if unwanted and epoch + 1 < self.settings.epochs:
                raise _Stop("pruned", f"stopped after epoch {epoch}")

    def _resume(self, plan: Callable[[int], tuple[TrainSettings, Batches]], state: TrainingState) -> Batches:
        """Take up a state in the middle of its stage; give the stage's batches."""
        self.curve = [EpochResult(**epoch) for epoch in state.curve]
        self.start -= state.seconds
        self.data_wait_s = state.data_wait_s
        settings, batches = plan(min(len(self.curve), self.settings.epochs - 1))
        step = self._begin(settings, batches, len(self.curve))
        restore(step, state)
        return batches

    def _begin(self, settings: TrainSettings, batches: Batches, epoch: int) -> TrainingStep:
        """Make the step, or set it up for the batches of a new stage."""
        steps = len(batches)
        if not steps:
            raise ValueError("there are no batches to train on; is the batch size larger than the split?")
        total = steps * settings.epochs
        if self.step is None:
            self.step = make_step(
                self.network,
                settings,
                device=self.device,
                total_steps=total,
                steps_per_epoch=steps,
                execution=self.execution,
                workers=self.workers,
            )
            self.step.index = epoch * steps
        else:
            self.step.restart(settings, index=epoch * steps, total_steps=total, steps_per_epoch=steps)
        return self.step

    def _epoch(self, step: TrainingStep, epoch: int, batches: Batches) -> EpochResult:
        start = self._now()
        total, number, images_done, image_size, lr = torch.zeros((), device=self.device), 0, 0, 0, 0.0
        for number, (images, labels) in enumerate(self._waited_for(self._made(batches, epoch)), start=1):
            self._pause()
            lr = step.learning_rate()
            total += step(images, labels)
            images_done, image_size = images_done + len(images), images.shape[-1]
            if number % self.check_steps == 0:
                self._check_finite(self.workers.mean(total).item(), epoch)
            self._check_time()
        train_loss = self.workers.mean(total).item() / number
        self._check_finite(train_loss, epoch)
        seconds = self._now() - start
        rate = images_done * self.workers.count / seconds if seconds > 0 else math.nan
        return EpochResult(epoch, train_loss, None, None, lr, image_size, seconds, rate)

    def _evaluate(self, step: TrainingStep, result: EpochResult, batches: Batches) -> EpochResult:
        evaluated = evaluate(
            self.network if step.ema is None else step.ema.network,
            self._timed(self._made(batches, result.epoch)),
            dtype=step.autocast_dtype,
            channels_last=self.execution.channels_last,
            workers=self.workers,
            objective=step.objective,
        )
        self._check_finite(evaluated.loss, result.epoch)
        return replace(result, loss=evaluated.loss, accuracy=evaluated.accuracy, metrics=evaluated.metrics)

    def _made(self, batches: Batches, epoch: int) -> Iterator[Batch]:
        assert self.step is not None
        return batches_of(batches, epoch, self.step.drop_graphs)

    def _waited_for(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        while True:
            start = self.clock()
            batch = next(batches, None)
            self.data_wait_s += self.clock() - start
            if batch is None:
                return
            yield batch

    def _timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            self._check_time()
            yield batch

    def _pause(self) -> None:
        if self.between_steps is not None:
            start = self.clock()
            self.between_steps()
            self.paused_s += self.clock() - start

    def _now(self) -> float:
        return self.clock() - self.paused_s

    def _check_time(self) -> None:
        limit = self.execution.time_limit_s
        if limit is not None and self._now() - self.start > limit:
            raise _Stop("timeout", f"ran past its time limit of {limit:g} s")

    def _check_finite(self, loss: float, epoch: int) -> None:
        if not math.isfinite(loss):
            raise _Stop("nan", f"the loss was {loss} in epoch {epoch}")

    def _peak_memory_mb(self) -> float | None:
        return torch.cuda.max_memory_allocated(self.device) / 2**20 if self.device.type == "cuda" else None

    def _result(self, status: Status, error: str | None) -> TrainResult:
        evaluated = [result for result in self.curve if result.accuracy is not None]
        last = evaluated[-1] if evaluated else None
        settings = self.settings if self.step is None else self.step.settings
        micro_batch = self.execution.micro_batch if self.step is None else self.step.micro_batch
        return TrainResult(
            status=status,
            error=error,
            accuracy=None if last is None else last.accuracy,
            loss=None if last is None else last.loss,
            metrics={} if last is None else last.metrics,
            curve=tuple(result.to_dict() for result in self.curve),
            epochs_done=len(self.curve),
            micro_batch=micro_batch or settings.batch_size,
            seconds=self._now() - self.start,
            data_wait_s=self.data_wait_s,
            peak_memory_mb=self._peak_memory_mb(),
            precision=precision_name(self.execution, self.device),
            memory_format=memory_format_name(self.execution),
        )
