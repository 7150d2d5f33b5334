"""The step timer on a GPU. These tests need CUDA alone: no data set, no network connection."""

import copy
import gc
import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from nas.measure.device_lock import DeviceLock, lock_names, lock_users
from nas.measure.disturbances import watch
from nas.measure.inference import inference_time
from nas.measure.memory import peak_memory_mb
from nas.measure.profile import profile
from nas.measure.settings import StepTimeSettings
from nas.measure.stage_time import part_times
from nas.measure.step_time import StepOutOfMemory, make_batch, step_time
from nas.training.cuda_graph import WARM_UP_STEPS, CaptureError
from nas.training.settings import EXECUTION, ExecutionSettings, TrainSettings
from nas.training.step import make_step
from search_space.architecture import Architecture, Stage
from search_space.network import build_network

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

CAPTURED, EAGER = ExecutionSettings(cuda_graph="on"), ExecutionSettings(cuda_graph="off")
QUICK = StepTimeSettings(min_pairs=10, max_pairs=10, lock=False)
STAGES = (Stage("fused_mbconv", 1, 3, 1, 16, 1), Stage("mbconv", 2, 3, 4, 32, 2, 0.25), Stage("mbconv", 2, 3, 4, 48, 2))
SMALL = Architecture(stem_channels=8, stages=STAGES, head_channels=64)


@pytest.fixture
def device():
    return torch.device("cuda", torch.cuda.current_device())


def shape(device, batch_size=32):
    return {"image_size": 32, "in_channels": 3, "num_classes": 10, "batch_size": batch_size, "device": device}


def state(network):
    return [tensor.clone() for tensor in network.state_dict().values()]


@pytest.mark.parametrize("cuda_graph", ["off", "on"])
def test_a_network_against_itself_is_one_and_stays_as_it_was(device, cuda_graph):
    """Eager or captured, the interval of a network's ratio to itself holds 1 (it misses once in 10,000 runs).

    Weights and both random generators are the same bits as before.
    """
    network = build_network(SMALL, 10).to(device)
    before, numbers = state(network), (torch.get_rng_state(), torch.cuda.get_rng_state(device))
    settings = replace(QUICK, min_pairs=20, max_pairs=20, confidence=0.9999)
    execution = ExecutionSettings(cuda_graph=cuda_graph)
    measured = step_time(
        network, copy.deepcopy(network), settings, TrainSettings(), execution=execution, **shape(device)
    )
    assert measured.ratio_low <= 1 <= measured.ratio_high
    assert (measured.clock, measured.batch_size, measured.micro_batch) == ("wall", 32, 32)
    assert measured.peak_memory_mb > 0
    assert all(torch.equal(a, b) for a, b in zip(state(network), before, strict=True))
    assert torch.equal(torch.get_rng_state(), numbers[0])
    assert torch.equal(torch.cuda.get_rng_state(device), numbers[1])


def test_eight_times_the_work_takes_longer(device):
    """Really timed, on images large enough to fill the device: wider layers give a ratio above 1.4."""
    wide = replace(SMALL, stages=tuple(replace(stage, channels=8 * stage.channels) for stage in SMALL.stages))
    large = shape(device, 64) | {"image_size": 128}
    measured = step_time(build_network(wide, 10), build_network(SMALL, 10), QUICK, TrainSettings(), **large)
    assert measured.ratio > 1.4


