"""Inference latency: what is timed, in which state, and that the ratio is the truth."""

import copy
import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from nas.measure.inference import fields, inference_time
from nas.measure.settings import StepTimeSettings
from nas.measure.step_time import StepOutOfMemory
from nas.training.settings import EXECUTION, ExecutionSettings
from search_space.architecture import Architecture, Stage
from search_space.network import build_network

CPU = torch.device("cpu")
QUICK = StepTimeSettings(warmup=1, min_pairs=6, max_pairs=6, lock=False)
SHAPE = {"image_size": 16, "in_channels": 3, "batch_size": 8, "device": CPU, "execution": EXECUTION}
SMALL = Architecture(
    stem_channels=8,
    stages=(Stage("fused_mbconv", 1, 3, 1, 16, 1), Stage("mbconv", 2, 3, 4, 32, 2, 0.25)),
    head_channels=64,
)


class Time:
    """The clock of a world in which networks take as long as they say, times what the machine makes of it."""

    def __init__(self, slowness=None):
        self.now, self.slowness = 0.0, iter(slowness or itertools.repeat(1.0))

    def __call__(self):
        return self.now

    def __deepcopy__(self, memo):
        return self


class Costing(nn.Module):
    """A network whose forward takes `seconds`, and a tenth of them more for each image."""

    def __init__(self, time, seconds):
        super().__init__()
        self.time, self.seconds, self.linear = time, seconds, nn.Linear(3, 10)

    def forward(self, x):
        self.time.now += self.seconds * (1 + len(x) / 10) * next(self.time.slowness)
        return self.linear(x.mean((2, 3)))


def test_the_numbers_are_those_of_a_known_truth():
    """0.3 s beside 0.2 s, a tenth more an image: milliseconds of one image and of eight, and the ratio 1.5."""
    time = Time()
    found = fields(inference_time(Costing(time, 0.3), Costing(time, 0.2), settings=QUICK, clock=time, **SHAPE))
    assert found == {
        "inference_ms": pytest.approx(330),
        "inference_batch_ms": pytest.approx(540),
        "inference_ratio": pytest.approx(1.5),
        "inference_ratio_low": pytest.approx(1.5),
        "inference_ratio_high": pytest.approx(1.5),
    }


def test_drift_cancels():
    """Each pass 2 % slower than the one before: the ratios found are still 1.5, of one image and of a batch."""
    time = Time(1.02**k for k in itertools.count())
    found = inference_time(Costing(time, 0.3), Costing(time, 0.2), settings=QUICK, clock=time, **SHAPE)
    assert (found.ratio, found.batch_ratio) == (pytest.approx(1.5, rel=1e-9), pytest.approx(1.5, rel=1e-9))


class Seen(set):
    def __deepcopy__(self, memo):
        return self


class Spy(nn.Module):
    """Notes the state of the world in each forward, also in those of its copies."""

    def __init__(self, seen):
        super().__init__()
        self.conv, self.dropout = nn.Conv2d(3, 4, 3), nn.Dropout(0.5)
        self.seen = seen

    def forward(self, x):
        y = self.conv(x)
        layout = x.is_contiguous(memory_format=torch.channels_last)
        self.seen.add((self.dropout.training, torch.is_grad_enabled(), layout, str(y.dtype), len(x), x.shape[-1]))
        return y


@pytest.mark.parametrize(
    ("execution", "layout", "dtype"),
    [
        (ExecutionSettings(precision="fp32"), True, "torch.float32"),
        (ExecutionSettings(precision="bf16", channels_last=False), False, "torch.bfloat16"),
    ],
)
def test_a_pass_is_one_of_evaluation_executed_as_training_is(execution, layout, dtype):
    """No dropout, no gradients, the training's memory format and precision; of one image and of the batch alone."""
    seen = Seen()
    settings = replace(QUICK, batch_size=5, image_size=24)
    found = inference_time(Spy(seen), Spy(seen), settings=settings, **SHAPE | {"execution": execution})
    assert seen == {(False, False, layout, dtype, n, 24) for n in (1, 5)}
    assert (found.batch_size, found.image_size, found.clock, found.n) == (5, 24, "cpu", 6)
    assert found.precision == {"torch.float32": "fp32", "torch.bfloat16": "bf16"}[dtype]
    assert found.memory_format == ("channels_last" if layout else "contiguous")


def test_measuring_leaves_networks_and_random_numbers_as_they_were():
    """Weights, statistics, gradients, modes and the generator are the same before and after."""
    networks = [build_network(SMALL, 10) for _ in range(2)]
    networks[0](torch.randn(2, 3, 16, 16)).sum().backward()
    before, numbers = copy.deepcopy([net.state_dict() for net in networks]), torch.get_rng_state()
    gradients = [parameter.grad.clone() for parameter in networks[0].parameters()]
    found = fields(inference_time(*networks, settings=QUICK, **SHAPE))
    assert all(math.isfinite(value) and value > 0 for value in found.values())
    assert found["inference_ratio_low"] <= found["inference_ratio"] <= found["inference_ratio_high"]
    assert torch.equal(torch.get_rng_state(), numbers)
    for network, old in zip(networks, before, strict=True):
        assert network.training
        assert all(torch.equal(tensor, old[name]) for name, tensor in network.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(networks[0].parameters(), gradients, strict=True))


def test_really_timed():
    """A network against itself is 1, within an interval that misses once in 10,000 runs; thrice its layers last."""
    network = build_network(SMALL, 10)
    settings = replace(QUICK, min_pairs=20, max_pairs=20, confidence=0.9999)
    same = inference_time(network, copy.deepcopy(network), settings=settings, **SHAPE)
    assert same.ratio_low <= 1 <= same.ratio_high
    deep = replace(SMALL, stages=tuple(replace(stage, layers=3 * stage.layers) for stage in SMALL.stages))
    assert inference_time(build_network(deep, 10), network, settings=settings, **SHAPE).ratio > 1.4


class Full(nn.Module):
    """Runs out of memory above a number of images."""

    def __init__(self, most):
        super().__init__()
        self.most = most

    def forward(self, x):
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return x


def test_a_batch_that_does_not_fit_is_not_measured():
    """Its latency is NaN, never 0; that of one image stands. Not even one image is an error of its own."""
    found = inference_time(Full(4), Full(8), settings=QUICK, **SHAPE)
    assert math.isnan(fields(found)["inference_batch_ms"])
    assert math.isnan(found.batch_ratio)
    assert not found.converged
    assert fields(found)["inference_ms"] > 0
    with pytest.raises(StepOutOfMemory, match=r"no forward pass of 1 fits: CUDA out of memory"):
        inference_time(Full(0), Full(8), settings=QUICK, **SHAPE)


def test_other_errors_are_not_taken_for_out_of_memory():
    """A broken network is reported as what it is."""
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        inference_time(nn.Sequential(nn.Flatten(), nn.Linear(1, 10)), Full(8), settings=QUICK, **SHAPE)


def test_disturbances_reach_the_record():
    """What the watch of the device says of kept pairs stands in the marks."""
    settings = replace(QUICK, retakes=0)
    found = inference_time(Full(8), Full(8), settings=settings, disturbed=lambda: frozenset({"throttled"}), **SHAPE)
    assert found.marks == ("throttled",)
