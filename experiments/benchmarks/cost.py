"""How many architectures a second one core can count: in batches, one by one, and by building and tracing them.

Times are of the processor, so that other work on the machine does not count; the wall clock stands beside them.

    python -m experiments.benchmarks.cost --out experiments/results
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from search_space.cost import count, count_batch, stage_cost
from search_space.network import build_network
from search_space.space import SearchSpace
from search_space.spaces import SPACES

IMAGE_SIZE = 224


def batch(space: SearchSpace, codes: Any) -> None:
    """`count_batch`: parameters, MACs and activations of all."""
    count_batch(space, codes, IMAGE_SIZE)


def one_by_one(space: SearchSpace, codes: Any) -> None:
    """`decode` and `count` of each, with nothing remembered from the round before."""
    stage_cost.cache_clear()
    for code in codes:
        count(space.decode(code), IMAGE_SIZE)


def traced(space: SearchSpace, codes: Any) -> None:
    """The peer: build each network on the meta device and let torch's FlopCounterMode watch its forward pass."""
    for code in codes:
        with torch.device("meta"), torch.no_grad():
            network = build_network(space.decode(code)).eval()
            with FlopCounterMode(display=False) as counter:
                network(torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE))
        counter.get_total_flops()


# way of counting -> architectures a round
WAYS: dict[Callable[[SearchSpace, Any], None], int] = {batch: 500_000, one_by_one: 20_000, traced: 4}


def measure(way: Callable[[SearchSpace, Any], None], name: str, n: int, rounds: int) -> dict[str, Any]:
    """Count `n` architectures of a ready-made space in each round, after one round to warm up."""
    space = SPACES[name]()
    codes = space.sample_encodings(n, np.random.default_rng(0))
    cpu, wall = [], []
    for _ in range(rounds + 1):
        cpu_start, wall_start = time.process_time(), time.perf_counter()
        way(space, codes)
        cpu.append(n / (time.process_time() - cpu_start))
        wall.append(n / (time.perf_counter() - wall_start))
    return {
        "way": way.__name__,
        "space": name,
        "architectures": n,
        "rounds": rounds,
        "per_cpu_s": statistics.median(cpu[1:]),
        "per_cpu_s_low": min(cpu[1:]),
        "per_cpu_s_high": max(cpu[1:]),
        "per_wall_s": statistics.median(wall[1:]),
    }


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "load": f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
    }


def report(rows: list[dict[str, Any]], on: dict[str, str]) -> str:
    """Markdown of the figures."""
    lines = [
        "# Counting parameters, MACs and activations",
        "",
        f"Architectures per second of one core at {IMAGE_SIZE} pixels: median of the rounds, slowest to fastest round.",
        f"{on['cpu']}; Python {on['python']}, numpy {on['numpy']}, torch {on['torch']}, one thread; "
        f"load average {on['load']}.",
        "`python -m experiments.benchmarks.cost`",
        "",
        "| space | way | per CPU second | rounds | per wall second |",
        "|---|---|--:|--:|--:|",
    ]
    for row in rows:
        median, low, high, wall = (
            _short(row[key]) for key in ("per_cpu_s", "per_cpu_s_low", "per_cpu_s_high", "per_wall_s")
        )
        rounds = f"{row['rounds']} x {row['architectures']:,}"
        lines.append(f"| {row['space']} | {row['way']} | {median} ({low} to {high}) | {rounds} | {wall} |")
    lines += ["", *(f"* `{way.__name__}`: {(way.__doc__ or '').strip()}" for way in WAYS)]
    return "\n".join(lines) + "\n"


def _short(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, help="folder for DATE-cost.json and DATE-cost.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [measure(way, name, n, arguments.rounds) for name in SPACES for way, n in WAYS.items()]
    on = machine()
    text = report(rows, on)
    print(text, end="")
    if arguments.out:
        stem = f"{datetime.now(UTC):%Y-%m-%d}-cost"
        record = {"image_size": IMAGE_SIZE, "machine": on, "rows": rows}
        (arguments.out / f"{stem}.json").write_text(json.dumps(record, indent=2) + "\n")
        (arguments.out / f"{stem}.md").write_text(text)


if __name__ == "__main__":
    main()
