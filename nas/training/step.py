"""The training step: the one piece of code that is both trained with and timed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from nas.training import device as devices
from nas.training.cuda_graph import CapturedStep, CaptureError
from nas.training.ema import ExponentialMovingAverage
from nas.training.micro_batches import even_parts, smallest_part
from nas.training.objective import make_objective
from nas.training.optimizers import find_optimizer, make_optimizer
from nas.training.schedules import learning_rate
from nas.training.settings import BN_MOMENTUM, EXECUTION, ExecutionSettings, TrainSettings, optimizer_of
from nas.training.workers import ALONE, Workers
from search_space.network import set_regularisation

logger = logging.getLogger(__name__)

Mark = Callable[[str], None]


def unmarked(_: str) -> None:
    """Take no notice of what a step has come to."""


def make_step(
    network: nn.Module,
    settings: TrainSettings,
    *,
    device: torch.device,
    total_steps: int,
    steps_per_epoch: int = 1,
    execution: ExecutionSettings = EXECUTION,
    workers: Workers = ALONE,
) -> TrainingStep:
    """Prepare a network for training on a device and give the step that trains it.

    The network is moved, put into the memory format and into training mode, and given the settings' dropout, drop path
    and batch norm momentum. That changes `network` itself; its weights keep their values.

    Args:
        device: as `resolve_device` gives it.
        total_steps: updates of the whole training, for the learning rate.
        steps_per_epoch: updates per epoch, for the learning rate.
        execution: precision, memory format, micro-batches, graphs.
        workers: those that take this step together, each with its share of the batch.
    """
    devices.set_up(device)
    network.to(device)
    if execution.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    set_regularisation(network, dropout=settings.dropout, drop_path=settings.drop_path)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = BN_MOMENTUM[settings.bn_momentum]
    network.train()
    return TrainingStep(network, settings, execution, device, total_steps, steps_per_epoch, workers)


def check_imports(settings: TrainSettings) -> None:
    """Import what the settings name by `module:Name`, as a worker will.

    Raises: ValueError, of one line, for what cannot be imported.
    """
    make_objective(settings)
    find_optimizer(settings.optimizer)


def autocast_dtype(execution: ExecutionSettings, device: torch.device) -> torch.dtype | None:
    """Give the type that convolutions and products are computed in under autocast; None = no autocast, fp32."""
    if execution.precision == "bf16":
        return torch.bfloat16
    if execution.precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported(False):
        return torch.bfloat16
    return None


def precision_name(execution: ExecutionSettings, device: torch.device) -> str:
    """Give `bf16` or `fp32`, as a log should carry it."""
    return "fp32" if autocast_dtype(execution, device) is None else "bf16"


def memory_format_name(execution: ExecutionSettings) -> str:
    """Give `channels_last` or `contiguous`, as a log should carry it."""
    return "channels_last" if execution.channels_last else "contiguous"


class TrainingStep:
    """Forward, loss, backward, update and EMA on a batch that is on the device.

    Calling it does the whole step, as a CUDA graph where that is allowed and possible. `eager` does the same step
    without, and tells on the way how far it is.

    Attributes:
        network: the network in training.
        objective: what is minimised.
        ema: its moving average, or None.
        autocast_dtype: of convolutions and products, or None.
        precision: `fp32` or `bf16`. memory_format: `channels_last` or `contiguous`.
        micro_batch: at most so many images per forward and backward, or None for the whole batch. It halves itself when
            memory runs out; batch norm then sees micro-batches, so that accuracy is that of a smaller batch's
            statistics. Of one image it would have none: with batch norm the smallest micro-batch is two.
        no_room: whether the step goes on without a graph because memory ran out in capturing it.
        index: updates done.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: TrainSettings,
        execution: ExecutionSettings,
        device: torch.device,
        total_steps: int,
        steps_per_epoch: int,
        workers: Workers,
    ) -> None:
        self.network, self.device, self.workers = network, device, workers
        self.settings, self.execution, self.objective = settings, execution, make_objective(settings)
        self.total_steps, self.steps_per_epoch = total_steps, steps_per_epoch
        self.micro_batch = execution.micro_batch
        self.no_room, self.index = False, 0
        self.optimizer = make_optimizer(network, settings, device)
        self.ema = None if settings.ema_decay is None else ExponentialMovingAverage(network, settings.ema_decay)
        self.autocast_dtype = autocast_dtype(execution, device)
        self.precision, self.memory_format = precision_name(execution, device), memory_format_name(execution)
        self._module = workers.synchronised(network)
        allowed = execution.cuda_graph != "off" and optimizer_of(settings.optimizer).capturable
        self._graphs_allowed = device.type == "cuda" and allowed and workers.count == 1
        self._captured: dict[tuple[object, ...], CapturedStep] = {}
        self._updating = False
        self._smallest = smallest_part(network)
        self._parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """Do one training step.

        Args:
            images: (N, C, H, W) on the device, floating point, normalised.
            labels: what the objective takes: (N,) classes, or (N, classes) probabilities.
        Returns: the mean loss of the batch, detached, on the device; nothing waits for it.
        Raises: an error for which `is_out_of_memory` holds, if not even the smallest micro-batches fit.
        """
        self._advance()
        while True:
            try:
                return self._run(images, labels)
            except (RuntimeError, MemoryError) as error:
                self._retry_smaller(len(images), error)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()  # here, where the error no longer keeps the failed attempt's tensors

    def eager(self, images: Tensor, labels: Tensor, mark: Mark = unmarked) -> Tensor:
        """Do one training step, never as a graph, and never a second time when memory runs out.

        Args:
            images, labels: as for a call.
            mark: told what the step has come to: `begin`; after each micro-batch's parts `forward` (with the loss) and
                `backward`; after clipping, update and moving average `update`. What lies between two marks is the later
                one's.
        Returns: the mean loss of the batch, detached, on the device.
        """
        self._advance()
        return self._eager(images, labels, mark)

    def halve_micro_batch(self, batch_size: int) -> bool:
        """Do with less memory from the next step on; gradients of a step half done are forgotten.

        Args:
            batch_size: images of the batches that did not fit.
        Returns: False, and nothing is changed, if micro-batches are as small as can be.
        """
        largest = max(even_parts(batch_size, self.micro_batch, self._smallest))
        smaller = max(even_parts(batch_size, (largest + 1) // 2, self._smallest))
        if smaller == largest:
            return False
        self.micro_batch = smaller
        self.optimizer.zero_grad(set_to_none=True)
        self._captured.clear()
        return True

    def drop_graphs(self) -> bool:
        """Give the memory of captured steps back and go on without; False if there was none to give."""
        any_captured, self._graphs_allowed = self.captured, False
        self._captured.clear()
        torch.cuda.empty_cache()
        return any_captured

    @property
    def captured(self) -> bool:
        """Whether the step is replayed from a CUDA graph by now, for some shape of batch."""
        return any(captured.ready for captured in self._captured.values())

    def restart(self, settings: TrainSettings, *, index: int, total_steps: int, steps_per_epoch: int) -> None:
        """Go on with another batch size, dropout or drop path: as progressive learning does from stage to stage.

        Weights, optimiser state and average are kept; steps are counted in the new batches from now on.

        Args:
            settings: as before but for batch_size, dropout and drop_path.
            index: updates done, had all been with the new batches.
            total_steps, steps_per_epoch: as in `make_step`.
        """
        self.settings, self.index = settings, index
        self.total_steps, self.steps_per_epoch = total_steps, steps_per_epoch
        set_regularisation(self.network, dropout=settings.dropout, drop_path=settings.drop_path)
        self._captured.clear()  # a captured step keeps the rates it was captured with

    def learning_rate(self) -> float:
        """Give the learning rate of the next update."""
        return learning_rate(self.index, self.total_steps, self.steps_per_epoch, self.settings)

    def _advance(self) -> None:
        for group in self.optimizer.param_groups:
            lr = self.learning_rate() * group.get("lr_factor", 1.0)
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr
        if self.ema is not None:
            self.ema.advance()
        self.index += 1

    def _eager(self, images: Tensor, labels: Tensor, mark: Mark = unmarked) -> Tensor:
        """The one place with forward, backward and update; it reads nothing from the device, so it can be captured."""
        mark("begin")
        total: Tensor | None = None
        parts = list(self._micro_batches(images, labels))
        for number, (part, part_labels, share) in enumerate(parts, start=1):
            with nullcontext() if number == len(parts) else self._apart():
                loss = self._loss(part, part_labels, share)
                mark("forward")
                loss.backward()  # type: ignore[no-untyped-call]
                mark("backward")
            total = loss.detach() if total is None else total + loss.detach()
        assert total is not None
        self._update()
        mark("update")
        return total

    def _micro_batches(self, images: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Cut a batch into what one forward takes, each with its share of the batch."""
        sizes = even_parts(len(images), self.micro_batch, self._smallest)
        for part, part_labels in zip(images.split_with_sizes(sizes), labels.split_with_sizes(sizes), strict=True):
            yield part, part_labels, len(part) / len(images)

    def _loss(self, images: Tensor, labels: Tensor, share: float) -> Tensor:
        """Give the loss, times the part's share of the batch, with its graph."""
        if self.execution.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        # Without the cache: a weight is cast once per forward anyway, and casts must not outlive a captured graph.
        dtype = self.autocast_dtype
        with torch.autocast(self.device.type, dtype, enabled=dtype is not None, cache_enabled=False):
            outputs = self._module(images)
            loss = self.objective.loss(outputs, labels)
        return loss if share == 1 else loss * share

    def _update(self) -> None:
        """Clip, update the weights, clear the gradients, update the average."""
        self._updating = True
        if self.settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters, self.settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update()
        self._updating = False

    def _run(self, images: Tensor, labels: Tensor) -> Tensor:
        if not self._graphs_allowed:
            return self._eager(images, labels)
        key = (images.shape, images.dtype, labels.shape, labels.dtype, self.micro_batch)
        if key not in self._captured:
            self._captured[key] = CapturedStep(images, labels)
        try:
            return self._captured[key](self._eager, images, labels)
        except CaptureError as error:
            if self.execution.cuda_graph == "on":
                raise
            logger.warning("the training step cannot be captured as a CUDA graph, going on without: %s", error)
            self.no_room, self._updating = devices.is_out_of_memory(error), False
            self.optimizer.zero_grad(set_to_none=True)
        self.drop_graphs()  # here, where the error no longer keeps the failed attempt's tensors
        return self._eager(images, labels)

    def _apart(self) -> AbstractContextManager[None]:
        """While this holds, gradients stay with this worker: they are exchanged with the last micro-batch's."""
        module = self._module
        return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()

    def _retry_smaller(self, batch_size: int, error: BaseException) -> None:
        # An update needs the same memory whatever the micro-batch, and half an update cannot be repeated; nor can one
        # worker repeat what the others have gone through.
        repeatable = not self._updating and self.workers.count == 1
        if not (repeatable and devices.is_out_of_memory(error) and self.halve_micro_batch(batch_size)):
            raise error
        logger.info("out of memory; trying %d images at a time", self.micro_batch)
