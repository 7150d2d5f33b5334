"""Export to TorchScript, which loads without this toolkit."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nas.whole_files import write_whole
from search_space.network import Network


def export_torchscript(network: Network, path: Path, metadata: Mapping[str, Any]) -> list[Path]:
    """Write a traced module, images (batch, in_channels, H, W) -> logits (batch, num_classes), for evaluation.

    The metadata is the extra file `metadata.json` inside it:
    `torch.jit.load(path, _extra_files=(files := {"metadata.json": ""}))`.
    """
    size, device = metadata["image_size"], next(network.parameters()).device
    images = torch.rand(2, metadata["in_channels"], size, size, device=device)
    was_training = network.training
    network.eval()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.filterwarnings("ignore", message=r".*torch\.jit.*", category=DeprecationWarning)
            traced = torch.jit.trace(network, images)  # type: ignore[no-untyped-call]
            whole = io.BytesIO()  # where torch itself writes, a disk that is full aborts the process
            torch.jit.save(traced, whole, _extra_files={"metadata.json": json.dumps(metadata)})
    finally:
        network.train(was_training)
    write_whole(path, whole.getvalue())
    return [path]
