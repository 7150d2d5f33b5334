"""RandAugment draws for each image, from the published operations, as strongly as asked."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from nas.data.policies import POLICIES, argument
from nas.data.randaugment import cutout, randaugment

SIZE = 32


def picture() -> Image.Image:
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(20, 220, (6, 6, 3), dtype=np.uint8)).resize(
        (SIZE, SIZE), Image.Resampling.BICUBIC
    )
    return Image.fromarray((np.asarray(coarse) * np.array([0.9, 0.7, 0.5])).astype(np.uint8))


def affine(*matrix: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.transform(image.size, Image.Transform.AFFINE, matrix, fillcolor=(128, 128, 128))


def enhanced(kind: type, factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: kind(image).enhance(factor)


def at_ten() -> dict[tuple[str, int], Callable[[Image.Image], Image.Image]]:
    """What each operation does at magnitude 10 with each sign, by Pillow alone."""
    done: dict[tuple[str, int], Callable[[Image.Image], Image.Image]] = {
        ("autocontrast", 0): ImageOps.autocontrast,
        ("equalize", 0): ImageOps.equalize,
        ("invert", 0): ImageOps.invert,  # solarize with threshold 0 is the same
        ("posterize", 0): lambda image: image.point([0] * 768),
        ("solarize_add", 0): lambda image: image.point([min(255, i + 110) if i < 128 else i for i in range(256)] * 3),
    }
    for sign in (-1, 1):
        move = 0.45 * SIZE * sign
        done[("rotate", sign)] = lambda image, sign=sign: image.rotate(30 * sign, fillcolor=(128, 128, 128))
        done[("shear_x", sign)] = affine(1, 0.3 * sign, 0, 0, 1, 0)
        done[("shear_y", sign)] = affine(1, 0, 0, 0.3 * sign, 1, 0)
        done[("translate_x", sign)] = affine(1, 0, move, 0, 1, 0)
        done[("translate_y", sign)] = affine(1, 0, 0, 0, 1, move)
        kinds = {"saturation": ImageEnhance.Color, "contrast": ImageEnhance.Contrast}
        kinds |= {"brightness": ImageEnhance.Brightness, "sharpness": ImageEnhance.Sharpness}
        for name, kind in kinds.items():
            done[(name, sign)] = enhanced(kind, 1 + 0.9 * sign)
    return done


def test_each_image_gets_one_of_the_published_operations() -> None:
    """Of many copies of an image each comes out as Pillow would make it by one operation, all about equally often."""
    n = 1500
    images = torch.from_numpy(np.array(picture())).repeat(n, 1, 1, 1)
    done = randaugment(images, 1, 10.0, "increasing", torch.Generator().manual_seed(0)).int()
    names = list(at_ten())
    expected = torch.stack([torch.from_numpy(np.array(change(picture()))).int() for change in at_ten().values()])
    distance = torch.stack([(done - one).abs().float().mean((1, 2, 3)) for one in expected])  # (operations, N)
    assert distance.amin(0).max() < 0.5  # levels; other operations are further than 1 away
    counts = Counter(names[i] for i in distance.argmin(0).tolist())
    assert set(counts) == set(names)
    for (name, sign), count in counts.items():
        share = (2 if name == "invert" else 1 if sign == 0 else 0.5) / 15
        assert abs(count / n - share) < 4 * (share / n) ** 0.5, (name, sign)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_same_seed_same_images(policy: str, channels: int) -> None:
    """A seed decides everything, another seed gives something else, and the given batch stays as it was."""
    images = torch.randint(0, 256, (16, 12, 12, channels), dtype=torch.uint8)
    before = images.clone()
    first, again, other = (randaugment(images, 2, 7.5, policy, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert first.dtype == torch.uint8
    assert first.shape == images.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, before)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_images_keep_their_places(layers: int) -> None:
    """However operations are grouped while they are computed, each image stays beside its label."""
    images = torch.randint(0, 256, (200, 8, 8, 3), dtype=torch.uint8)
    done = randaugment(images, layers, 1e-6, "increasing", torch.Generator().manual_seed(0))
    distance = (done[:, None].int() - images.int()).abs().float().flatten(2).mean(2)  # (results, images), in levels
    nearest, image = distance.min(1)
    known = nearest < 20
    assert torch.equal(image[known], torch.arange(200)[known])
    assert known.float().mean() > (14 / 15) ** layers - 0.1  # all but inverted ones


def test_increasing_does_more_at_more() -> None:
    """Magnitude is one dial for progressive learning: every argument moves away from the identity, if it starts there.

    Only timm's posterize does not: it keeps 4 bits of 8 at 0.
    """
    neutral = {"posterize": 4, "solarize": 256, "saturation": 1, "contrast": 1, "brightness": 1, "sharpness": 1}
    for name in POLICIES["increasing"]:
        for sign in (-1, 1):
            each = (argument("increasing", name, m, sign, 32) for m in (0, 2.5, 5, 7.5, 10, 15, 30))
            away = [abs(value - neutral.get(name, 0)) for value in each]
            assert away[0] == 0
            assert away == sorted(away)


def test_cutout_greys_one_square() -> None:
    """Cutout leaves a grey square of the asked side, less what is off the edge, in the images that drew it alone."""
    drawn = torch.arange(200) % 2 == 0
    done = cutout(
        torch.zeros(200, 50, 50, 3, dtype=torch.uint8), drawn, torch.full((200,), 0.2), torch.Generator().manual_seed(0)
    )
    grey = (done == 128).all(3)
    assert not done[~drawn].any()
    assert torch.equal(grey.any((1, 2)), drawn)
    tall, wide = grey.any(2).sum(1)[drawn], grey.any(1).sum(1)[drawn]
    assert torch.equal(grey.sum((1, 2))[drawn], tall * wide)
    assert tall.max() == wide.max() == 10
