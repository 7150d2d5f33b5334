"""The data of a full training: decoded as large as its stages and its evaluation need them."""

from __future__ import annotations

from typing import Any

from nas.config.train import TrainConfig, frame_size, largest_image_size, training_stages
from nas.data.prepare import Prepared, prepare


def prepare_for_training(config: TrainConfig, **told: Any) -> Prepared:
    """Prepare the data of a training, or open them where that was done.

    Args:
        told: `progress`, `say` and `decoders`, as `nas.data.prepare.prepare` has them.
    Raises: ValueError as that does.
    """
    return prepare(config.data, largest_image_size(config), frame_size=frame_size(config), **told)


def check_data(prepared: Prepared, config: TrainConfig, test: bool) -> None:
    """Raise ValueError if the data have too few images for a training, or none to test on where that is asked."""
    largest = max(stage.batch_size for stage in training_stages(config))
    if prepared.train < largest:
        raise ValueError(f"a batch of {largest} is more than the {prepared.train} training images")
    if prepared.minival < 1:
        raise ValueError("data.minival leaves no image to measure accuracy on; give a larger one")
    if test and prepared.test < 1:
        raise ValueError("--test needs a test split, and the data has none")
