"""`nas baseline`: what classifiers without a network come to."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.commands.arguments import add_format, command, count
from nas.commands.terminal import Column, say, show
from nas.runs.text import fixed, short

if TYPE_CHECKING:
    from nas.claims.classical import ClassicalBaseline

# The last ones go first where a terminal is narrow.
_COLUMNS = (
    Column("method", "classifier"),
    Column("accuracy", "accuracy", fixed(4)),
    Column("accuracy_se", "±", fixed(4)),
    Column("test_accuracy", "test", fixed(4)),
    Column("test_accuracy_se", "±", fixed(4)),
    Column("fit_s", "fit s", fixed(1)),
    Column("fit_cpu_s", "CPU s", fixed(1)),
    Column("images_per_s", "images/s", short),
)


def add(commands: Any) -> None:
    """Declare the arguments of `nas baseline`."""
    sub = command(commands, "baseline", "what random forest, linear SVM and boosting come to on the same splits", run)
    sub.add_argument("config", type=Path, metavar="CONFIG")
    sub.add_argument("--methods", metavar="M[,M]", help="random_forest, linear_svm, gradient_boosting (default: all)")
    sub.add_argument("--image-size", type=count, metavar="PX", help="default: the search's")
    sub.add_argument("--test", action="store_true", help="judge on the test images, too")
    sub.add_argument("--threads", type=count, metavar="N", help="default: as many as there are CPUs")
    add_format(sub)


def run(a: argparse.Namespace) -> int:
    """Fit the classifiers and print a row for each."""
    from nas.claims.classical import CLASSICAL, classical_baselines
    from nas.config.search import load_config

    methods = tuple(CLASSICAL) if a.methods is None else tuple(a.methods.split(","))

    def tell(done: ClassicalBaseline) -> None:
        say(f"{done.method}: {done.accuracy:.4f} after {done.fit_s:.0f} s", stderr=True)

    found = classical_baselines(
        load_config(a.config), methods, image_size=a.image_size, test=a.test, threads=a.threads, say=tell
    )
    if a.format == "table":
        first = found[0]
        images = f"{first.train_images:,} training images of {first.features:,} numbers"
        say(f"{images}, {first.threads} threads; nothing is tuned")
    show([asdict(each) for each in found], a.format, _COLUMNS)
    return 0
