"""Mixup, CutMix and erasing: labels say exactly what became of the pixels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.data import mixing


def flat(n: int, size: int = 12, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Image i is of level i all over and of class i, so that a label can be read off the pixels."""
    levels = torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, size, size, channels)
    return levels.contiguous(), mixing.soft_labels(torch.arange(n), n)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 33), st.sampled_from([0.0, 0.1, 0.2, 1.0, 8.0]), st.sampled_from([0.0, 0.2, 1.0]), st.integers(0, 99)
)
def test_labels_are_the_shares_of_the_pixels(n: int, mixup: float, cutmix: float, seed: int) -> None:
    """For any strengths and batch size an image's mean level is its labels' mean level, and labels sum to 1."""
    if mixup == cutmix == 0:
        return
    images, labels = flat(n)
    mixed, soft = mixing.mix(images, labels, mixup, cutmix, torch.Generator().manual_seed(seed))
    assert mixed.shape == images.shape
    assert soft.shape == (n, n)
    assert torch.allclose(soft.sum(1), torch.ones(n), atol=1e-6)
    assert (soft >= 0).all()
    told = soft @ torch.arange(n, dtype=torch.float32)
    assert torch.allclose(mixed.float().mean((1, 2, 3)), told, atol=1e-3)


def test_each_image_has_its_own_share() -> None:
    """Shares differ within a batch: one draw for all images would be another, weaker regulariser."""
    images, labels = flat(64)
    for change in (mixing.mixup, mixing.cutmix):
        _, soft = change(images, labels, 1.0, torch.Generator().manual_seed(0))
        assert soft.amax(1).unique().numel() > 20


def test_mixup_keeps_the_larger_share() -> None:
    """An image stays mostly itself, so that a label's largest weight is the image's own class."""
    images, labels = flat(64)
    _, soft = mixing.mixup(images, labels, 0.4, torch.Generator().manual_seed(0))
    assert torch.equal(soft.argmax(1), torch.arange(64))


def test_cutmix_pastes_rectangles() -> None:
    """What is pasted is one rectangle of the partner's pixels at the same place, nothing blended."""
    images = torch.randint(0, 256, (32, 20, 20, 3), dtype=torch.uint8)
    mixed, _ = mixing.cutmix(images, mixing.soft_labels(torch.arange(32), 32), 1.0, torch.Generator().manual_seed(1))
    foreign = (mixed != images).any(3)
    assert torch.equal(mixed[foreign], images.flip(0)[foreign])
    for hole in foreign[foreign.sum((1, 2)) > 30]:
        rows, columns = hole.any(1).nonzero()[:, 0], hole.any(0).nonzero()[:, 0]
        assert rows.max() - rows.min() + 1 == len(rows)
        assert columns.max() - columns.min() + 1 == len(columns)
        assert hole.sum() > 0.95 * len(rows) * len(columns)  # equal pixels look untouched


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 5.0])
def test_beta_is_beta(alpha: float) -> None:
    """Shares follow Beta(alpha, alpha): its mean and variance, never NaN, for small alphas too."""
    draws = mixing.beta(40_000, alpha, torch.Generator().manual_seed(0)).double()
    variance = 1 / (4 * (2 * alpha + 1))
    assert draws.isfinite().all()
    assert abs(draws.mean() - 0.5) < 5 * (variance / 40_000) ** 0.5
    assert draws.var().item() == pytest.approx(variance, rel=0.03)


def test_erasing_fills_a_rectangle_with_noise() -> None:
    """The asked share of images loses a rectangle of 2 % to 40 % to noise; the others and the input stay."""
    images = torch.full((500, 32, 32, 3), 7, dtype=torch.uint8)
    erased = mixing.erase(images, 0.3, torch.Generator().manual_seed(0))
    assert (images == 7).all()
    hole = (erased != 7).any(3)
    hit = hole.any((1, 2))
    assert abs(hit.float().mean() - 0.3) < 0.08
    area = hole[hit].float().mean((1, 2))
    assert 0.01 < area.min() < 0.06
    assert 0.3 < area.max() < 0.43
    values = erased[hole].float()
    assert abs(values.mean() - 127.5) < 2
    assert values.std() > 70


def test_noise_is_uniform_and_each_images_own() -> None:
    """Every level is as likely, neighbours and images have nothing to do with each other; a seed makes its noise."""
    images = torch.empty(64, 33, 31, 3, dtype=torch.uint8)
    seeds = torch.arange(64)
    noise = mixing.noise_like(images, seeds)
    counts = torch.bincount(noise.flatten().int(), minlength=256)
    expected = noise.numel() / 256
    assert ((counts - expected) ** 2 / expected).sum() < 255 + 5 * (2 * 255) ** 0.5  # chi-square
    flat = noise.flatten(1).double() - 127.5
    for a, b in ((flat[:, 1:], flat[:, :-1]), (flat[:, 8:], flat[:, :-8]), (flat[1:], flat[:-1])):
        assert abs((a * b).mean() / flat.var()) < 5 / a.numel() ** 0.5
    assert torch.equal(mixing.noise_like(images[:1], seeds[7:8]), noise[7:8])


@pytest.mark.parametrize("channels", [1, 3])
def test_paste_is_where(channels: int) -> None:
    """Pasting by bits equals choosing pixel by pixel."""
    images, others = torch.randint(0, 256, (2, 5, 9, 9, channels), dtype=torch.uint8)
    rows, columns = torch.rand(2, 5, 9) < 0.5
    inside = (rows[:, :, None] & columns[:, None, :])[..., None]
    assert torch.equal(mixing.paste(images, others, rows, columns), torch.where(inside, others, images))
