"""`nas export`: a trained network, or an architecture, for use elsewhere."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.architectures import find_architecture
from nas.commands.arguments import command, count
from nas.commands.terminal import console
from search_space.lookup import with_hint

if TYPE_CHECKING:
    from search_space.network import Network

# Files of a training's folder in the order they are looked for.
_CHECKPOINTS = ("best.pt", "last.pt")


def add(commands: Any) -> None:
    """Declare the arguments of `nas export`."""
    sub = command(commands, "export", "write a trained network for other tools", run)
    sub.add_argument("what", metavar="CHECKPOINT", help="file, folder of a training (its best), or ARCH (untrained)")
    sub.add_argument("--to", default="json", metavar="A,B", help="of json, timm, onnx, torchscript (default: json)")
    sub.add_argument("--out", type=Path, default=Path("exports"), metavar="DIR", help="default: exports")
    sub.add_argument("--name", default="model", help="of the files, without ending (default: model)")
    sub.add_argument("--image-size", type=count, metavar="PX", help="default: what it was evaluated at")
    sub.add_argument("--num-classes", type=count, metavar="N", help="of an ARCH (default: 1000)")
    sub.add_argument("--in-channels", type=count, metavar="N", help="of an ARCH (default: 3)")


def run(a: argparse.Namespace) -> int:
    """Export a checkpoint or an architecture."""
    return export_command(a.what, a.to.split(","), a.out, a.name, a.image_size, a.num_classes, a.in_channels)


def export_command(
    what: str,
    to: Sequence[str],
    out: Path,
    name: str,
    image_size: int | None,
    num_classes: int | None,
    in_channels: int | None,
) -> int:
    """Write a checkpoint's averaged weights, or an architecture with weights as drawn, in one format or several.

    Args:
        what: a checkpoint, the folder of a training (its best), or an architecture as `find_architecture` takes it.
        image_size: pixels; default: what the checkpoint was evaluated at, the architecture's, else 224.
        num_classes, in_channels: of an architecture; a checkpoint has its own.
    Raises: ValueError for whatever the user can fix.
    """
    path = _checkpoint(Path(what))
    if path is not None and (num_classes is not None or in_channels is not None):
        raise ValueError("a checkpoint has its own classes and channels: no --num-classes or --in-channels with one")
    from nas.export.export import EXPORTS, export_network

    for form in to:
        if form not in EXPORTS:
            raise ValueError(f"unknown export {with_hint(form, tuple(EXPORTS))}")

    if path is None:
        network, recipe, provenance = _drawn(what, num_classes or 1000, in_channels or 3)
        size = image_size or network.architecture.image_size or 224
        if set(to) != {"json"}:
            console(stderr=True).print(f"{what} has no trained weights: these are as drawn", soft_wrap=True)
    else:
        network, recipe, provenance = _trained(path)
        size = image_size or recipe["eval_image_size"]
    failed = []
    for form in to:
        try:
            files = export_network(network, form, out, name=name, recipe=recipe, provenance=provenance, image_size=size)
        except ValueError as error:  # the other formats may be possible
            failed.append(f"{form}: {error}")
            continue
        for written in files:
            console().print(str(written), soft_wrap=True)
    if failed:
        raise ValueError("not written: " + "; ".join(failed))
    return 0


def _checkpoint(path: Path) -> Path | None:
    """The checkpoint that is meant, or None where an architecture is."""
    if path.is_dir():
        return next((path / name for name in _CHECKPOINTS if (path / name).exists()), None)
    return path if path.is_file() and path.suffix == ".pt" else None


def _trained(path: Path) -> tuple[Network, dict[str, Any], dict[str, Any]]:
    from nas.full_training.folder import network_of

    network, state, about = network_of(path)
    provenance = {**about["provenance"], **{k: v for k, v in about.items() if k not in ("config", "provenance")}}
    last = state.curve[-1]
    provenance |= {
        "checkpoint": str(path),
        "weights": "trained" if state.ema is None else "trained, exponential moving average",
        "epochs": len(state.curve),
        "minival_accuracy": last["accuracy"],
    }
    return network, about["config"], provenance


def _drawn(what: str, num_classes: int, in_channels: int) -> tuple[Network, dict[str, Any], dict[str, Any]]:
    import torch

    from nas.runs.folder import provenance
    from search_space.network import build_network

    architecture = find_architecture(what)
    torch.manual_seed(0)
    network = build_network(architecture, num_classes, in_channels)
    return network, {}, {**provenance(), "architecture_from": what, "weights": "untrained, seed 0"}
