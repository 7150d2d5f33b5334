"""Each operation on grey levels does what Pillow's does."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from nas.data import colour
from nas.data.randaugment import IMAGE_TABLES


def batch(channels: int, seed: int = 0) -> Tensor:
    """Images (N, 24, 24, C) unlike each other: noise, smooth, dark, of few levels, of one level."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (24, 24, channels))
    ramp = np.broadcast_to(np.linspace(40, 200, 24)[:, None, None], (24, 24, channels)) + rng.integers(0, 9, channels)
    dark = rng.integers(3, 60, (24, 24, channels))
    few = rng.choice([10, 90, 91, 250], (24, 24, channels))
    flat = np.full((24, 24, channels), 77)
    skewed = (rng.random((24, 24, channels)) ** 4 * 255).astype(int)
    return torch.from_numpy(np.stack([noise, ramp, dark, few, flat, skewed]).astype(np.uint8))


def by_pillow(images: Tensor, change: Callable[[Image.Image], Image.Image]) -> Tensor:
    done = [np.asarray(change(Image.fromarray(image.squeeze(-1).numpy()))) for image in images]
    return torch.from_numpy(np.stack(done)).view(images.shape)


def difference(a: Tensor, b: Tensor) -> int:
    return int((a.int() - b.int()).abs().max())


def enhanced(kind: type, factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: kind(image).enhance(factor)


def solarized_add(addition: int) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.point(
        [min(255, i + addition) if i < 128 else i for i in range(256)] * len(image.getbands())
    )


FACTORS = (0.1, 0.55, 1.0, 1.3, 1.9, 2.8)
TABLES = [
    ("autocontrast", 0.0, ImageOps.autocontrast),
    ("equalize", 0.0, ImageOps.equalize),
    ("invert", 0.0, ImageOps.invert),
    *(("posterize", bits, lambda image, bits=bits: ImageOps.posterize(image, bits)) for bits in range(1, 9)),
    *(("solarize", t, lambda image, t=t: ImageOps.solarize(image, t)) for t in (0, 77, 128, 256)),
    *(("solarize_add", addition, solarized_add(addition)) for addition in (0, 50, 110)),
    *(("brightness", f, enhanced(ImageEnhance.Brightness, f)) for f in FACTORS),
    *(("contrast", f, enhanced(ImageEnhance.Contrast, f)) for f in FACTORS),
]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("name", "argument", "pillow"), TABLES, ids=lambda value: str(value)[:12])
def test_table_operations_are_pillows(name: str, argument: float, pillow: Callable, channels: int) -> None:
    """Every operation that maps levels equals Pillow's to the level, so published recipes mean the same here."""
    images = batch(channels)
    arguments = torch.full((len(images),), float(argument))
    operation = getattr(colour, name)
    tables = operation(images, arguments) if name in IMAGE_TABLES else operation(arguments)
    done = colour.look_up(images, tables.expand(-1, channels, -1).contiguous())
    assert difference(done, by_pillow(images, pillow)) == 0


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(("name", "kind"), [("saturation", ImageEnhance.Color), ("sharpness", ImageEnhance.Sharpness)])
def test_pixel_operations_are_pillows(name: str, kind: type, factor: float, channels: int) -> None:
    """Saturation and sharpness equal Pillow's to one level, borders and rounding included."""
    images = batch(channels)
    ours = getattr(colour, name)(images, torch.full((len(images),), factor))
    assert difference(ours, by_pillow(images, enhanced(kind, factor))) <= 1


def test_each_image_has_its_own_argument() -> None:
    """A batch with different factors gives what each image alone gives."""
    images = batch(3)
    factors = torch.tensor([0.1, 0.5, 0.9, 1.2, 1.5, 1.9])
    for operation in (colour.saturation, colour.sharpness):
        together = operation(images, factors)
        alone = torch.cat([operation(images[i : i + 1], factors[i : i + 1]) for i in range(len(images))])
        assert torch.equal(together, alone)
    together = colour.look_up(images, colour.contrast(images, factors).expand(-1, 3, -1).contiguous())
    alone = by_pillow_each(images, factors)
    assert torch.equal(together, alone)


def by_pillow_each(images: Tensor, factors: Tensor) -> Tensor:
    pairs = zip(images, factors.tolist(), strict=True)
    return torch.cat([by_pillow(image[None], enhanced(ImageEnhance.Contrast, factor)) for image, factor in pairs])


@pytest.mark.parametrize("channels", [1, 3])
def test_histogram_counts_levels(channels: int) -> None:
    """Both ways of counting levels, the CPU's and the one for a GPU, give numpy's counts."""
    images = batch(channels)
    wanted = np.stack(
        [[np.bincount(i[..., c].ravel(), minlength=256) for c in range(channels)] for i in images.numpy()]
    )
    for count in (colour._count_by_bins, colour._count_by_scatter):
        counts = count(colour._places(images), len(images) * channels * 256)
        assert np.array_equal(counts.view(-1, channels, 256), wanted)
