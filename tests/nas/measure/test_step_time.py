import copy
import ctypes
import gc
import itertools
import resource
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from nas.measure.settings import StepTimeSettings
from nas.measure.step_time import StepOutOfMemory, step_time
from nas.training.settings import ExecutionSettings, TrainSettings
from nas.training.step import make_step
from search_space.architecture import Architecture, Stage
from search_space.network import build_network

CPU = torch.device("cpu")
QUICK = StepTimeSettings(warmup=1, min_pairs=6, max_pairs=6, lock=False)
SHAPE = {"image_size": 16, "in_channels": 3, "num_classes": 10, "batch_size": 8, "device": CPU}
SMALL = Architecture(
    stem_channels=8,
    stages=(
        Stage("fused_mbconv", 1, 3, 1, 16, 1),
        Stage("mbconv", 2, 3, 4, 32, 2, 0.25),
        Stage("mbconv", 2, 3, 4, 48, 2),
    ),
    head_channels=64,
)


class Time:
    """The clock of a world in which networks take as long as they say, times what the machine makes of it."""

    def __init__(self, slowness=None):
        self.now, self.slowness = 0.0, iter(slowness or itertools.repeat(1.0))
        self.seen = set()  # seconds and pixels

    def __call__(self):
        return self.now

    def __deepcopy__(self, memo):
        return self


class Costing(nn.Module):
    """A network whose forward takes `seconds` of a Time."""

    def __init__(self, time, seconds):
        super().__init__()
        self.time, self.seconds, self.linear = time, seconds, nn.Linear(3, 10)

    def forward(self, x):
        self.time.now += self.seconds * next(self.time.slowness)
        return self.linear(x.mean((2, 3)))


def state(network):
    tensors = [*network.state_dict().values(), *(p.grad for p in network.parameters() if p.grad is not None)]
    return [tensor.clone() for tensor in tensors], [module.training for module in network.modules()]


def train_three_steps(network):
    torch.manual_seed(5)
    step = make_step(network, TrainSettings(drop_path=0.5, dropout=0.5), device=CPU, total_steps=3)
    for _ in range(3):
        step(torch.randn(8, 3, 16, 16), torch.randint(10, (8,)))
    return torch.cat([tensor.float().flatten() for tensor in network.state_dict().values()])


def test_ratio_is_exact_under_drift_and_times_are_in_seconds():
    """Steps of 0.3 s and 0.2 s, each step 2 % slower than the one before: the ratio found is 1.5."""
    time = Time(1.02**k for k in itertools.count())
    measured = step_time(Costing(time, 0.3), Costing(time, 0.2), QUICK, TrainSettings(), clock=time, **SHAPE)
    assert measured.ratio == pytest.approx(1.5, rel=1e-9)
    steady = Time()
    measured = step_time(Costing(steady, 0.3), Costing(steady, 0.2), QUICK, TrainSettings(), clock=steady, **SHAPE)
    assert (measured.step_time_s, measured.reference_step_time_s) == (pytest.approx(0.3), pytest.approx(0.2))
    assert (measured.ratio_low, measured.ratio_high, measured.converged) == (
        pytest.approx(1.5),
        pytest.approx(1.5),
        True,
    )


class Placed(Costing):
    """A network whose copies differ in speed, as where their tensors lie makes them."""

    def __init__(self, time, seconds, factors):
        super().__init__(time, seconds)
        self.factors = factors

    def __deepcopy__(self, memo):
        return Placed(self.time, self.seconds * next(self.factors), self.factors)


def test_networks_are_built_anew_for_every_block_and_the_interval_shows_it():
    """Copies that are 3 % faster and slower by turns: S lies between them, and the interval reaches both."""
    time, factors = Time(), itertools.cycle([0.97, 1.03])
    settings = replace(QUICK, min_pairs=16, max_pairs=16, block_pairs=4)
    candidate, reference = Placed(time, 0.3, factors), Costing(time, 0.2)
    measured = step_time(candidate, reference, settings, TrainSettings(), clock=time, **SHAPE)
    assert measured.ratio == pytest.approx(1.5, rel=1e-3)
    assert measured.ratio_low < 1.5 * 0.97
    assert measured.ratio_high > 1.5 * 1.03
    assert not measured.converged


