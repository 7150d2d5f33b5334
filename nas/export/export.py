"""Write a trained network, or an architecture, for use elsewhere: one function per format."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nas.architectures import What, find
from nas.export.hub import export_hub
from nas.export.metadata import model_metadata
from nas.export.onnx import export_onnx
from nas.export.timm import export_timm
from nas.export.torchscript import export_torchscript
from nas.full_training.folder import CHECKPOINTS, Weights, check_weights, known_test, network_of
from nas.runs.folder import provenance
from nas.whole_files import folder_for, write_whole
from search_space.architecture import Architecture
from search_space.lookup import with_hint
from search_space.network import Network, build_network


def export_json(network: Network, path: Path, metadata: Mapping[str, Any]) -> list[Path]:
    """Write what the model is, without its weights: architecture, recipe, provenance."""
    write_whole(path, json.dumps(metadata, indent=2) + "\n")
    return [path]


# name -> (how to write it, how its file ends)
EXPORTS: dict[str, tuple[Callable[[Network, Path, Mapping[str, Any]], list[Path]], str]] = {
    "json": (export_json, ".json"),
    "timm": (export_timm, ".pth"),
    "onnx": (export_onnx, ".onnx"),
    "torchscript": (export_torchscript, ".torchscript.pt"),
    "hub-folder": (export_hub, ""),
}


@dataclass(frozen=True)
class ExportResult:
    """What an export wrote."""

    files: tuple[Path, ...]
    failed: Mapping[str, str]  # format -> why it cannot hold this network
    is_trained: bool  # False: the weights are as drawn


def export_model(
    what: What,
    to: Sequence[str] = ("json",),
    *,
    out: Path | str = Path("exports"),
    name: str = "model",
    weights: Weights | None = None,
    image_size: int | None = None,
    num_classes: int | None = None,
    in_channels: int | None = None,
) -> ExportResult:
    """Write a checkpoint's averaged weights, or an architecture with weights as drawn, in one format or several.

    A format that cannot hold the network does not keep the others from being written.

    Args:
        what: a checkpoint, the folder of a training, or an architecture as `find_architecture` takes it.
        to: keys of EXPORTS.
        out: folder, made if it is not there.
        name: of the files, without ending; of a hub's folder.
        weights: of a training's folder: final (after the last epoch, averaged where EMA is on; the default), or best
            (on minival): those that `train` tests by the same choice. Their accuracies stand in the provenance.
        image_size: pixels; default: what the checkpoint was evaluated at, the architecture's, its run's, else 224.
        num_classes, in_channels: of an architecture (default: its run's, else 1000 and 3); a checkpoint has its own.
    Raises: ValueError for an unknown format, for what is neither a checkpoint nor an architecture, for classes or
        channels given with a checkpoint, or for weights that are not there.
    """
    for form in to:
        if form not in EXPORTS:
            raise ValueError(f"unknown export {with_hint(form, EXPORTS)}")
    source = _source(what, weights, num_classes, in_channels)
    files, failed = [], {}
    for form in to:
        try:
            files += export_network(
                source.network,
                form,
                Path(out),
                name=name,
                recipe=source.recipe,
                provenance=source.provenance,
                image_size=image_size or source.image_size,
            )
        except ValueError as error:
            failed[form] = str(error)
    return ExportResult(tuple(files), failed, source.is_trained)


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
        raise ValueError(f"unknown export {with_hint(to, EXPORTS)}")
    metadata = model_metadata(network, recipe, provenance, image_size)
    write, suffix = EXPORTS[to]
    with folder_for(folder):
        return write(network, folder / f"{name}{suffix}", metadata)


@dataclass(frozen=True)
class _Source:
    """What is exported."""

    network: Network
    recipe: Mapping[str, Any]  # the configuration it was trained with
    provenance: Mapping[str, Any]
    image_size: int  # it was evaluated at, pixels
    is_trained: bool


def _source(what: What, weights: Weights | None, num_classes: int | None, in_channels: int | None) -> _Source:
    path = None if isinstance(what, Architecture) else _checkpoint(Path(what), weights)
    if path is None:
        return _drawn(what, num_classes, in_channels)
    if num_classes is not None or in_channels is not None:
        raise ValueError("a checkpoint has its own classes and channels: no --num-classes or --in-channels with one")
    return _trained(path)


def _checkpoint(path: Path, weights: Weights | None) -> Path | None:
    """The checkpoint that is meant, or None where an architecture is."""
    if weights is not None:
        check_weights(weights)
    kept = [name for name in CHECKPOINTS.values() if (path / name).exists()]
    if not kept:
        if weights is not None:
            raise ValueError(f"{path} is no folder of a training, of which {weights} weights could be exported")
        return path if path.is_file() and path.suffix == ".pt" else None
    name = CHECKPOINTS[weights or "final"]
    if name not in kept:
        raise ValueError(f"{path} has no {name}, but {kept[0]}: name that file")
    return path / name


def _trained(path: Path) -> _Source:
    network, state, about = network_of(path)
    test = known_test(path, len(state.curve))
    provenance = {**about["provenance"], **{k: v for k, v in about.items() if k not in ("config", "provenance")}}
    provenance |= {
        "checkpoint": str(path),
        "weights": "trained" if state.ema is None else "trained, exponential moving average",
        "epochs": len(state.curve),
        "minival_accuracy": state.curve[-1]["accuracy"],
        "test_accuracy": test and test["accuracy"],
    }
    return _Source(network, about["config"], provenance, about["config"]["eval_image_size"], is_trained=True)


def _drawn(what: What, num_classes: int | None, in_channels: int | None) -> _Source:
    found = find(what)
    classes, channels = found.classes
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers go on as they were
        torch.default_generator.manual_seed(0)
        network = build_network(found.architecture, num_classes or classes, in_channels or channels)
    about = {**provenance(), "architecture_from": found.name, "weights": "untrained, seed 0"}
    return _Source(network, {}, about, found.architecture.image_size or found.image_size or 224, is_trained=False)
