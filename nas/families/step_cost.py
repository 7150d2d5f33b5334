"""What a training step of a larger architecture costs beside its start's: measured, or estimated from a log."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.architectures import winner
from nas.config.check import section
from nas.measure.estimate import FEWEST, Fit, fit
from nas.measure.settings import StepTimeSettings
from nas.runs.folder import TRIALS, read_config
from nas.runs.log import read_lines
from nas.runs.text import short
from nas.runs.trial import Trial
from nas.training.settings import ExecutionSettings, TrainSettings, split_training
from search_space.architecture import Architecture
from search_space.cost import count

if TYPE_CHECKING:
    import torch

    from nas.measure.step_time import StepTime

_DEFAULT = StepTimeSettings()


@dataclass(frozen=True)
class StepCost:
    """Of one training step, at the image size that the architecture trains at. None = not known."""

    step_time: float  # over the start's
    step_time_ms: float | None
    peak_memory_mb: float | None


@dataclass(frozen=True)
class StepCosts:
    """Where the costs of a family's training steps come from."""

    of: Callable[[Architecture], StepCost]
    is_estimate: bool
    about: str  # a sentence: what was measured, on what; of an estimate also how far it may be off
    beyond: Callable[[Architecture], float] | None = None  # of an estimate: see `Fit.beyond`


@dataclass(frozen=True)
class Measuring:
    """How a training step is measured. Raises: ValueError for a batch below 1."""

    device: str = "auto"  # auto, cpu, cuda or cuda:N
    batch: int | None = None  # images per step; None = the run's, else 32

    def __post_init__(self) -> None:
        if self.batch is not None and self.batch < 1:
            raise ValueError(f"batch must be >= 1, got {self.batch!r}")


def estimated(run: Path, start: Architecture, classes: tuple[int, int]) -> StepCosts:
    """Estimate from the trials of a run's log.

    Args:
        start: with the image size it trains at; its step time is 1.
        classes: classes and image channels.
    Raises: ValueError if too few trials were timed.
    """
    config = read_config(run)
    size = config["step_time"]["image_size"] or config["image_size"]
    timed = [trial for trial in map(Trial.from_dict, read_lines(run / TRIALS)) if trial.s_normalised]
    if len({trial.arch_id for trial in timed}) < FEWEST:
        raise ValueError(f"{run} has too few timed trials for an estimate, which needs {FEWEST}: add --measure")
    times = _fit(timed, "s_normalised", size, classes)
    whole = [t for t in timed if t.peak_memory_mb and t.micro_batch in (None, t.batch_size)]
    memory = _fit(whole, "peak_memory_mb", size, classes) if len({t.arch_id for t in whole}) >= FEWEST else None
    device = winner(run).device_name
    reference_ms = _reference_ms(timed, device)
    start_s = times.predict(start, _train_size(start))

    def of(architecture: Architecture) -> StepCost:
        pixels = _train_size(architecture)
        s = times.predict(architecture, pixels)
        ms = s * reference_ms if reference_ms else None
        return StepCost(s / start_s, ms, memory.predict(architecture, pixels) if memory else None)

    batch = config["step_time"]["batch_size"] or config["training"]["batch_size"]
    where = f"{size} px, batch {batch}, {device or 'device unknown'}"
    return StepCosts(of, True, _about(where, times, memory), lambda a: times.beyond(a, _train_size(a)))


def _reference_ms(trials: Sequence[Trial], device: str | None) -> float | None:
    """The reference network's step on a device: the median over the trials."""
    times = [t.reference_step_time_ms for t in trials if t.device_name == device and t.reference_step_time_ms]
    return statistics.median(times) if times else None


def _about(where: str, times: Fit, memory: Fit | None) -> str:
    def percent(name: str) -> str:
        beside = f" (memory ±{getattr(memory, name):.0%})" if memory else ""
        return f"±{getattr(times, name):.0%}{beside}"

    return (
        f"est.: estimated from {times.measured} trials timed at {where} ({times.terms}). On trials held out it is off "
        f"by {percent('error')}, on the largest third, predicted from the smaller ones, by {percent('error_beyond')}."
    )


