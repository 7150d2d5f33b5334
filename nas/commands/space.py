"""`nas space`: how large a search space is, and what it holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas.commands.search import space_lines
from nas.commands.terminal import Column, console, short, show
from nas.config.search import load_config
from search_space.block_strings import to_block_strings
from search_space.cost import count

_SAMPLES = (
    Column("arch_id", "arch_id"),
    Column("params", "params", short),
    Column("macs", "MACs", short),
    Column("blocks", "blocks", lambda text: text.replace(",", "\n")),
)


def space_size(path: Path) -> int:
    """Print a space's size, decisions and range of costs."""
    config = load_config(path)
    for name, text in space_lines(config).items():
        console().print(f"{name:<9}  {text}", soft_wrap=True)
    for decision in config.space.decisions:
        console().print(f"  {decision.name:<20} {', '.join(map(str, decision.choices))}", soft_wrap=True)
    return 0


def space_sample(path: Path, n: int, seed: int, form: str) -> int:
    """Draw and print architectures."""
    config = load_config(path)
    space, rng = config.space, np.random.default_rng(seed)
    c = space.constraints
    rows = []
    for _ in range(n):
        architecture = space.sample(rng)
        cost = count(architecture, c.image_size, c.num_classes, c.in_channels)
        row = {"arch_id": architecture.arch_id, "params": cost.params, "macs": cost.macs}
        rows.append(row | {"blocks": ",".join(to_block_strings(architecture))})
    show(rows, form, _SAMPLES)
    return 0
