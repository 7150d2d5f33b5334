"""How far step times and their intervals can be trusted: plain timing and ours against a long reference measurement.

Networks of nearly equal MACs are timed in three conditions: on the device as it is (`idle`), while other processes
train on it without asking (`loaded`), and beside three trainers that share the device lock (`together`). Goals: rms
error at most 2 % idle and 3 % loaded with at most 30 pairs, Kendall's tau at least 0.97 and 0.92, and intervals of
95 % that hold the truth in at least 90 % of the measurements, at no more than 1.5 times the time of pairs in one block.

The truth is measured apart from the method that is judged: all networks take turns in random order, and three copies
of the reference, each with a turn as long as ours, of which the fastest step counts, for many rounds before, between
and after everything else, for a shared machine changes its ways every few minutes; every other round all is built and
allocated anew, for what the reference's places in memory cost is in the truth of every network. It is that of the same
condition, for what competes for caches and memory moves the ratios themselves; that of `together` is that of `idle`,
whose place the lock promises. Plain timing is 30 steps of a network in a row after 3 to warm up, in wall time; as it
knows no unit of its own, its mean error is taken off first. `one block` is ours without building anew, with the
interval that the pairs' own scatter gives. The truth has an error of its own, most of it common to all networks, which
changes no order: how often intervals hold it is said with and without the mean error of all measurements.

    python -m experiments.benchmarks.step_time --device cpu --out experiments/results     # an hour and a half
"""

from __future__ import annotations

import argparse
import json
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
from nas.measure.location import pseudo_median
from nas.measure.settings import StepTimeSettings
from nas.measure.step_time import make_batch, step_time
from nas.training.device import (
    device_name,
    give_back_memory,
    limit_threads,
    resolve_device,
    set_up,
    synchronize,
)
from nas.training.settings import EXECUTION, TrainSettings
from nas.training.step import TrainingStep, make_step
from search_space.architecture import Architecture
from search_space.cost import count, count_batch
from search_space.network import build_network
from search_space.spaces import SPACES, backbone_of

CLASSES = 10
PLAIN_STEPS = 30
PAIRS_OF_ONE_BLOCK = 30  # at most
LOAD = {"cpu": 3, "cuda": 1}  # processes that compete in the condition `loaded`
TRAINING = TrainSettings()
TIMING = StepTimeSettings()
ROUNDS_OF_A_BUILD = 2  # of the long reference measurement
REFERENCES = 3  # copies of the reference network in it, for its errors are in every ratio


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


def noise(chosen: Set, device: torch.device) -> Any:
    return make_batch((chosen.batch_size, 3, chosen.image_size, chosen.image_size), CLASSES, EXECUTION, device)


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


def long_reference(
    networks: list[Architecture], chosen: Set, device: torch.device, rounds: int, seed: int
) -> np.ndarray:
    """Give the logarithms of each network's time over the last one's in the same round: (rounds, networks - 1)."""
    clock, rng = choose_clock("auto", device)[1], np.random.default_rng(seed)
    built = [*networks[:-1], *[networks[-1]] * REFERENCES]
    logs = np.zeros((rounds, len(built)))
    steps: list[TrainingStep] = []
    for number, row in enumerate(logs):
        if number % ROUNDS_OF_A_BUILD == 0:
            steps.clear()
            give_back_memory(device)
            batch = noise(chosen, device)
            steps += [prepared(each, device) for each in built]
            for step in steps:
                block_s(step, batch, clock, 2)
        for turn in rng.permutation(len(built)):
            row[turn] = math.log(min(block_s(steps[turn], batch, clock, TIMING.turn)))
    return logs[:, :-REFERENCES] - logs[:, -REFERENCES:].mean(axis=1, keepdims=True)


# ---- what competes for the device


def train_for_ever(architecture: Architecture, chosen: Set, device_text: str, locked: bool, ready: Any) -> None:
    limit_threads(1)
    device = resolve_device(device_text)
    step = prepared(architecture, device)
    lock = DeviceLock(device) if locked else None  # having one would make this process one of ours
    batch = noise(chosen, device)
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


def one_block(candidate: Architecture, reference: Architecture, chosen: Set, device: torch.device) -> dict[str, Any]:
    """Time in pairs without ever building anew, until the signed-rank interval of the pairs is narrow enough."""
    began, batch, clock = time.perf_counter(), noise(chosen, device), choose_clock(TIMING.clock, device)[1]
    steps = [prepared(each, device) for each in (candidate, reference)]
    for step in steps:
        block_s(step, batch, clock, TIMING.warmup + 6)  # as many more as ours takes to look at the parts and the memory
    logs: list[float] = []
    low, high = -math.inf, math.inf
    while len(logs) < PAIRS_OF_ONE_BLOCK and (len(logs) < TIMING.min_pairs or high - low > 2 * TIMING.interval):
        turns = {which: min(block_s(steps[which], batch, clock, TIMING.turn)) for which in order(len(logs))}
        logs.append(math.log(turns[0] / turns[1]))
        centre, low, high = pseudo_median(logs, TIMING.confidence)
    return {
        "log_ratio": centre,
        "low": low,
        "high": high,
        "n": len(logs),
        "converged": high - low <= 2 * TIMING.interval,
        "seconds": time.perf_counter() - began,
    }


def order(pairs: int) -> tuple[int, int]:
    return (0, 1) if pairs % 2 == 0 else (1, 0)


