"""Which parameters decay, and the optimisers' arithmetic."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from nas.training.optimizers import RMSProp, make_optimizer, parameter_groups
from nas.training.settings import TrainSettings

CPU = torch.device("cpu")


def test_norms_and_biases_do_not_decay(make_network: Callable[[], nn.Module]) -> None:
    """Weight decay takes exactly the weights of convolutions and linear layers, squeeze-and-excitation's included."""
    network = make_network()
    decayed, kept = parameter_groups(network, 1e-5)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert {id(p) for p in decayed["params"]} == {id(m.weight) for m in convolutions}
    assert (decayed["weight_decay"], kept["weight_decay"]) == (1e-5, 0.0)
    assert len(decayed["params"]) + len(kept["params"]) == len(list(network.parameters()))


def test_frozen_parameters_are_left_out() -> None:
    """A frozen layer is given to no optimiser."""
    network = nn.Linear(2, 2)
    network.weight.requires_grad_(False)
    assert [group["params"] for group in parameter_groups(network, 0.1)] == [[network.bias]]


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("tensor_lr", [False, True])
def test_rmsprop_is_tensorflows(foreach: bool, tensor_lr: bool) -> None:
    """Three steps equal TensorFlow's formula by hand: mean square from 1, epsilon in the root, rate in the velocity."""
    weight = torch.tensor([[0.5]], requires_grad=True)
    rate: float | torch.Tensor = torch.tensor(0.0) if tensor_lr else 0.0
    optimizer = RMSProp([weight], rate, decay=0.9, momentum=0.8, eps=1e-3, weight_decay=0.1, foreach=foreach)
    expected, square, velocity = 0.5, 1.0, 0.0
    for lr, grad in ((0.1, 2.0), (0.2, -1.0), (0.05, 0.3)):
        if tensor_lr:
            optimizer.param_groups[0]["lr"].fill_(lr)
        else:
            optimizer.param_groups[0]["lr"] = lr
        weight.grad = torch.tensor([[grad]])
        optimizer.step()
        grad += 0.1 * expected
        square = 0.9 * square + 0.1 * grad**2
        velocity = 0.8 * velocity + lr * grad / math.sqrt(square + 1e-3)
        expected -= velocity
        assert weight.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adamw"])
def test_each_optimizer_takes_its_rate_and_decay(name: str) -> None:
    """Every optimiser of the settings moves a decayed weight without gradient towards 0, and a bias not at all."""
    network = nn.Linear(1, 1)
    nn.init.ones_(network.weight)
    nn.init.ones_(network.bias)
    optimizer = make_optimizer(network, TrainSettings(optimizer=name, weight_decay=0.1), CPU)  # type: ignore[arg-type]
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    network.weight.grad, network.bias.grad = torch.zeros(1, 1), torch.zeros(1)
    optimizer.step()
    assert network.weight.item() < 1
    assert network.bias.item() == 1


def test_sgd_has_nesterov_momentum() -> None:
    """Two steps of SGD equal Nesterov's formula worked by hand."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.ones_(network.weight)
    optimizer = make_optimizer(network, TrainSettings(weight_decay=0), CPU)
    optimizer.param_groups[0]["lr"] = 0.1
    expected, velocity = 1.0, 0.0
    for grad in (1.0, 0.5):
        network.weight.grad = torch.tensor([[grad]])
        optimizer.step()
        velocity = 0.9 * velocity + grad
        expected -= 0.1 * (grad + 0.9 * velocity)
    assert network.weight.item() == pytest.approx(expected)
