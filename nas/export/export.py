"""Write a trained network for use elsewhere: one function per format."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nas.export.metadata import model_metadata
from nas.export.onnx import export_onnx
from nas.export.timm import export_timm
from nas.export.torchscript import export_torchscript
from search_space.network import Network


def export_json(network: Network, path: Path, metadata: Mapping[str, Any]) -> list[Path]:
    """Write what the model is, without its weights: architecture, recipe, provenance."""
    path.write_text(json.dumps(metadata, indent=2) + "\n")
    return [path]


# name -> (how to write it, how its file ends)
EXPORTS: dict[str, tuple[Callable[[Network, Path, Mapping[str, Any]], list[Path]], str]] = {
    "json": (export_json, ".json"),
    "timm": (export_timm, ".pth"),
    "onnx": (export_onnx, ".onnx"),
    "torchscript": (export_torchscript, ".torchscript.pt"),
}


def export_network(
    network: Network,
    to: str,
    folder: Path,
    *,
    name: str = "model",
    recipe: Mapping[str, Any],
    provenance: Mapping[str, Any],
    image_size: int | None = None,
) -> list[Path]:
    """Write a network, with its resolved recipe and its provenance inside.

    Args:
        to: a key of EXPORTS.
        folder: made if it is not there; the file is called `name` and ends as its format does.
        recipe, provenance: plain JSON.
        image_size: height and width the model is meant for, pixels; default: the architecture's.
    Returns: the files written.
    Raises: ValueError for an unknown format, an architecture that the format cannot hold, or metadata that is not JSON.
    """
    if to not in EXPORTS:
        raise ValueError(f"unknown export {to!r}; known: {', '.join(EXPORTS)}")
    metadata = model_metadata(network, recipe, provenance, image_size)
    write, suffix = EXPORTS[to]
    folder.mkdir(parents=True, exist_ok=True)
    return write(network, folder / f"{name}{suffix}", metadata)
