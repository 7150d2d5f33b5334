"""Accuracy and loss over batches."""

import pytest
import torch
from torch import nn

from nas.training.evaluate import evaluate


def test_every_image_counts_the_same() -> None:
    """A partial last batch neither weighs more nor is dropped: accuracy and loss are means over images."""
    logits = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    images = logits[:, :, None, None]
    result = evaluate(nn.Flatten(), [(images[:5], labels[:5]), (images[5:], labels[5:])])
    assert result.accuracy == pytest.approx((logits.argmax(1) == labels).float().mean().item())
    assert result.loss == pytest.approx(nn.functional.cross_entropy(logits, labels).item())
    assert result.images == 7


def test_evaluation_leaves_no_trace() -> None:
    """Dropout is off, batch norm's statistics stay, and the network is left in the mode it was in."""
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.9), nn.Flatten())
    batches = [(torch.randn(8, 3, 1, 1), torch.zeros(8, dtype=torch.long))]
    assert evaluate(network, batches) == evaluate(network, batches)
    assert network[0].running_mean.abs().sum() == 0  # type: ignore[union-attr, operator]
    assert network.training
    assert evaluate(network.eval(), batches) is not None
    assert not network.training


def test_nothing_to_evaluate_is_said() -> None:
    """An empty minival is an error, not an accuracy of 0 or NaN."""
    with pytest.raises(ValueError, match="no images"):
        evaluate(nn.Flatten(), [])
