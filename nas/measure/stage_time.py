"""Where in the network a training step spends its time: stem, stages, head and update, forward and backward apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

from nas.training.step import TrainingStep
from search_space.network import Network

Batch = tuple[Tensor, Tensor]  # images (N, C, H, W), labels (N,)


@dataclass(frozen=True)
class PartTime:
    """Seconds that one part of the network takes of a training step; the update counts as forward."""

    name: str  # stem, stage1, stage2, ..., head, update
    forward_s: float
    backward_s: float


def part_times(step: TrainingStep, batch: Batch, n: int, clock: Callable[[], float] | None = None) -> list[PartTime]:
    """Time the parts of a network within `n` real, eager training steps and give the median of each.

    The step runs as always and moments are noted on the way: when the output of a stage is there, and when the gradient
    of that output is, which is when the backward of the next stage ends and its own begins. So a stage finds caches as
    they are in training; run alone it would not. The head includes the loss.

    Args:
        step: of a `Network`; it trains on.
        clock: seconds, of a CPU; a GPU marks the moments in its own queue, so that nothing waits for it.
    """
    marks = _GpuMarks(step.device) if step.device.type == "cuda" else _ClockMarks(clock or time.perf_counter)
    samples = [_one_step(step, batch, marks) for _ in range(n)]
    names = list(samples[0])
    return [PartTime(name, *(median(sample[name][i] for sample in samples) for i in (0, 1))) for name in names]


def _one_step(step: TrainingStep, batch: Batch, marks: _Marks) -> dict[str, tuple[float, float]]:
    network = step.network
    assert isinstance(network, Network)
    stages = list(network.blocks)
    hooks = [stages[0].register_forward_pre_hook(lambda _, given: _boundary(marks, 0, given[0]))]
    for number, stage in enumerate(stages, start=1):
        hooks.append(stage.register_forward_hook(lambda _, __, out, number=number: _boundary(marks, number, out)))
    total: dict[str, tuple[float, float]] = {}

    def mark(name: str) -> None:
        """Close what ended, and begin anew: a GPU's moments are read when all of a micro-batch are there."""
        marks.set(_MOMENTS[name])
        if name == "backward":
            _add(total, _between(marks.seconds(), len(stages)))
        if name == "update":
            seconds = marks.seconds()
            total["update"] = seconds["end"] - seconds["start"], 0.0
        if name in ("backward", "update"):
            marks.clear()
            marks.set("start")

    try:
        step.eager(*batch, mark)
    finally:
        for hook in hooks:
            hook.remove()
    return total


_MOMENTS = {"begin": "start", "forward": "loss", "backward": "end", "update": "end"}


def _boundary(marks: _Marks, number: int, tensor: Tensor) -> None:
    marks.set(f"forward{number}")
    tensor.register_hook(lambda _: marks.set(f"backward{number}"))  # type: ignore[no-untyped-call]


def _between(at: dict[str, float], stages: int) -> dict[str, tuple[float, float]]:
    """Turn moments into durations. Boundary 0 lies between stem and first stage, the last before the head."""
    times = {"stem": (at["forward0"] - at["start"], at["end"] - at["backward0"])}
    for number in range(1, stages + 1):
        forward = at[f"forward{number}"] - at[f"forward{number - 1}"]
        times[f"stage{number}"] = forward, at[f"backward{number - 1}"] - at[f"backward{number}"]
    times["head"] = (at["loss"] - at[f"forward{stages}"], at[f"backward{stages}"] - at["loss"])
    return times


def _add(total: dict[str, tuple[float, float]], more: dict[str, tuple[float, float]]) -> None:
    for name, (forward, backward) in more.items():
        before = total.get(name, (0.0, 0.0))
        total[name] = before[0] + forward, before[1] + backward


class _ClockMarks:
    """Moments read off a clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._at: dict[str, float] = {}

    def clear(self) -> None:
        self._at.clear()

    def set(self, name: str) -> None:
        self._at[name] = self._clock()

    def seconds(self) -> dict[str, float]:
        return dict(self._at)


class _GpuMarks:
    """Moments at which a GPU gets to a place in its queue."""

    def __init__(self, device: torch.device) -> None:
        self._device = device  # which need not be the current one
        self._events: dict[str, Any] = {}

    def clear(self) -> None:
        self._events.clear()

    def set(self, name: str) -> None:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        self._events[name] = event

    def seconds(self) -> dict[str, float]:
        self._events["end"].synchronize()
        start = self._events["start"]
        return {name: start.elapsed_time(event) / 1e3 for name, event in self._events.items()}


_Marks = _ClockMarks | _GpuMarks
