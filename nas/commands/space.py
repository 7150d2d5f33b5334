"""`nas space`: how large a search space is, and what it holds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nas.commands.arguments import add_format, command, count
from nas.commands.terminal import Column, show, show_facts
from nas.runs.text import short

_SAMPLES = (
    Column("arch_id", "arch_id"),
    Column("params", "params", short),
    Column("macs", "MACs", short),
    Column("blocks", "blocks", lambda text: text.replace(",", "\n")),
)


def add(commands: Any) -> None:
    """Declare the arguments of `nas space size` and `nas space sample`."""
    verbs = commands.add_parser("space", help="look at a search space").add_subparsers(required=True, metavar="VERB")
    sub = command(verbs, "size", "number of architectures, decisions and range of costs", _size)
    sub.add_argument("config", type=Path, metavar="CONFIG", help="YAML file, or a name of `nas configs`")
    sub = command(verbs, "sample", "draw architectures", _sample)
    sub.add_argument("config", type=Path, metavar="CONFIG", help="YAML file, or a name of `nas configs`")
    sub.add_argument("-n", type=count, default=5, help="how many (default: 5)")
    sub.add_argument("--seed", type=int, default=0, help="default: 0")
    add_format(sub)


def _size(a: argparse.Namespace) -> int:
    from nas.config.search import load_config
    from nas.search.plan import space_lines
    from search_space.description import describe_space

    space = describe_space(load_config(a.config).space)
    show_facts(space_lines(space))
    show_facts([(one.name, ", ".join(map(str, one.choices))) for one in space.decisions], indent=2)
    return 0


def _sample(a: argparse.Namespace) -> int:
    from nas.config.search import load_config
    from search_space.block_strings import to_block_strings
    from search_space.description import sample_space

    drawn = sample_space(load_config(a.config).space, a.n, seed=a.seed)
    rows = [
        {
            "arch_id": one.architecture.arch_id,
            "params": one.cost.params,
            "macs": one.cost.macs,
            "blocks": ",".join(to_block_strings(one.architecture)),
        }
        for one in drawn
    ]
    show(rows, a.format, _SAMPLES)
    return 0
