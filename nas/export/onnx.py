"""Export to ONNX, checked with onnxruntime: the only file that imports onnx and onnxruntime (the extra `onnx`)."""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from search_space.network import Network

_NEEDED = ("onnx", "onnxscript", "onnxruntime")
_LARGEST_ERROR = 1e-3  # of a logit, over the largest logit


def export_onnx(network: Network, path: Path, metadata: Mapping[str, Any]) -> list[Path]:
    """Write an ONNX model, images (batch, in_channels, size, size) float32 -> logits (batch, num_classes), any batch.

    The metadata is a model property, `metadata`, as JSON. What was written is run with onnxruntime.
    Raises: ValueError if the extra `onnx` is not installed, `path` does not end in .onnx, or onnxruntime's logits
        differ from ours by more than a thousandth of the largest.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"ONNX export needs {', '.join(missing)}: pip install 'training-aware-nas[onnx]'")
    if path.suffix != ".onnx":
        raise ValueError(f"an ONNX model ends in .onnx, got {path.name!r}")
    import onnx

    size, device = metadata["image_size"], next(network.parameters()).device
    images = torch.rand(2, metadata["in_channels"], size, size, device=device)
    was_training = network.training
    network.eval()
    try:
        _write(network, images, path)
    finally:
        network.train(was_training)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"metadata": json.dumps(metadata)})
    onnx.save(model, path)
    check_onnx(network, path)
    return [path]


def check_onnx(network: Network, path: Path, batch: int = 3) -> float:
    """Run the written model with onnxruntime on random images; give the largest error over the largest logit.

    Raises: ValueError if it is above a thousandth.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    channels, size = session.get_inputs()[0].shape[1:3]
    parameter = next(network.parameters())
    images = torch.rand(batch, channels, size, size, generator=torch.Generator().manual_seed(0))
    was_training = network.training
    network.eval()
    with torch.no_grad():
        ours = network(images.to(parameter.device)).float().cpu()
    network.train(was_training)
    (theirs,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    error = float((torch.from_numpy(theirs) - ours).abs().max() / ours.abs().max().clamp_min(1e-12))
    if not error <= _LARGEST_ERROR:
        raise ValueError(f"{path.name}: onnxruntime's logits differ from ours by {error:.2g} of the largest")
    return error


def _write(network: Network, images: torch.Tensor, path: Path) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports that torchvision is not installed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter calls what torch itself has deprecated
        torch.onnx.export(
            network,
            (images,),
            path,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes={"x": {0: torch.export.Dim("batch")}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