def test_all_of_a_forward_is_forward():
    """Time spent in the network's forward is told apart from backward and update, and the parts make up the step."""
    time = Time()
    measured = step_time(Costing(time, 0.3), Costing(time, 0.2), QUICK, TrainSettings(), clock=time, **SHAPE)
    assert (measured.forward_s, measured.backward_s, measured.update_s) == (pytest.approx(0.3), 0.0, 0.0)
    network = build_network(SMALL, 10)
    measured = step_time(network, network, QUICK, TrainSettings(), **SHAPE)
    parts = (measured.forward_s, measured.backward_s, measured.update_s)
    assert min(parts) > 0
    assert sum(parts) == pytest.approx(measured.step_time_s)


def test_the_record_says_how_it_was_measured():
    """Batch, image size, precision, memory format, device and clock stand beside the figure they belong to."""
    network = build_network(SMALL, 10)
    settings = replace(QUICK, batch_size=4, image_size=24)
    measured = step_time(
        network, network, settings, TrainSettings(), execution=ExecutionSettings(channels_last=False), **SHAPE
    )
    assert (measured.batch_size, measured.micro_batch, measured.image_size, measured.n) == (4, 4, 24, 6)
    assert (measured.precision, measured.memory_format, measured.clock) == ("fp32", "contiguous", "cpu")
    assert measured.device_name
    assert measured.peak_memory_mb > 0
    assert measured.ratio_p10 <= measured.ratio <= measured.ratio_p90
    assert measured.step_time_p10_s <= measured.step_time_s <= measured.step_time_p90_s
    bf16 = ExecutionSettings(precision="bf16")
    assert step_time(network, network, QUICK, TrainSettings(), execution=bf16, **SHAPE).precision == "bf16"


class PerPixel(Costing):
    """A network whose forward takes `seconds` for each pixel of the image's height."""

    def forward(self, x):
        self.time.now += self.seconds * x.shape[-1]
        self.time.seen.add((self.seconds, x.shape[-1]))
        return self.linear(x.mean((2, 3)))


def test_the_reference_may_have_images_of_its_own_size():
    """At 24 px beside 8 px, each network sees its own size alone, and the times are theirs; by default both have 24."""
    time = Time()
    candidate, reference = PerPixel(time, 1.0), PerPixel(time, 1.5)
    shape = SHAPE | {"image_size": 24, "clock": time}
    measured = step_time(candidate, reference, QUICK, TrainSettings(), reference_image_size=8, **shape)
    assert measured.ratio == pytest.approx(2)
    assert (measured.image_size, measured.step_time_s, measured.reference_step_time_s) == (24, 24, 12)
    assert time.seen == {(1.0, 24), (1.5, 8)}
    assert step_time(candidate, reference, QUICK, TrainSettings(), **shape).ratio == pytest.approx(2 / 3)


def test_timing_leaves_networks_and_random_numbers_as_they_were():
    """Weights, batch norm statistics, gradients, modes and the generator are the same bits before and after."""
    networks = [build_network(SMALL, 10).eval() for _ in range(2)]
    networks[0](torch.randn(2, 3, 16, 16)).sum().backward()
    before, numbers = [state(network) for network in networks], torch.get_rng_state()
    step_time(*networks, QUICK, TrainSettings(ema_decay=0.9), **SHAPE)
    assert torch.equal(torch.get_rng_state(), numbers)
    for network, (tensors, modes) in zip(networks, before, strict=True):
        tensors_after, modes_after = state(network)
        assert modes_after == modes
        assert all(torch.equal(a, b) for a, b in zip(tensors_after, tensors, strict=True))


