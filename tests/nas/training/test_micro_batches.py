"""Batches are cut evenly, and never into parts of which batch norm cannot learn."""

import doctest

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nas.training import micro_batches
from nas.training.micro_batches import even_parts, smallest_part


@given(st.integers(1, 500), st.none() | st.integers(1, 600), st.sampled_from([1, 2]))
def test_parts_are_even_and_make_up_the_batch(images: int, size: int | None, smallest: int) -> None:
    """No image is lost, parts differ by one image at most, and none is below the smallest where there are enough."""
    parts = even_parts(images, size, smallest)
    assert sum(parts) == images
    assert max(parts) - min(parts) <= 1
    assert min(parts) >= min(smallest, images)
    assert max(parts) <= max(size or images, smallest + 1)


def test_batch_norm_asks_for_two_images() -> None:
    """Only where its statistics are the batch's: frozen, or in a network without it, one image will do."""
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    assert smallest_part(network) == 2
    assert smallest_part(nn.Sequential(nn.SyncBatchNorm(4))) == 2
    assert smallest_part(network.eval()) == 1
    assert smallest_part(nn.Sequential(nn.GroupNorm(1, 4), nn.InstanceNorm2d(4))) == 1


def test_the_examples_hold() -> None:
    """What the docstrings show is what comes out."""
    assert doctest.testmod(micro_batches) == (0, 2)


@pytest.mark.parametrize("images", [2, 3, 5, 9])
def test_one_image_of_one_pixel_is_what_batch_norm_refuses(images: int) -> None:
    """The cut spares a real batch norm the single values that it cannot normalise, whatever the batch's size."""
    norm = nn.BatchNorm1d(4)
    for part in torch.randn(images, 4).split(even_parts(images, 2, smallest_part(norm))):
        norm(part)
