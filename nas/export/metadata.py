"""What every exported model says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch

from search_space.network import Network

FORMAT_VERSION = 1


def model_metadata(
    network: Network, recipe: Mapping[str, Any], provenance: Mapping[str, Any], image_size: int | None = None
) -> dict[str, Any]:
    """Describe a network: plain JSON.

    Args:
        recipe: the resolved configuration it was trained with.
        provenance: where it comes from: run, data, accuracy, commit, whatever is known.
        image_size: height and width it is meant for, pixels; default: the architecture's.
    Raises: ValueError if recipe or provenance is not JSON, or no image size is known.
    """
    architecture = network.architecture
    image_size = image_size or architecture.image_size
    if image_size is None:
        raise ValueError("the architecture says no image_size; give one")
    record = {
        "format_version": FORMAT_VERSION,
        "architecture": architecture.to_dict(),
        "arch_id": architecture.arch_id,
        "num_classes": network.classifier.out_features,
        "in_channels": network.conv_stem.in_channels,
        "image_size": image_size,
        "padding": network.padding,  # of strided convolutions; same = TensorFlow's
        "recipe": dict(recipe),
        "provenance": dict(provenance),
        "torch_version": str(torch.__version__),
    }
    try:
        json.dumps(record, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"recipe and provenance must be JSON: {error}") from None
    return record
