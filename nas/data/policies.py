"""What RandAugment's operations do at which magnitude: the published definitions, as numbers. No torch here.

increasing: timm's `rand-mM-inc1` (timm/data/auto_augment.py): more changes more, but posterize keeps 4 bits even at 0.
official: EfficientNetV2's (google/automl, efficientnetv2/autoaugment.py): what the paper's magnitudes are of. Colours
    change least at 5, posterize and solarize do *less* at more, nothing from 20 and from 10 on; cutout is in.
Of both we take operations and arguments; timm skips each drawn operation half of the time, the official code and we
none. The official code's contrast mistakes a count for the mean grey; ours is Pillow's, which it means to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

FULL = 10.0  # magnitude that gives AutoAugment's full range
# What a policy defines. At more, `increasing` does as at its end, as timm does (posterize would keep -1 bits).
LARGEST = {"increasing": FULL, "official": 30.0}
SMALLEST_PIXELS = 128  # images that the official code trains on are no smaller; below, its pixels become shares of this

Argument = Callable[[float, int, int], float]  # (magnitude / FULL, sign: -1 or 1, image size in pixels) -> argument


def _none(level: float, sign: int, size: int) -> float:
    return 0.0


def _increasing_factor(level: float, sign: int, size: int) -> float:
    return max(0.1, 1 + 0.9 * level * sign)


def _official_factor(level: float, sign: int, size: int) -> float:
    return level * 1.8 + 0.1


def _official_move(level: float, sign: int, size: int) -> float:
    return sign * level * 100 / max(size, SMALLEST_PIXELS)


_SHARED: Mapping[str, Argument] = {
    "autocontrast": _none,
    "equalize": _none,
    "invert": _none,
    "rotate": lambda level, sign, size: 30 * level * sign,  # degrees
    "shear_x": lambda level, sign, size: 0.3 * level * sign,  # slope
    "shear_y": lambda level, sign, size: 0.3 * level * sign,
    "solarize_add": lambda level, sign, size: int(level * 110),  # levels
}
_ENHANCE = ("saturation", "contrast", "brightness", "sharpness")

POLICIES: Mapping[str, Mapping[str, Argument]] = {
    "increasing": {
        **_SHARED,
        "posterize": lambda level, sign, size: 4 - int(level * 4),  # bits kept
        "solarize": lambda level, sign, size: 256 - int(level * 256),  # threshold
        "translate_x": lambda level, sign, size: 0.45 * level * sign,  # share of the width
        "translate_y": lambda level, sign, size: 0.45 * level * sign,
        **dict.fromkeys(_ENHANCE, _increasing_factor),
    },
    "official": {
        **_SHARED,
        "posterize": lambda level, sign, size: min(int(level * 4), 8),
        "solarize": lambda level, sign, size: min(int(level * 256), 256),
        "translate_x": _official_move,
        "translate_y": _official_move,
        **dict.fromkeys(_ENHANCE, _official_factor),
        # Side as a share of the width: twice int(4 M) pixels.
        "cutout": lambda level, sign, size: 2 * int(level * 40) / max(size, SMALLEST_PIXELS),
    },
}


def argument(policy: str, operation: str, magnitude: float, sign: int, image_size: int) -> float:
    """Give an operation's argument.

    Args:
        policy: a key of POLICIES.
        operation: a key of that policy.
        magnitude: how strong; FULL = AutoAugment's full range; above LARGEST as at LARGEST.
        sign: -1 or 1, drawn for each image; operations without a direction do not care.
        image_size: height and width, pixels.
    """
    return POLICIES[policy][operation](min(magnitude, LARGEST[policy]) / FULL, sign, image_size)


def beyond(policy: str, magnitude: float) -> str | None:
    """Say in one line that a policy does not define a magnitude; None if it does."""
    if magnitude <= LARGEST[policy]:
        return None
    others = ", ".join(f"{name} goes to {largest:g}" for name, largest in LARGEST.items() if largest > LARGEST[policy])
    return f"policy {policy} ends at {LARGEST[policy]:g}: {magnitude:g} does as {LARGEST[policy]:g}; {others}"
