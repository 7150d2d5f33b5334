import pytest
import torch
from torch import nn

from nas.measure.stage_time import part_times
from nas.training.settings import ExecutionSettings, TrainSettings
from nas.training.step import make_step
from search_space.architecture import Architecture, Stage
from search_space.network import build_network

CPU = torch.device("cpu")
STAGES = (Stage("fused_mbconv", 1, 3, 1, 8, 1), Stage("mbconv", 2, 3, 4, 8, 1, 0.25), Stage("mbconv", 1, 3, 4, 16, 2))
SMALL = Architecture(stem_channels=8, stages=STAGES, head_channels=16)


class Time:
    def __init__(self):
        self.now = 0.0


class Spend(torch.autograd.Function):
    """Takes so many seconds of a Time in forward, and thrice as many in backward."""

    @staticmethod
    def forward(ctx, x, time, seconds):
        ctx.time, ctx.seconds = time, seconds
        time.now += seconds
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        ctx.time.now += 3 * ctx.seconds
        return grad, None, None


class Spending(nn.Module):
    def __init__(self, module, time, seconds):
        super().__init__()
        self.module, self.time, self.seconds = module, time, seconds

    def forward(self, x):
        return self.module(Spend.apply(x, self.time, self.seconds))


def spending_step(time, **execution):
    """A training step that takes time in the stem (1 s), the stages (10, 20, 30 s) and the head (2 s) alone."""
    network = build_network(SMALL, 10)
    network.conv_stem = Spending(network.conv_stem, time, 1.0)
    for index, seconds in enumerate((10.0, 20.0, 30.0)):
        network.blocks[index] = Spending(network.blocks[index], time, seconds)
    network.conv_head = Spending(network.conv_head, time, 2.0)
    return make_step(network, TrainSettings(), device=CPU, total_steps=9, execution=ExecutionSettings(**execution))


def images(n):
    return torch.randn(n, 3, 16, 16, requires_grad=True), torch.zeros(n, dtype=torch.long)


@pytest.mark.parametrize(("execution", "parts"), [({}, 1), ({"micro_batch": 2}, 2)])
def test_time_is_put_down_to_the_part_that_took_it(execution, parts):
    """Forward and backward of stem, stages and head are told apart, and micro-batches add up."""
    time = Time()
    times = part_times(spending_step(time, **execution), images(4), 2, lambda: time.now)
    expected = [("stem", 1), ("stage1", 10), ("stage2", 20), ("stage3", 30), ("head", 2), ("update", 0)]
    found = [(each.name, each.forward_s, each.backward_s) for each in times]
    assert found == [(name, seconds * parts, 3 * seconds * parts) for name, seconds in expected]


def test_looking_leaves_no_trace():
    """After the parts are timed the network has no hooks, and the steps were real ones."""
    step = make_step(build_network(SMALL, 10), TrainSettings(), device=CPU, total_steps=9)
    before = step.network.classifier.weight.detach().clone()
    part_times(step, images(4), 2)
    assert step.index == 2
    assert not torch.equal(step.network.classifier.weight, before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in step.network.modules())
