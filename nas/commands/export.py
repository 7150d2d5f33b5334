"""`nas export`: a trained network, or an architecture, for use elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nas.commands.arguments import command, count
from nas.commands.terminal import console, say


def add(commands: Any) -> None:
    """Declare the arguments of `nas export`."""
    sub = command(commands, "export", "write a trained network for other tools", run)
    sub.add_argument("what", metavar="CHECKPOINT", help="file, folder of a training, or ARCH (untrained)")
    sub.add_argument(
        "--to", default="json", metavar="A,B", help="of json, timm, onnx, torchscript, hub-folder (default: json)"
    )
    sub.add_argument(
        "--weights", choices=("final", "best"), help="of a training: after the last epoch (default) or best on minival"
    )
    sub.add_argument("--out", type=Path, default=Path("exports"), metavar="DIR", help="default: exports")
    sub.add_argument(
        "--name", default="model", help="of the files, without ending, or of the hub folder (default: model)"
    )
    sub.add_argument("--image-size", type=count, metavar="PX", help="default: what it was evaluated at")
    sub.add_argument("--num-classes", type=count, metavar="N", help="of an ARCH (default: its run's, or 1000)")
    sub.add_argument("--in-channels", type=count, metavar="N", help="of an ARCH (default: its run's, or 3)")


def run(a: argparse.Namespace) -> int:
    """Export a checkpoint or an architecture; say what was written."""
    from nas.export.export import export_model

    result = export_model(
        a.what,
        to=a.to.split(","),
        out=a.out,
        name=a.name,
        weights=a.weights,
        image_size=a.image_size,
        num_classes=a.num_classes,
        in_channels=a.in_channels,
    )
    if not result.is_trained and set(a.to.split(",")) != {"json"}:
        say(f"{a.what} has no trained weights: these are as drawn", stderr=True)
    for path in result.files:
        console().print(str(path), soft_wrap=True)  # whole, however long: for whoever reads it by lines
    if result.failed:
        raise ValueError("not written: " + "; ".join(f"{form}: {why}" for form, why in result.failed.items()))
    return 0
