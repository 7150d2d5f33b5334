"""`nas data`: decode a data set once."""

from __future__ import annotations

from pathlib import Path

from nas.commands.terminal import console
from nas.config.search import load_config


def data_prepare(path: Path) -> int:
    """Prepare a configuration's data set and say what it holds."""
    config = load_config(path)
    from nas.data.prepare import prepare

    prepared = prepare(config.data, config.image_size, progress=True)
    counts = f"train {prepared.train:,}, minival {prepared.minival:,}, test {prepared.test:,}"
    console().print(f"{prepared.folder}", soft_wrap=True)
    console().print(
        f"{counts}; {prepared.num_classes} classes, {prepared.channels} channels, {prepared.image_size} px, "
        f"fingerprint {prepared.fingerprint}",
        soft_wrap=True,
    )
    return 0
