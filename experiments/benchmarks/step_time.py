"""How far step times can be trusted: plain timing and ours against a long reference measurement.

Networks of nearly equal MACs are timed in three conditions: on the device as it is (`idle`), while other processes
train on it without asking (`loaded`), and beside three trainers that share the device lock (`together`). Goals: rms
error at most 2 % idle and 3 % loaded with at most 30 pairs, Kendall's tau at least 0.97 and 0.92.

The truth is measured apart from the method that is judged: all networks take turns in random order, the reference
thrice, each with a few steps in a row of which the fastest counts, for many rounds, half of them before and half after
everything else. Plain timing is 30 steps of a network in a row after 3 to warm up, in wall time; as it knows no unit of
its own, its mean error is taken off first.

    python -m experiments.benchmarks.step_time --device cpu --out experiments/results     # about half an hour
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from experiments.benchmarks.results import write
from experiments.benchmarks.step_time_report import GOALS, judged, kendall_tau, markdown
from nas.measure.clock import choose_clock
from nas.measure.device_lock import DeviceLock
from nas.measure.pairs import centre
from nas.measure.settings import StepTimeSettings
from nas.measure.step_time import make_batch, step_time
from nas.training.device import device_name, limit_threads, resolve_device, set_up, synchronize
from nas.training.settings import EXECUTION, TrainSettings
from nas.training.step import TrainingStep, make_step
from search_space.architecture import Architecture
from search_space.cost import count, count_batch
from search_space.network import build_network
from search_space.spaces import SPACES, backbone_of

CLASSES = 10
PLAIN_STEPS = 30
LOAD = {"cpu": 3, "cuda": 1}  # processes that compete in the condition `loaded`
TRAINING = TrainSettings()
TIMING = StepTimeSettings()


@dataclass(frozen=True)
class Set:
    """What is timed: a space, and the size of its steps."""

    space: str
    arguments: dict[str, Any]
    image_size: int
    batch_size: int


SETS = {
    "cpu": Set("small", {}, 32, 16),
    "cuda": Set("efficientnetv2", {"backbone": "efficientnet_b0"}, 128, 128),
}


# ---- the networks and their true ratios


def candidates(chosen: Set, n: int) -> tuple[list[Architecture], Architecture]:
    """Give `n` architectures whose MACs lie closest to the space's median, out of 20 n, and its backbone."""
    space, rng = SPACES[chosen.space](**chosen.arguments), np.random.default_rng(0)
    reference = backbone_of(space)
    codes = np.unique([space.encode(space.sample(rng)) for _ in range(20 * n)], axis=0)
    macs = count_batch(space, codes, chosen.image_size, CLASSES).macs
    nearest = np.argsort(np.abs(np.log(macs / np.median(macs))))[:n]
    return [space.decode(codes[i]) for i in nearest], reference


def prepared(architecture: Architecture, device: torch.device) -> TrainingStep:
    network = build_network(architecture, CLASSES, drop_path=TRAINING.drop_path)
    return make_step(network, TRAINING, device=device, total_steps=10**6)


def block_s(step: TrainingStep, batch: tuple[torch.Tensor, torch.Tensor], clock: Any, steps: int) -> list[float]:
    """Time steps in a row."""
    times = []
    for _ in range(steps):
        synchronize(step.device)
        start = clock()
        step(*batch)
        synchronize(step.device)
        times.append(clock() - start)
    return times


def long_reference(steps: list[TrainingStep], batch: Any, rounds: int, seed: int) -> np.ndarray:
    """Give the logarithms of each network's time over the last one's in the same round: (rounds, networks - 1)."""
    clock, rng = choose_clock("auto", steps[0].device)[1], np.random.default_rng(seed)
    for step in steps:
        block_s(step, batch, clock, 5)
    turns = [*range(len(steps)), len(steps) - 1, len(steps) - 1]  # the reference's errors are in every ratio
    logs = np.zeros((rounds, len(turns)))
    for row in logs:
        for turn in rng.permutation(len(turns)):
            row[turn] = math.log(min(block_s(steps[turns[turn]], batch, clock, 4)[1:]))
    return logs[:, : len(steps) - 1] - logs[:, len(steps) - 1 :].mean(axis=1, keepdims=True)


# ---- what competes for the device


def train_for_ever(architecture: Architecture, chosen: Set, device_text: str, locked: bool, ready: Any) -> None:
    limit_threads(1)
    device = resolve_device(device_text)
    step = prepared(architecture, device)
    lock = DeviceLock(device) if locked else None  # having one would make this process one of ours
    batch = make_batch((chosen.batch_size, 3, chosen.image_size, chosen.image_size), CLASSES, EXECUTION, device)
    parent = multiprocessing.parent_process()
    while parent is not None and parent.is_alive():
        with lock.training() if lock else nullcontext():
            step(*batch)
        ready.set()


@contextmanager
def others(condition: str, architectures: list[Architecture], chosen: Set, device: torch.device) -> Iterator[None]:
    """Other processes train on the device meanwhile, unless the condition is `idle`."""
    context, started = multiprocessing.get_context("spawn"), []
    for architecture in architectures[: {"idle": 0, "loaded": LOAD[device.type], "together": 3}[condition]]:
        ready = context.Event()
        arguments = (architecture, chosen, str(device), condition == "together", ready)
        process = context.Process(target=train_for_ever, args=arguments, daemon=True)
        process.start()
        started.append((process, ready))
    for _, ready in started:
        ready.wait()
    try:
        yield
    finally:
        for process, _ in started:
            process.kill()
            process.join()


