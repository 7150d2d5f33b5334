"""Forward and backward of our networks against timm's and torchvision's of the same name, taken in turns.

Same parameters, dropout, drop path, batch and memory format (channels_last), on a GPU bf16 autocast; no optimiser.
A peer that cannot be imported is left out and named.

    python -m experiments.benchmarks.network --device cpu --out experiments/results     # about four minutes
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from experiments.benchmarks.results import write
from nas.measure.clock import choose_clock
from nas.training.device import device_name, limit_threads, resolve_device, set_up, synchronize
from search_space.families import published
from search_space.network import build_network

DROP_PATH, CLASSES = 0.2, 1000
OURS = "ours"


@dataclass(frozen=True)
class Workload:
    """A published network, and its name in torchvision; timm calls it as we do."""

    name: str
    torchvision: str
    image_size: int
    batch_size: int


WORKLOADS = {
    "cpu": (
        Workload("efficientnet_b0", "efficientnet_b0", 128, 16),
        Workload("efficientnetv2_s", "efficientnet_v2_s", 128, 8),
    ),
    "cuda": (
        Workload("efficientnet_b0", "efficientnet_b0", 224, 256),
        Workload("efficientnet_b4", "efficientnet_b4", 224, 128),
        Workload("efficientnetv2_s", "efficientnet_v2_s", 300, 128),
        Workload("efficientnetv2_m", "efficientnet_v2_m", 300, 64),
    ),
}


def contestants(workload: Workload) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """Our network and its peers' of that name, and why a peer is missing."""
    architecture = published(workload.name)
    networks: dict[str, nn.Module] = {OURS: build_network(architecture, CLASSES, drop_path=DROP_PATH)}
    missing = {}

    def timm() -> nn.Module:
        create: Callable[..., nn.Module] = importlib.import_module("timm").create_model
        return create(workload.name, drop_rate=architecture.dropout, drop_path_rate=DROP_PATH)

    def torchvision() -> nn.Module:
        models = importlib.import_module("torchvision.models.efficientnet")
        build: Callable[..., nn.Module] = getattr(models, workload.torchvision)
        return build(dropout=architecture.dropout, stochastic_depth_prob=DROP_PATH)

    for name, make in (("timm", timm), ("torchvision", torchvision)):
        try:
            networks[name] = make()
        except (ImportError, RuntimeError, OSError, AttributeError) as error:
            reason = str(error).partition("\n")[0]
            missing[name] = f"{type(error).__name__}: {reason}"
    sizes = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"{workload.name} is not the same network everywhere: parameters {sizes}")
    return networks, missing


def gradients(network: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Compute the gradients of one batch."""
    network.zero_grad(set_to_none=True)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
        logits = network(images)
    nn.functional.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]


def measure(workload: Workload, device: torch.device, rounds: int) -> dict[str, Any]:
    """Seconds of each contestant, a figure a round; ours over theirs round by round."""
    networks, missing = contestants(workload)
    size = (workload.batch_size, 3, workload.image_size, workload.image_size)
    images = torch.randn(size, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, size[:1], device=device)
    clock = choose_clock("auto", device)[1]
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    memory = {}
    for name, network in networks.items():
        network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        for _ in range(3):
            gradients(network, images, labels)
        network.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
            gradients(network, images, labels)
            network.zero_grad(set_to_none=True)
            memory[name] = (torch.cuda.max_memory_allocated(device) - before) / 2**20
    order = np.random.default_rng(0)
    for _ in range(rounds):
        for name in order.permutation(list(networks)):
            synchronize(device)
            start = clock()
            gradients(networks[name], images, labels)
            synchronize(device)
            seconds[name].append(clock() - start)
    ours = np.array(seconds[OURS])
    return {
        "network": workload.name,
        "image_size": workload.image_size,
        "batch_size": workload.batch_size,
        "missing": missing,
        "contestants": {
            name: {
                "milliseconds": 1e3 * float(np.median(times)),
                "ours_over_it": [float(q) for q in np.quantile(ours / times, (0.5, 0.1, 0.9))],
                **({"peak_memory_mb": memory[name]} if memory else {}),
            }
            for name, times in seconds.items()
        },
    }


def markdown(header: dict[str, Any], records: list[dict[str, Any]]) -> str:
    """The figures as a page."""
    lines = [f"# Networks against their peers: {header['device']}", ""]
    lines += [
        f"`python -m experiments.benchmarks.network`, {header['date'][:10]}, torch {header['torch']}, "
        f"{header['rounds']} rounds, {header['clock']} clock.",
        "Forward and backward of one batch; ours over theirs round by round: median, 10th and 90th percentile.",
        "",
        "| network | size | batch | whose | ms | ours / it | peak MiB |",
        "|---|--:|--:|---|--:|--:|--:|",
    ]
    for record in records:
        for name, found in record["contestants"].items():
            middle, low, high = found["ours_over_it"]
            ratio = "" if name == OURS else f"{middle:.2f} ({low:.2f}-{high:.2f})"
            peak = f"{found['peak_memory_mb']:,.0f}" if "peak_memory_mb" in found else ""
            lines.append(
                f"| {record['network']} | {record['image_size']} | {record['batch_size']} | {name} "
                f"| {found['milliseconds']:.1f} | {ratio} | {peak} |"
            )
    missing = {name: why for record in records for name, why in record["missing"].items()}
    lines += ["", *(f"Without {name}: {why}" for name, why in missing.items())]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--only", default="", help="part of a network's name")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--out", type=Path, help="folder for the results; default: print only")
    arguments = parser.parse_args()
    device = resolve_device(arguments.device)
    limit_threads(1)
    set_up(device)
    header = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device_name(device),
        "torch": torch.__version__,
        "rounds": arguments.rounds,
        "clock": choose_clock("auto", device)[0],
    }
    chosen = [workload for workload in WORKLOADS[device.type] if arguments.only in workload.name]
    records = [measure(workload, device, arguments.rounds) for workload in chosen]
    text = markdown(header, records)
    print(text)
    if arguments.out:
        write(arguments.out, "network", {**header, "records": records}, text)


if __name__ == "__main__":
    main()