def measured(
    start: Architecture,
    classes: tuple[int, int],
    measuring: Measuring,
    training: Mapping[str, Any],
    say: Callable[[str], None],
) -> StepCosts:
    """Measure beside the start, each at the image size it trains at, on a device.

    Args:
        start: with the image size it trains at.
        training: a configuration with sections `training` and `execution`: whose step it is.
        say: told of each measurement, which may take minutes.
    Raises: ValueError for a device that is not there; the costs' `of` raises it where memory runs out.
    """
    timer = Timer.on(start, classes, measuring, training)
    known: dict[str, StepCost] = {}

    def of(architecture: Architecture) -> StepCost:
        if architecture.arch_id not in known:
            timing = timer.time(architecture)
            known[architecture.arch_id] = StepCost(timing.ratio, timing.step_time_s * 1e3, timing.peak_memory_mb)
            params = count(architecture, timing.image_size, *classes).params
            parts = f", in parts of {timing.micro_batch}" if timing.micro_batch < timing.batch_size else ""
            say(
                f"measured {short(params)} params at {timing.image_size} px{parts}: {timing.ratio:.3f}x, "
                f"interval {timing.ratio_low:.3f} .. {timing.ratio_high:.3f}"
            )
        return known[architecture.arch_id]

    return StepCosts(of, False, f"Measured on {timer.about}.")


@dataclass(frozen=True)
class Timer:
    """Measures training steps beside that of one architecture, each at the image size it trains at."""

    unit: Architecture  # whose step time is 1
    classes: tuple[int, int]  # and image channels
    settings: TrainSettings
    execution: ExecutionSettings
    device: torch.device
    device_name: str

    @classmethod
    def on(
        cls, unit: Architecture, classes: tuple[int, int], measuring: Measuring, training: Mapping[str, Any]
    ) -> Timer:
        """Make one for a device, with the sections `training` and `execution` of a configuration.

        Raises: ValueError for a device that is not there.
        """
        from nas.training.device import device_name, limit_threads, resolve_device, set_up

        device = resolve_device(measuring.device)
        set_up(device)
        recipe, execution = split_training(training)
        settings = section("training", TrainSettings, recipe)
        executed = section("execution", ExecutionSettings, execution)
        if device.type == "cpu":
            limit_threads(executed.threads or 1)  # more threads than free cores make a step's time meaningless
        settings = replace(settings, batch_size=measuring.batch or settings.batch_size)
        return cls(unit, classes, settings, executed, device, device_name(device))

    @property
    def about(self) -> str:
        """What steps are measured, on what."""
        return f"{self.device_name}, batch {self.settings.batch_size}, {self.settings.optimizer}"

    def time(self, architecture: Architecture, how: StepTimeSettings = _DEFAULT) -> StepTime:
        """Measure. Raises ValueError where memory runs out."""
        from nas.measure.step_time import StepOutOfMemory, step_time
        from nas.training.device import is_out_of_memory
        from search_space.network import build_network

        pixels, drop_path = _train_size(architecture), self.settings.drop_path
        try:
            return step_time(
                build_network(architecture, *self.classes, drop_path=drop_path),
                build_network(self.unit, *self.classes, drop_path=drop_path),
                how,
                self.settings,
                execution=self.execution,
                image_size=pixels,
                reference_image_size=_train_size(self.unit),
                num_classes=self.classes[0],
                in_channels=self.classes[1],
                batch_size=self.settings.batch_size,
                device=self.device,
            )
        except (StepOutOfMemory, RuntimeError, MemoryError) as error:
            if not isinstance(error, StepOutOfMemory) and not is_out_of_memory(error):
                raise
            params = count(architecture, pixels, *self.classes).params
            raise ValueError(
                f"out of memory on {self.device}: a network of {short(params)} params at {pixels} px cannot be "
                f"measured: {str(error).splitlines()[0]}"
            ) from None


def _fit(trials: Sequence[Trial], quantity: str, size: int, classes: tuple[int, int]) -> Fit:
    return fit([t.architecture for t in trials], [getattr(t, quantity) for t in trials], size, *classes)


def _train_size(architecture: Architecture) -> int:
    assert architecture.train_image_size is not None  # members and start of a family with image sizes have one
    return architecture.train_image_size
