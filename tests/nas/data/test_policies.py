"""Both RandAugment policies have, operation by operation, the numbers that their published definitions give."""

import logging

import pytest

from nas.data.policies import POLICIES, argument, beyond
from nas.data.settings import AugmentSettings

MAGNITUDES = (0, 1, 2, 2.5, 5, 7.3, 9, 10, 12.5, 15, 20, 22.5, 25, 30)
NOTHING = (0,) * 14

# Typed from google/automl, efficientnetv2/autoaugment.py (level_to_arg; _MAX_LEVEL = 10), which
# distort_image_with_randaugment calls with cutout_const=40, translate_const=100: posterize int(M / 10 * 4) bits,
# solarize int(M / 10 * 256), solarize_add int(M / 10 * 110), enhancements M / 10 * 1.8 + 0.1, shears M / 10 * 0.3,
# rotate M / 10 * 30 degrees, translations M / 10 * 100 pixels, cutout twice int(M / 10 * 40) pixels.
# 9 bits are one more than there are, and every level is below 256: both are nothing, as 8 and 256 are.
OFFICIAL = {
    "autocontrast": NOTHING,
    "equalize": NOTHING,
    "invert": NOTHING,
    "posterize": (0, 0, 0, 1, 2, 2, 3, 4, 5, 6, 8, 8, 8, 8),
    "solarize": (0, 25, 51, 64, 128, 186, 230, 256, 256, 256, 256, 256, 256, 256),
    "solarize_add": (0, 11, 22, 27, 55, 80, 99, 110, 137, 165, 220, 247, 275, 330),
    **dict.fromkeys(
        ("saturation", "contrast", "brightness", "sharpness"),
        (0.1, 0.28, 0.46, 0.55, 1.0, 1.414, 1.72, 1.9, 2.35, 2.8, 3.7, 4.15, 4.6, 5.5),
    ),
    "rotate": (0, 3, 6, 7.5, 15, 21.9, 27, 30, 37.5, 45, 60, 67.5, 75, 90),
    **dict.fromkeys(
        ("shear_x", "shear_y"), (0, 0.03, 0.06, 0.075, 0.15, 0.219, 0.27, 0.3, 0.375, 0.45, 0.6, 0.675, 0.75, 0.9)
    ),
    **dict.fromkeys(("translate_x", "translate_y"), (0, 10, 20, 25, 50, 73, 90, 100, 125, 150, 200, 225, 250, 300)),
    "cutout": (0, 8, 16, 20, 40, 58, 72, 80, 100, 120, 160, 180, 200, 240),
}
# Typed from huggingface/pytorch-image-models, timm/data/auto_augment.py (_RAND_INCREASING_TRANSFORMS, LEVEL_TO_ARG;
# AugmentOp cuts magnitudes off at 10): posterize 4 - int(M / 10 * 4) bits, solarize 256 - int(M / 10 * 256),
# enhancements max(0.1, 1 +- M / 10 * 0.9), translations M / 10 * 0.45 of the size; the others as above.
INCREASING = {
    "autocontrast": NOTHING,
    "equalize": NOTHING,
    "invert": NOTHING,
    "posterize": (4, 4, 4, 3, 2, 2, 1, *(0,) * 7),
    "solarize": (256, 231, 205, 192, 128, 70, 26, *(0,) * 7),
    "solarize_add": (0, 11, 22, 27, 55, 80, 99, *(110,) * 7),
    **dict.fromkeys(
        ("saturation", "contrast", "brightness", "sharpness"), (1, 1.09, 1.18, 1.225, 1.45, 1.657, 1.81, *(1.9,) * 7)
    ),
    "rotate": (0, 3, 6, 7.5, 15, 21.9, 27, *(30,) * 7),
    **dict.fromkeys(("shear_x", "shear_y"), (0, 0.03, 0.06, 0.075, 0.15, 0.219, 0.27, *(0.3,) * 7)),
    **dict.fromkeys(("translate_x", "translate_y"), (0, 0.045, 0.09, 0.1125, 0.225, 0.3285, 0.405, *(0.45,) * 7)),
}
DIRECTED = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
ENHANCING = ("saturation", "contrast", "brightness", "sharpness")


@pytest.mark.parametrize("size", [128, 224, 300, 380])
@pytest.mark.parametrize("operation", OFFICIAL)
def test_official_is_efficientnetv2s(operation: str, size: int) -> None:
    """Each operation has the official code's argument at every magnitude, its pixels at every size it trains at."""
    pixels = size if operation in ("translate_x", "translate_y", "cutout") else 1
    for sign in (-1, 1):
        ours = [argument("official", operation, m, sign, size) * pixels for m in MAGNITUDES]
        wanted = [value * (sign if operation in DIRECTED else 1) for value in OFFICIAL[operation]]
        assert ours == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("operation", INCREASING)
def test_increasing_is_timms(operation: str) -> None:
    """Each operation has timm's argument at every magnitude up to 10, and stays there beyond, as timm does."""
    for sign in (-1, 1):
        ours = [argument("increasing", operation, m, sign, 32) for m in MAGNITUDES]
        if operation in ENHANCING:
            wanted = [1 + (value - 1) * sign for value in INCREASING[operation]]
        else:
            wanted = [value * (sign if operation in DIRECTED else 1) for value in INCREASING[operation]]
        assert ours == pytest.approx(wanted, abs=1e-9)


def test_the_tables_are_whole() -> None:
    """No operation of either policy is left unchecked, and timm's has no cutout."""
    assert set(POLICIES) == {"official", "increasing"}
    assert set(POLICIES["official"]) == set(OFFICIAL)
    assert set(POLICIES["increasing"]) == set(INCREASING) == set(OFFICIAL) - {"cutout"}


def test_small_images_keep_a_share() -> None:
    """On images smaller than any the official code trains on, its pixels count at 128, so that something stays in."""
    assert argument("official", "translate_x", 10, 1, 32) * 32 == pytest.approx(25)
    assert argument("official", "cutout", 10, 1, 32) * 32 == pytest.approx(20)


def test_a_magnitude_beyond_the_policy_is_said() -> None:
    """What a policy does not define is cut off, and one line says where and which policy goes further."""
    assert AugmentSettings(randaugment_magnitude=10).clamped is None
    assert AugmentSettings(randaugment_magnitude=30, randaugment_policy="official").clamped is None
    assert (
        AugmentSettings(randaugment_magnitude=15).clamped
        == beyond("increasing", 15)
        == ("policy increasing ends at 10: 15 does as 10; official goes to 30")
    )


def test_a_search_beyond_the_policy_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """A search says so before it starts."""
    from nas.config.search import search_config
    from nas.search.checks import check_config

    for magnitude in (10, 12):
        config = search_config(space={"name": "small"}, image_size=32, augment={"randaugment_magnitude": magnitude})
        with caplog.at_level(logging.WARNING):
            check_config(config)
        assert ("augment.randaugment_magnitude: policy increasing ends at 10: 12 does as 10" in caplog.text) == (
            magnitude == 12
        )
