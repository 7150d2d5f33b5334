"""What architectures cost, counted and measured on a device, by any of their names."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from nas.architectures import Found, What, find
from nas.measure.fields import timing_fields

if TYPE_CHECKING:
    from nas.measure.profile import ProfileRow

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Profiled:
    """One architecture: what it was asked for as, and what it costs."""

    name: str
    costs: ProfileRow  # in all, beside the reference, and part by part

    def row(self) -> dict[str, Any]:
        """Give everything as one plain record, `parts` among it."""
        timing = self.costs.step_time
        return {
            "name": self.name,
            "arch_id": self.costs.architecture.arch_id,
            **self.costs.cost._asdict(),
            "image_size": timing.image_size,
            "batch_size": timing.batch_size,
            "micro_batch": timing.micro_batch,
            "precision": timing.precision,
            "memory_format": timing.memory_format,
            "device_name": timing.device_name,
            **timing_fields(timing),
            "interval": f"{timing.ratio_low:.3f} .. {timing.ratio_high:.3f}",
            "parts": [asdict(part) for part in self.costs.parts],
        }


def profile(
    *architectures: What,
    reference: What = "efficientnet_b0",
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    batch_size: int = 32,
    image_size: int | None = None,
    num_classes: int | None = None,
    in_channels: int | None = None,
    threads: int = 1,
    say: Callable[[str], None] = logger.info,
) -> list[Profiled]:
    """Count and measure architectures, each beside the reference: params, MACs, step time, memory, and their parts.

    Args:
        architectures: Architectures, or names that `find_architecture` takes.
        reference: whose step time is 1.
        device: auto, cpu, cuda or cuda:N.
        precision: of the step; auto is what the device is good for.
        batch_size: images per step, >= 1.
        image_size: pixels; default: of each what it trains at, is evaluated at, was searched at, or 224.
        num_classes, in_channels: of the networks, >= 1; default: of each its run's, else 1000 and 3.
        threads: of a CPU; more than there are free cores make a step slower and its time meaningless.
        say: told of each that was measured, which may take minutes; default: the log.
    Returns: one record each, in their order.
    Raises: ValueError for an unknown architecture, a device that is not there, or sizes below 1; StepOutOfMemory if
        not even one image fits.
    """
    given = {"batch_size": batch_size, "image_size": image_size, "threads": threads}
    for name, value in (given | {"num_classes": num_classes, "in_channels": in_channels}).items():
        if value is not None and value < 1:
            raise ValueError(f"{name} must be >= 1, got {value}")
    found, unit = [find(each) for each in architectures], find(reference).architecture
    from nas.measure.profile import profile as measure
    from nas.training.device import resolve_device, threads_limited

    on, profiled = resolve_device(device), []
    with threads_limited(threads) if on.type == "cpu" else nullcontext():
        for each in found:
            size = image_size or _image_size(each)
            classes, channels = each.classes
            costs = measure(
                each.architecture,
                reference=unit,
                device=on,
                image_size=size,
                batch_size=batch_size,
                num_classes=num_classes or classes,
                in_channels=in_channels or channels,
                precision=precision,
            )
            say(f"measured {each.name} at {size} px: {costs.step_time.ratio:.3f} of the reference's step")
            profiled.append(Profiled(each.name, costs))
    return profiled


def _image_size(found: Found) -> int:
    """What it trains at, is evaluated at, or was searched at."""
    return found.architecture.train_image_size or found.architecture.image_size or found.image_size or 224