def test_inference_beside_itself_is_one_and_a_batch_too_large_is_not_measured(device):
    """One image and a batch of a network beside itself: intervals that hold 1; a batch that does not fit is NaN."""
    network = build_network(SMALL, 10).to(device)
    settings = replace(QUICK, min_pairs=20, max_pairs=20, confidence=0.9999)
    like = {"image_size": 32, "in_channels": 3, "execution": EXECUTION, "device": device}
    found = inference_time(network, copy.deepcopy(network), batch_size=32, settings=settings, **like)
    assert found.ratio_low <= 1 <= found.ratio_high
    assert found.batch_ratio_low <= 1 <= found.batch_ratio_high
    assert found.clock == "wall"
    third = Hungry(torch.cuda.get_device_properties(device).total_memory // 3)
    found = inference_time(third, Hungry(1), batch_size=8, settings=QUICK, **like)
    assert found.latency_s > 0
    assert found.batch_latency_s != found.batch_latency_s


class Hungry(nn.Module):
    """Takes so many bytes per image in forward."""

    def __init__(self, size):
        super().__init__()
        self.size, self.linear = size, nn.Linear(3, 10)

    def forward(self, x):
        hold = torch.empty(len(x), self.size, dtype=torch.uint8, device=x.device)
        return self.linear(x.mean((2, 3))) + 0 * hold.numel()


@pytest.mark.parametrize("cuda_graph", ["off", "auto"])
def test_out_of_memory_halves_the_micro_batch(device, cuda_graph):
    """Eight images that take 30 % of the memory each are timed in smaller parts; one of 130 % is out of memory."""
    total = torch.cuda.get_device_properties(device).total_memory
    settings, of_eight = TrainSettings(), shape(device, 8) | {"execution": ExecutionSettings(cuda_graph=cuda_graph)}
    measured = step_time(Hungry(total * 3 // 10), Hungry(1), QUICK, settings, **of_eight)
    assert measured.batch_size == 8
    assert measured.micro_batch == 2
    with pytest.raises(StepOutOfMemory, match="candidate"):
        step_time(Hungry(total * 13 // 10), Hungry(1), QUICK, settings, **of_eight)


def test_timing_leaves_no_memory_taken(device):
    """Both captured steps, networks and graphs, are gone when the timing is over, without a garbage collection.

    A first timing leaves what cuBLAS keeps for as long as the process lives: a workspace for each stream it worked on,
    of 4 to 33 MiB by the GPU. Later timings use the same streams, and leave nothing.
    """
    reserved = []
    gc.disable()
    try:
        for _ in range(3):
            networks = build_network(SMALL, 10), build_network(SMALL, 10)
            step_time(*networks, QUICK, TrainSettings(), execution=CAPTURED, **shape(device))
            del networks
            torch.cuda.empty_cache()
            reserved.append(torch.cuda.memory_reserved(device))
    finally:
        gc.enable()
    assert max(reserved[1:]) - reserved[0] < 4 << 20


def test_two_captured_steps_take_the_memory_of_one(device):
    """Candidate and reference that take 60 % of what is free each are both captured, with the whole batch."""
    torch.cuda.empty_cache()
    image = torch.cuda.mem_get_info(device)[0] * 6 // 10 // 8
    measured = step_time(
        Hungry(image), Hungry(image), QUICK, TrainSettings(), execution=CAPTURED, **shape(device, batch_size=8)
    )
    assert (measured.micro_batch, measured.marks) == (8, ())


class HungryInGraphs(Hungry):
    """Takes its bytes only while it is captured, and runs out of memory then."""

    def forward(self, x):
        if not torch.cuda.is_current_stream_capturing():
            return self.linear(x.mean((2, 3)))
        hold = super().forward(x)
        raise torch.OutOfMemoryError(f"CUDA out of memory after {hold.shape}")


def test_a_capture_that_runs_out_of_memory_keeps_none(device):
    """The step goes on eagerly, and says that it had no room; 200 MiB that the capture took are free again."""
    batch = make_batch((8, 3, 8, 8), 10, EXECUTION, device)
    step = make_step(HungryInGraphs(25 << 20), TrainSettings(), device=device, total_steps=9, execution=EXECUTION)
    for _ in range(WARM_UP_STEPS):
        step(*batch)
    before = torch.cuda.memory_reserved(device)
    losses = [step(*batch).item() for _ in range(3)]
    assert len(set(losses)) == 3
    assert step.no_room
    assert not step.captured
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved(device) - before < 10 << 20


class Peeks(nn.Module):
    """Asks the GPU for a number in every forward, which no graph can hold."""

    def __init__(self):
        super().__init__()
        self.linear, self.dropout = nn.Linear(3, 10), nn.Dropout(0.5)

    def forward(self, x):
        x = self.dropout(x.mean((2, 3)))
        return self.linear(x) if x.sum().item() > -1e9 else x


def test_a_step_that_cannot_be_captured_goes_on_without(device):
    """With `auto` dropout and all go on after a capture that failed; with `on` that is an error."""
    batch = make_batch((8, 3, 8, 8), 10, EXECUTION, device)
    step = make_step(Peeks(), TrainSettings(dropout=0.5), device=device, total_steps=9, execution=EXECUTION)
    losses = [step(*batch).item() for _ in range(8)]
    assert len(set(losses)) == 8
    assert not step.captured
    step = make_step(Peeks(), TrainSettings(), device=device, total_steps=9, execution=CAPTURED)
    for _ in range(WARM_UP_STEPS):
        step(*batch)
    with pytest.raises(CaptureError):
        step(*batch)


def test_peak_memory_is_the_same_beside_other_tensors(device):
    """What else of the process lies on the GPU, such as a data set, does not count as the network's."""
    step = make_step(build_network(SMALL, 10), TrainSettings(), device=device, total_steps=9, execution=EAGER)
    batch = make_batch((32, 3, 32, 32), 10, EAGER, device)
    for _ in range(3):
        step(*batch)
    alone = peak_memory_mb(step, *batch)
    other = torch.empty(200 << 20, dtype=torch.uint8, device=device)
    assert peak_memory_mb(step, *batch) == pytest.approx(alone, rel=0.05)
    del other


def test_parts_are_timed_in_the_queue(device):
    """Every part of the network takes some time, forward and backward, and the profile's parts make up its step."""
    step = make_step(build_network(SMALL, 10), TrainSettings(), device=device, total_steps=9, execution=EAGER)
    batch = make_batch((32, 3, 32, 32), 10, EAGER, device)
    step(*batch)
    times = part_times(step, batch, 3)
    assert [each.name for each in times] == ["stem", "stage1", "stage2", "stage3", "head", "update"]
    assert all(each.forward_s > 0 for each in times)
    assert all(each.backward_s > 0 for each in times[:-1])
    pytest.importorskip("fvcore")  # which `profile` asks for the static part
    row = profile(SMALL, reference=SMALL, device=device, image_size=32, batch_size=32, num_classes=10, settings=QUICK)
    parts_s = sum(part.forward_s + part.backward_s for part in row.parts)
    assert parts_s == pytest.approx(row.step_time.step_time_s)


def test_the_lock_is_known_by_the_uuid_and_waits_for_the_queue(device, tmp_path):
    """Releasing the device finishes what was queued, so that it does not run on into another's timed window."""
    assert lock_names(device)[0].removeprefix("gpu-") in str(torch.cuda.get_device_properties(device).uuid)
    lock, done = DeviceLock(device, tmp_path), torch.cuda.Event()
    matrix = torch.randn(4096, 4096, device=device)
    with lock.training():
        for _ in itertools.repeat(None, 50):
            matrix = matrix @ matrix / 64
        done.record()
    assert done.query()
    assert lock_users(device, tmp_path)


def test_our_own_process_is_no_stranger(device, tmp_path):
    """With NVML or without, asking what disturbs the GPU works and never names the search itself."""
    DeviceLock(device, tmp_path)
    assert watch(device, tmp_path)() <= {"throttled", "foreign_process"}
