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

from search_space.lookup import describe
from search_space.network import Network

logger = logging.getLogger(__name__)

_NEEDED = ("onnx", "onnxscript", "onnxruntime")
_FIXED = {0: "batch"}
_FREE = {**_FIXED, 2: "height", 3: "width"}
_LARGEST_ERROR = 1e-3  # of a logit, over the largest logit


def export_onnx(network: Network, path: Path, metadata: Mapping[str, Any]) -> list[Path]:
    """Write an ONNX model, images (batch, in_channels, height, width) float32 -> logits (batch, num_classes).

    Batch, height and width are any; of a network whose padding depends on the size (`same`), or with an op that cannot
    do it, height and width are the metadata's. That is a model property, `metadata`, as JSON. What was written is run
    with onnxruntime.
    Raises: ValueError if the extra `onnx` is not installed, `path` does not end in .onnx, or onnxruntime's logits
        differ from ours by more than a thousandth of the largest.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"ONNX export needs {', '.join(missing)}: pip install 'training-aware-nas[onnx]'")
    if path.suffix != ".onnx":
        raise ValueError(f"an ONNX model ends in .onnx, got {path.name!r}")
    try:
        _export(network, path, metadata, _FREE if network.padding == "symmetric" else _FIXED)
    except Exception as error:  # whatever torch's exporter makes of an op of anybody's
        if network.padding != "symmetric":
            raise
        _export(network, path, metadata, _FIXED)
        logger.warning("%s takes images of %s px alone: %s", path.name, metadata["image_size"], describe(error))
    return [path]


def _export(network: Network, path: Path, metadata: Mapping[str, Any], free: Mapping[int, str]) -> None:
    """Write and check a model whose input has these free dimensions."""
    import onnx

    size, device = metadata["image_size"], next(network.parameters()).device
    images = torch.rand(2, metadata["in_channels"], size, size, device=device)
    was_training = network.training
    network.eval()
    try:
        _write(network, images, path, free)
    finally:
        network.train(was_training)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"metadata": json.dumps(metadata)})
    onnx.save(model, path)
    check_onnx(network, path)


def check_onnx(network: Network, path: Path, batch: int = 3) -> float:
    """Run the written model with onnxruntime on random images, of two sizes if it takes any; give its error.

    Returns: the largest difference of a logit, over the largest of ours.

    Raises: ValueError if it is above a thousandth.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    channels, height, _ = session.get_inputs()[0].shape[1:]
    size = json.loads(session.get_modelmeta().custom_metadata_map["metadata"])["image_size"]
    shapes = [(size, size), (size // 2 + 5, size // 2)]  # the second is neither square nor even
    was_training = network.training
    network.eval()
    try:
        sizes = shapes[:1] if height == size else shapes
        error = max(_error(network, session, (batch, channels, *each)) for each in sizes)
    finally:
        network.train(was_training)
    if not error <= _LARGEST_ERROR:
        raise ValueError(f"{path.name}: onnxruntime's logits differ from ours by {error:.2g} of the largest")
    return error


def _error(network: Network, session: Any, shape: tuple[int, ...]) -> float:
    """The largest difference of the logits of random images, over the largest of ours."""
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = network(images.to(next(network.parameters()).device)).float().cpu()
    (theirs,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    return float((torch.from_numpy(theirs) - ours).abs().max() / ours.abs().max().clamp_min(1e-12))


def _write(network: Network, images: torch.Tensor, path: Path, free: Mapping[int, str]) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports that torchvision is not installed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter calls what torch itself has deprecated
        torch.onnx.export(
            network,
            (images,),
            path,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes={"x": {place: torch.export.Dim(name) for place, name in free.items()}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
