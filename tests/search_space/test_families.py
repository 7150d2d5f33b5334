"""The published models against the figures their authors published."""

import pytest

from search_space.block_strings import from_block_strings
from search_space.cost import count
from search_space.families import PUBLISHED, published, round_channels, scaled

# name: (parameters, 10^9 MACs at the evaluation size, training image size, evaluation image size, dropout)
# Sources: torchvision's documentation (V1, S, M, L), google/automl's configurations and README (V2).
FACTS = {
    "efficientnet_b0": (5288548, 0.39, None, 224, 0.2),
    "efficientnet_b1": (7794184, None, None, 240, 0.2),
    "efficientnet_b2": (9109994, None, None, 260, 0.3),
    "efficientnet_b3": (12233232, None, None, 300, 0.3),
    "efficientnet_b4": (19341616, None, None, 380, 0.4),
    "efficientnet_b5": (30389784, None, None, 456, 0.4),
    "efficientnet_b6": (43040704, None, None, 528, 0.5),
    "efficientnet_b7": (66347960, None, None, 600, 0.5),
    "efficientnetv2_b0": (7139704, 0.718, 192, 224, 0.2),
    "efficientnetv2_b1": (8141052, 1.197, 192, 240, 0.2),
    "efficientnetv2_b2": (10096086, 1.698, 208, 260, 0.3),
    "efficientnetv2_b3": (14358406, 3.011, 240, 300, 0.3),
    "efficientnetv2_s": (21458488, 8.366, 300, 384, 0.2),
    "efficientnetv2_m": (54139356, 24.582, 384, 480, 0.3),
    "efficientnetv2_l": (118515272, 56.080, 384, 480, 0.4),
    "efficientnetv2_xl": (208119808, 93.353, 384, 512, 0.4),
}


def test_the_published_names_are_these():
    """Users and recipes refer to the models by these names."""
    assert set(PUBLISHED) == set(FACTS)


@pytest.mark.parametrize("name", FACTS)
def test_published_figures(name):
    """Parameters to the unit, MACs to the published digits, sizes and dropout as in the official configurations."""
    params, gmacs, train_image_size, image_size, dropout = FACTS[name]
    architecture = published(name)
    cost = count(architecture, image_size)
    assert cost.params == params
    if gmacs is not None:
        digits = 2 if gmacs == 0.39 else 3
        assert round(cost.macs / 1e9, digits) == gmacs
    assert (architecture.train_image_size, architecture.image_size) == (train_image_size, image_size)
    assert architecture.dropout == dropout


def test_v1_and_v2_round_channels_differently():
    """B3 tells them apart: 24 * 1.2 = 28.8 -> 32 in both, but 16 * 1.2 = 19.2 -> 16 loses 17 %, so V1 takes 24."""
    assert round_channels(16 * 1.2, floor_at_90_percent=True) == 24
    assert round_channels(16 * 1.2, floor_at_90_percent=False) == 16
    assert published("efficientnet_b3").stages[0].channels == 24
    assert published("efficientnetv2_b3").stages[0].channels == 16


@pytest.mark.parametrize(
    ("channels", "v1", "v2"),
    [
        (16, 16, 16),
        (17.6, 16, 16),
        (35.2, 32, 32),
        (19.2, 24, 16),
        (12, 16, 16),
        (11.9, 16, 8),
        (3, 8, 8),
        (20, 24, 24),
    ],
)
def test_rounding_by_hand(channels, v1, v2):
    """To the nearest multiple of 8, halves up, never below 8; V1 adds one where more than a tenth would be lost."""
    assert round_channels(channels, floor_at_90_percent=True) == v1
    assert round_channels(channels, floor_at_90_percent=False) == v2


def test_only_v1_scales_its_head_beyond_b3():
    """V1's B4 head is 1280 * 1.4 = 1792; S, M, L and XL keep 1280."""
    assert published("efficientnet_b4").head_channels == 1792
    assert {published(f"efficientnetv2_{size}").head_channels for size in ("s", "m", "l", "xl")} == {1280}


@pytest.mark.parametrize("name", ["efficientnetv2_xxl", "b0", "", 3, None])
def test_an_unknown_name_lists_the_known(name):
    """A mistyped model is answered with those that exist."""
    with pytest.raises(ValueError, match=r"unknown architecture .*; known: efficientnet_b0, efficientnet_b1, "):
        published(name)


def test_layers_are_rounded_up_but_not_by_floating_point():
    """5 * 2.2 is 11 layers, though in floating point it is 11.000000000000002; 5 * 2.21 is 12."""
    base = from_block_strings(["r5_k3_s1_e1_i16_o16"])
    assert scaled(base, 1, 2.2, floor_at_90_percent=False).stages[0].layers == 11
    assert scaled(base, 1, 2.21, floor_at_90_percent=False).stages[0].layers == 12
