"""How long a search takes on this machine: some of its candidates, trained for some seconds by what trials run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch

from nas.config.search import Config
from nas.data.batches import Batches
from nas.data.prepare import Prepared, SplitName
from nas.data.settings import AugmentSettings
from nas.measure.step_time import BLOCK_WARM_UP
from nas.search.machine import Places, search_hours
from nas.training.device import device_name, give_back_memory, resolve_device, set_up, synchronize, threads_limited
from nas.training.evaluate import evaluate
from nas.training.step import precision_name
from nas.training.train import train
from nas.trials.evaluate import build
from search_space.architecture import Architecture
from search_space.cost import count_batch
from search_space.space import SearchSpace

# The space's candidates at these quantiles of MACs, and what they weigh in the mean of all (Swanson's rule; Keefer and
# Bodily, Management Science 29 (1983), 595-609).
QUANTILES = {"10% of MACs": (0.1, 0.3), "50% of MACs": (0.5, 0.4), "90% of MACs": (0.9, 0.3)}
REFERENCE = "reference"
_DRAWN = 512  # architectures whose MACs say which are at the quantiles
_FEW = 5  # steps by which one of another program's could be seen
_FIRST = 2  # steps that are not counted where there are more: memory is taken, kernels are chosen
_FOREVER = 1 << 20  # epochs: the time ends the training
_TRAINING_SHARE = 0.7  # of the seconds; the others are building, evaluating, loading


@dataclass(frozen=True)
class TimedCandidate:
    """What one candidate takes, alone on the device."""

    name: str  # REFERENCE, or a key of QUANTILES
    architecture: Architecture
    step_s: float  # of training: data, augmentation and update; NaN = no step was done
    steps: int  # that say so
    timing_s: float  # of a trial: to time its step beside the reference's, in as many pairs as may be taken
    training_s: float  # of a trial: to train and evaluate
    error: str | None = None  # why it cannot be trained


@dataclass(frozen=True)
class SearchTime:
    """What a search takes, estimated from some of its candidates."""

    candidates: tuple[TimedCandidate, ...]  # the reference first
    hours: float  # if candidates are as the space's are on average; NaN = could not be measured
    low: float  # if all were as the quickest measured
    high: float  # as the slowest
    device_name: str

    @property
    def why_rough(self) -> str | None:
        """Say why the hours are rough; None where nothing says so."""
        least = min(self.candidates, key=lambda one: one.steps if one.error is None else math.inf)
        if least.error is None and least.steps < _FEW:
            return f"of {least.name} {least.steps} {'step was' if least.steps == 1 else 'steps were'} timed"
        small, large = self.candidates[1], self.candidates[-1]  # by MACs
        if large.step_s < small.step_s:
            return f"{large.name} took less time than {small.name}: this machine is busy"
        return None


def spread_out(space: SearchSpace, seed: int = 0) -> dict[str, Architecture]:
    """Give candidates of a space at the QUANTILES of its MACs."""
    codes = space.sample_encodings(_DRAWN, np.random.default_rng(seed))
    c = space.constraints
    order = np.argsort(count_batch(space, codes, c.image_size, c.num_classes, c.in_channels).macs, kind="stable")
    return {name: space.decode(codes[order[int(share * (_DRAWN - 1))]]) for name, (share, _) in QUANTILES.items()}


def time_search(
    config: Config,
    prepared: Prepared,
    images: tuple[int, int],
    places: Places,
    *,
    seconds: float,
    say: Callable[[str], None],
) -> SearchTime:
    """Train the reference and candidates spread over the space for some seconds each, and reckon what trials take.

    Args:
        config: its space counted for the data's classes.
        prepared: some of the data's images: nothing depends on how many.
        images: of train and of minival in a trial.
        seconds: for all of them; a step that takes longer is done to its end.
        say: told of each candidate, a line.
    """
    device = resolve_device(config.device)
    set_up(device)
    found = {REFERENCE: config.reference} | spread_out(config.space)
    threads = config.execution.threads or max(1, math.floor(config.search.cpus_per_trial))
    timed: list[TimedCandidate] = []
    with threads_limited(threads):
        _Bench(config, prepared, device, 1e-3).look(config.reference)  # a step: the first one in a process is slow
        for name, architecture in found.items():
            bench = _Bench(config, prepared, device, seconds / len(found))
            step_s, steps, image_s, error = bench.look(architecture)
            own = timed[0].step_s if timed else step_s  # the reference's
            timing_s = _timing_steps(config) * (step_s + own)
            each = _training_s(config, images, step_s, image_s)
            timed.append(TimedCandidate(name, architecture, step_s, steps, timing_s, each, error))
            say(f"{name}: {error or f'{step_s * 1e3:.3g} ms a step ({steps} timed)'}")
    return _summed(config, timed, places, device_name(device))


def _summed(config: Config, timed: Sequence[TimedCandidate], places: Places, device: str) -> SearchTime:
    hours = {one.name: search_hours(config, places, one.timing_s, one.training_s) for one in timed}
    drawn = [hours[name] for name in QUANTILES]
    mean = sum(weight * hours[name] for name, (_, weight) in QUANTILES.items())
    return SearchTime(tuple(timed), mean, min(drawn), max(drawn), device)


def _timing_steps(config: Config) -> int:
    """Steps of each network that timing S takes at most, retakes not counted."""
    own = config.step_time
    blocks = math.ceil(own.max_pairs / own.block_pairs)
    return own.warmup + blocks * BLOCK_WARM_UP + own.max_pairs * own.turn


def _training_s(config: Config, images: tuple[int, int], step_s: float, image_s: float) -> float:
    train, minival = images
    training = config.training
    evaluations = math.ceil(training.epochs / training.eval_every)
    return training.epochs * (train // training.batch_size) * step_s + evaluations * minival * image_s


@dataclass(frozen=True)
class _Bench:
    """Where a candidate is looked at."""

    config: Config
    prepared: Prepared
    device: torch.device
    seconds: float

    def look(self, architecture: Architecture) -> tuple[float, int, float, str | None]:
        """Train and evaluate for a while: seconds of a step, how many steps say so, of an image, or what is wrong."""
        ticks: list[float] = []

        def tick() -> None:
            synchronize(self.device)
            ticks.append(time.perf_counter())

        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            config = self.config
            network = build(architecture, config.training, config.execution, self.prepared, self.device)
            training = replace(config.training, epochs=_FOREVER, eval_every=_FOREVER)
            limit = self.seconds * _TRAINING_SHARE
            result = train(
                network,
                self._batches("train", self.config.augment),
                self._batches("minival", None),
                training,
                execution=replace(self.config.execution, time_limit_s=limit),
                device=self.device,
                between_steps=tick,
            )
            tick()
            error = result.error if result.status == "oom" else None
            image_s = math.nan if error else self._evaluated(network)
        del network
        give_back_memory(self.device)
        steps = np.diff(ticks)[_FIRST if len(ticks) > 2 * _FIRST else 0 :]
        return (float(steps.mean()) if len(steps) and not error else math.nan), len(steps), image_s, error

    def _batches(self, split: SplitName, augment: AugmentSettings | None) -> Batches:
        size = min(self.config.training.batch_size, getattr(self.prepared, split))
        return Batches(
            self.prepared,
            split,
            batch_size=size,
            device=self.device,
            augment=augment,
            channels_last=self.config.execution.channels_last,
        )

    def _evaluated(self, network: torch.nn.Module) -> float:
        """Seconds of evaluating an image."""
        execution, batches = self.config.execution, self._batches("minival", None)
        dtype = torch.bfloat16 if precision_name(execution, self.device) == "bf16" else None
        synchronize(self.device)
        start = time.perf_counter()
        found = evaluate(network, islice(batches.epoch(0), 2), dtype=dtype, channels_last=execution.channels_last)
        synchronize(self.device)
        return (time.perf_counter() - start) / found.images