def ours(candidate: Architecture, reference: Architecture, chosen: Set, device: torch.device) -> dict[str, Any]:
    """Time as a trial does."""
    networks = (build_network(each, CLASSES, drop_path=TRAINING.drop_path) for each in (candidate, reference))
    shape = {"image_size": chosen.image_size, "in_channels": 3, "num_classes": CLASSES}
    began = time.perf_counter()
    measured = step_time(*networks, TIMING, TRAINING, **shape, batch_size=chosen.batch_size, device=device)
    return {
        "log_ratio": math.log(measured.ratio),
        "low": math.log(measured.ratio_low) if measured.ratio_low else -math.inf,
        "high": math.log(measured.ratio_high),
        "n": measured.n,
        "converged": measured.converged,
        "seconds": time.perf_counter() - began,
        "measured": asdict(measured),
    }


def one_pass(
    architectures: list[Architecture], reference: Architecture, chosen: Set, device: torch.device, seed: int
) -> list[dict[str, Any]]:
    """Time every network once with every method, in random order."""
    batch = noise(chosen, device)
    results: list[dict[str, Any]] = [{} for _ in architectures]
    rng = np.random.default_rng(seed)
    for index in rng.permutation(len(architectures)):
        results[index] = plain(architectures[index], batch, device)
        methods = [("pairs in blocks", ours), ("pairs, one block", one_block)]
        for name, method in [methods[i] for i in rng.permutation(2)]:
            results[index][name] = method(architectures[index], reference, chosen, device)
    return results


# ---- all of it


def measure(
    condition: str, architectures: list[Architecture], reference: Architecture, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Measure one condition: rounds of the truth, every network with every method, rounds again, and so on."""
    device = resolve_device(arguments.device)
    chosen, networks = SETS[device.type], [*architectures, reference]
    began, load = datetime.now(UTC), os.getloadavg()
    with others(condition, architectures, chosen, device):
        own_truth = condition != "together" or "idle" not in arguments.conditions
        truth, passes = [], []
        for seed in range(arguments.repeats + 1):
            if own_truth:
                truth.append(long_reference(networks, chosen, device, arguments.rounds, seed))
            if seed < arguments.repeats:
                passes.append(one_pass(architectures, reference, chosen, device, seed))
    return {
        "date": began.isoformat(timespec="seconds"),
        "load_average_at_start": load,
        "truth": np.concatenate(truth).tolist() if own_truth else None,  # (rounds, networks), logarithms
        "passes": passes,
    }


def measured(arguments: argparse.Namespace, architectures: list[Architecture], reference: Architecture) -> Any:
    """Give every condition's measurements, those that an earlier start has kept among them."""
    kept: dict[str, Any] = {}
    if arguments.keep and arguments.keep.exists():
        kept = json.loads(arguments.keep.read_text())
    for condition in arguments.conditions:
        if condition not in kept:
            kept[condition] = measure(condition, architectures, reference, arguments)
            print(f"{condition}: done", flush=True)
            if arguments.keep:
                arguments.keep.write_text(json.dumps(kept))
    return {condition: kept[condition] for condition in arguments.conditions}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    device = resolve_device(arguments.device)
    limit_threads(1)
    set_up(device)
    chosen = SETS[device.type]
    architectures, reference = candidates(chosen, arguments.networks)
    conditions = measured(arguments, architectures, reference)
    logs = {name: np.array(each["truth"] or conditions["idle"]["truth"]) for name, each in conditions.items()}
    true = {name: np.array([pseudo_median(list(column), 0.95)[0] for column in one.T]) for name, one in logs.items()}
    costs = [count(each, chosen.image_size, CLASSES) for each in architectures]
    first = true[arguments.conditions[0]]
    return {
        "date": min(each["date"] for each in conditions.values()),
        "device": device_name(device),
        "torch": torch.__version__,
        "cpus": os.cpu_count(),
        "set": asdict(chosen),
        "networks": [
            {"arch_id": each.arch_id, "macs": cost.macs, "params": cost.params}
            | {"true_ratio": {name: math.exp(one[i]) for name, one in true.items()}}
            for i, (each, cost) in enumerate(zip(architectures, costs, strict=True))
        ],
        "tau_of_macs": kendall_tau([cost.macs for cost in costs], first),
        "tau_of_params": kendall_tau([cost.params for cost in costs], first),
        "conditions": {
            name: {
                "date": each["date"],
                "load_average_at_start": each["load_average_at_start"][0],
                "repeats": len(each["passes"]),
                "rounds": len(logs[name]),
                "halves_differ": halves_differ(logs[name]),
                "common_error": common_error(logs[name], len(each["passes"]) + 1),
                "methods": judged(each["passes"], true[name]),
            }
            for name, each in conditions.items()
        },
        "measurements": {name: each["passes"] for name, each in conditions.items()},
    }


def halves_differ(logs: np.ndarray) -> float:
    before, after = (np.median(half, axis=0) for half in np.array_split(logs, 2))
    return float(np.sqrt(np.mean((before - after) ** 2)))


def common_error(logs: np.ndarray, parts: int) -> float:
    """Give the standard error of what all true ratios have in common, from the stretches of time it was measured in.

    It is mostly the reference network's, whose time is in every ratio, and moves S of all candidates alike.
    """
    levels = [float(np.median(part, axis=0).mean()) for part in np.array_split(logs, parts)]
    return float(np.std(levels, ddof=1) / math.sqrt(parts)) if parts > 1 else math.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=6, help="measurements of each network in each condition")
    parser.add_argument("--rounds", type=int, default=36, help="of the truth before, between and after the repeats")
    parser.add_argument("--conditions", nargs="+", default=list(GOALS), choices=list(GOALS))
    parser.add_argument("--keep", type=Path, help="file of measured conditions: those in it are not measured again")
    parser.add_argument("--out", type=Path, help="folder for the results; default: print only")
    arguments = parser.parse_args()
    result = run(arguments)
    text = markdown(result)
    print(text)
    if arguments.out:
        write(arguments.out, "step-time", result, text)


if __name__ == "__main__":
    main()
