"""The moving average's arithmetic."""

import pytest
import torch
from torch import nn

from nas.training.ema import ExponentialMovingAverage, ema_decay


def test_the_decay_warms_up() -> None:
    """Early updates forget the random start: (1 + n) / (10 + n) until that passes the decay."""
    assert [ema_decay(n, 0.9999) for n in (0, 1, 90)] == pytest.approx([0.1, 2 / 11, 0.91])
    assert ema_decay(10**6, 0.9999) == 0.9999


def test_weights_and_statistics_trail_by_the_formula() -> None:
    """Every weight and batch norm statistic is decay * average + (1 - decay) * value; the counter is copied."""
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    nn.init.constant_(network[0].weight, 1.0)
    ema = ExponentialMovingAverage(network, decay=0.15)
    expected_weight, expected_mean = 1.0, 0.0
    for number, decay in ((2.0, 0.1), (4.0, 0.15), (8.0, 0.15)):
        nn.init.constant_(network[0].weight, number)
        network[1].running_mean.fill_(10 * number)  # type: ignore[operator, union-attr]
        network[1].num_batches_tracked.add_(1)  # type: ignore[operator, union-attr]
        ema.advance()
        ema.update()
        expected_weight = decay * expected_weight + (1 - decay) * number
        expected_mean = decay * expected_mean + (1 - decay) * 10 * number
    assert ema.network[0].weight.item() == pytest.approx(expected_weight)  # type: ignore[index]
    assert ema.network[1].running_mean.item() == pytest.approx(expected_mean)  # type: ignore[index]
    assert ema.network[1].num_batches_tracked.item() == 3  # type: ignore[index]


def test_the_average_is_a_copy_that_does_not_train() -> None:
    """The average is evaluated as it is: in evaluation mode, without gradients, apart from the network."""
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).train()
    ema = ExponentialMovingAverage(network, decay=0.9)
    assert not ema.network.training
    assert not any(parameter.requires_grad for parameter in ema.network.parameters())
    with torch.no_grad():
        network[0].weight.zero_()
    assert ema.network[0].weight.abs().sum() > 0  # type: ignore[index]
    assert network.training
