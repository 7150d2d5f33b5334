"""What a measurer is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.measure.settings import StepTimeSettings
from nas.training.settings import ExecutionSettings

if TYPE_CHECKING:
    import torch

    from search_space.network import Network


@dataclass(frozen=True)
class Subject:
    """A candidate before its training, beside the reference network; both on the device, and to be left as they are."""

    network: Network  # images (N, in_channels, image_size, image_size) -> logits (N, num_classes)
    reference: Network
    image_size: int  # pixels, height = width
    in_channels: int
    num_classes: int
    batch_size: int  # of the training
    device: torch.device
    execution: ExecutionSettings  # precision, memory format
    settings: StepTimeSettings  # of timing: pairs, clock, lock