# ---- the methods


def plain(architecture: Architecture, batch: Any, device: torch.device) -> dict[str, float]:
    times = block_s(prepared(architecture, device), batch, time.perf_counter, 3 + PLAIN_STEPS)[3:]
    return {"plain wall median": math.log(median(times)), "plain wall minimum": math.log(min(times))}


def ours(candidate: Architecture, reference: Architecture, chosen: Set, device: torch.device) -> dict[str, Any]:
    """Time in pairs, once; the wall time of the same pairs is noted beside the clock that is used."""
    walls: list[float] = []
    name, clock = choose_clock(TIMING.clock, device)

    def noted() -> float:
        walls.append(time.perf_counter())
        return clock()

    networks = (build_network(each, CLASSES, drop_path=TRAINING.drop_path) for each in (candidate, reference))
    shape = {"image_size": chosen.image_size, "in_channels": 3, "num_classes": CLASSES}
    measured = step_time(*networks, TIMING, TRAINING, **shape, batch_size=chosen.batch_size, device=device, clock=noted)
    result = {f"pairs, {name} clock": math.log(measured.ratio), "measured": asdict(measured)}
    if name != "wall" and "retaken" not in measured.marks:
        moments = np.reshape(walls[-4 * TIMING.turn * measured.n :], (-1, 2, TIMING.turn, 2))
        times = (moments[..., 1] - moments[..., 0]).min(axis=2)
        times[1::2] = times[1::2, ::-1]  # every second pair began with the reference
        result["pairs, wall clock"] = math.log(centre(times[:, 0] / times[:, 1], TIMING.confidence).ratio)
    return result


def one_pass(
    architectures: list[Architecture], reference: Architecture, chosen: Set, device: torch.device, seed: int
) -> list[dict[str, Any]]:
    """Time every network once with every method, in random order."""
    batch = make_batch((chosen.batch_size, 3, chosen.image_size, chosen.image_size), CLASSES, EXECUTION, device)
    results: list[dict[str, Any]] = [{} for _ in architectures]
    for index in np.random.default_rng(seed).permutation(len(architectures)):
        results[index] = plain(architectures[index], batch, device)
        results[index] |= ours(architectures[index], reference, chosen, device)
    return results


# ---- all of it


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    device = resolve_device(arguments.device)
    limit_threads(1)
    set_up(device)
    chosen = SETS[device.type]
    architectures, reference = candidates(chosen, arguments.networks)
    steps = [prepared(each, device) for each in (*architectures, reference)]
    batch = make_batch((chosen.batch_size, 3, chosen.image_size, chosen.image_size), CLASSES, EXECUTION, device)
    began, load = datetime.now(UTC), os.getloadavg()
    logs = [long_reference(steps, batch, arguments.rounds, 0)]
    passes: dict[str, list[list[dict[str, Any]]]] = {}
    for condition in arguments.conditions:
        with others(condition, architectures, chosen, device):
            passes[condition] = [
                one_pass(architectures, reference, chosen, device, seed) for seed in range(arguments.repeats)
            ]
        print(f"{condition}: done after {(datetime.now(UTC) - began).total_seconds():.0f} s", flush=True)
    logs.append(long_reference(steps, batch, arguments.rounds, 1))
    halves = [np.median(half, axis=0) for half in logs]
    truth = np.log([centre(np.exp(column), 0.95).ratio for column in np.concatenate(logs).T])
    costs = [count(each, chosen.image_size, CLASSES) for each in architectures]
    return {
        "date": began.isoformat(timespec="seconds"),
        "device": device_name(device),
        "torch": torch.__version__,
        "cpus": os.cpu_count(),
        "load_average_at_start": load,
        "set": asdict(chosen),
        "networks": [
            {"arch_id": each.arch_id, "macs": cost.macs, "params": cost.params, "true_ratio": math.exp(true)}
            for each, cost, true in zip(architectures, costs, truth, strict=True)
        ],
        "truth_halves_rms_difference": float(np.sqrt(np.mean((halves[0] - halves[1]) ** 2))),
        "tau_of_macs": kendall_tau([cost.macs for cost in costs], truth),
        "tau_of_params": kendall_tau([cost.params for cost in costs], truth),
        "rounds": 2 * arguments.rounds,
        "repeats": arguments.repeats,
        "conditions": {condition: judged(passes[condition], truth) for condition in passes},
        "measurements": passes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each network in each condition")
    parser.add_argument("--rounds", type=int, default=120, help="rounds of each half of the long reference measurement")
    parser.add_argument("--conditions", nargs="+", default=list(GOALS), choices=list(GOALS))
    parser.add_argument("--out", type=Path, help="folder for the results; default: print only")
    arguments = parser.parse_args()
    result = run(arguments)
    text = markdown(result)
    print(text)
    if arguments.out:
        write(arguments.out, "step-time", result, text)


if __name__ == "__main__":
    main()
