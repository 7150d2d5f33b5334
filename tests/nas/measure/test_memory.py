import pytest
import torch
from torch import nn

from nas.measure.memory import peak_memory_mb
from nas.training.settings import ExecutionSettings, TrainSettings
from nas.training.step import make_step

CPU = torch.device("cpu")


def peak(network, batch_size, image_size=8, micro_batch=None, **settings):
    execution = ExecutionSettings(channels_last=False, micro_batch=micro_batch)
    step = make_step(network, TrainSettings(**settings), device=CPU, total_steps=1, execution=execution)
    images, labels = torch.randn(batch_size, 3, image_size, image_size), torch.zeros(batch_size, dtype=torch.long)
    step(images, labels)
    return peak_memory_mb(step, images, labels) * 2**20


def classifier(features=192, classes=1000):
    return nn.Sequential(nn.Flatten(), nn.Linear(features, classes, bias=False))


def test_peak_is_weights_momentum_gradients_batch_and_logits():
    """A linear classifier holds three times its weights (SGD with momentum), the batch, and twice its logits or more.

    Logits and their log-softmax live at once, or log-softmax and its gradient; labels and losses are a few bytes.
    """
    weights, images, logits = 4 * 192 * 1000, 4 * 16 * 192, 4 * 16 * 1000
    assert peak(classifier(), 16) == pytest.approx(3 * weights + images + logits, rel=0.03)


def test_each_optimiser_state_and_the_average_count():
    """AdamW keeps one tensor more per weight than SGD; a moving average one more again."""
    weights = 4 * 192 * 1000
    sgd = peak(classifier(), 1)
    assert peak(classifier(), 1, optimizer="adamw") - sgd == pytest.approx(weights, rel=0.03)
    assert peak(classifier(), 1, ema_decay=0.9) - sgd == pytest.approx(weights, rel=0.03)


def test_activations_grow_with_the_batch_and_shrink_with_micro_batches():
    """What a convolution saves for backward is per image; the same batch in four parts holds a quarter of it."""

    def convolutions():
        layers = [layer for _ in range(6) for layer in (nn.Conv2d(3, 3, 3, padding=1), nn.Tanh())]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    one, four = peak(convolutions(), 8, 64), peak(convolutions(), 32, 64)
    assert four == pytest.approx(4 * one, rel=0.05)
    batch = 4 * 32 * 3 * 64 * 64
    parted = peak(convolutions(), 32, 64, micro_batch=8)
    assert parted - batch == pytest.approx((four - batch) / 4, rel=0.05)


def test_peak_is_the_same_in_every_run():
    """The figure is an account, not a sample: it does not depend on what the process did before."""
    network = classifier()
    assert peak(network, 16) == peak(network, 16)