def test_training_after_timing_is_bit_for_bit_the_training_without():
    """A candidate's accuracy does not depend on whether its step was timed before."""
    torch.manual_seed(1)
    network = build_network(SMALL, 10)
    untimed = train_three_steps(copy.deepcopy(network))
    step_time(network, build_network(SMALL, 10), QUICK, TrainSettings(), **SHAPE)
    assert torch.equal(train_three_steps(network), untimed)


def test_a_network_against_itself_is_one():
    """Really timed: the interval of the ratio of two equal networks holds 1. It misses once in 10,000 runs."""
    network = build_network(SMALL, 10)
    settings = replace(QUICK, min_pairs=20, max_pairs=20, confidence=0.9999)
    measured = step_time(network, copy.deepcopy(network), settings, TrainSettings(), **SHAPE)
    assert measured.ratio_low <= 1 <= measured.ratio_high


def test_twice_the_layers_take_much_longer():
    """Really timed: the layers of every stage doubled give a ratio above 1.4."""
    doubled = replace(SMALL, stages=tuple(replace(stage, layers=2 * stage.layers) for stage in SMALL.stages))
    settings = replace(QUICK, min_pairs=10, max_pairs=10)
    measured = step_time(build_network(doubled, 10), build_network(SMALL, 10), settings, TrainSettings(), **SHAPE)
    assert measured.ratio > 1.4


class Hungry(nn.Module):
    """Takes so many MiB per image in forward; they are reserved, never touched."""

    def __init__(self, mib):
        super().__init__()
        self.mib, self.linear = mib, nn.Linear(3, 10)

    def forward(self, x):
        hold = torch.empty(len(x), self.mib << 20, dtype=torch.uint8)
        return self.linear(x.mean((2, 3))) + 0 * hold.numel()


@pytest.fixture
def memory():
    """Limit this process to so many MiB more than it has, until the test ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)

    def limit(mib):
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what the allocator keeps of other tests would be room beyond the limit
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + (mib << 20), hard))

    yield limit
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")


@needs_proc
def test_out_of_memory_halves_the_micro_batch_and_keeps_the_batch(memory):
    """Images of 130 MiB: neither 16 nor 8 fit into 1000 MiB, so the batch is timed in smaller parts, as recorded.

    The error met is the allocator's own; it may also refuse four or two, where its free memory lies in pieces.
    """
    memory(1000)
    measured = step_time(Hungry(130), Hungry(1), QUICK, TrainSettings(), **SHAPE | {"batch_size": 16})
    assert measured.batch_size == 16
    assert measured.micro_batch in (1, 2, 4)


@needs_proc
@pytest.mark.parametrize(("candidate", "reference", "said"), [(2000, 1, "candidate"), (1, 2000, "reference network")])
def test_not_even_one_image_is_an_error_of_its_own(memory, candidate, reference, said):
    """An architecture too large for the device is told from a bug, and which of the two networks it was."""
    memory(900)
    with pytest.raises(StepOutOfMemory, match=f"no training step of the {said} fits: .*can't allocate memory"):
        step_time(Hungry(candidate), Hungry(reference), QUICK, TrainSettings(), **SHAPE)


def test_other_errors_are_not_taken_for_out_of_memory():
    """A broken network is reported as what it is."""
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        step_time(nn.Sequential(nn.Flatten(), nn.Linear(1, 10)), Costing(Time(), 1), QUICK, TrainSettings(), **SHAPE)


def test_disturbances_reach_the_record():
    """What the watch of the device says of kept pairs stands in the marks."""
    network = build_network(SMALL, 10)
    settings = replace(QUICK, retakes=0)
    measured = step_time(
        network, network, settings, TrainSettings(), disturbed=lambda: frozenset({"throttled"}), **SHAPE
    )
    assert measured.marks == ("throttled",)
