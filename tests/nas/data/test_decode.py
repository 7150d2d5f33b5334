"""Any image file becomes upright square pixels, never silently wrong ones."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from nas.data.decode import Decoding, decode, open_image, pixels


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [(96, 48), (48, 96), (48, 48)])
def test_shorter_side_and_centre(size: tuple[int, int]) -> None:
    """The shorter side is averaged down to the size wanted and the centre cut out, whichever side is longer."""
    image = noise(size)
    small = image.resize((size[0] // 3, size[1] // 3), Image.Resampling.BICUBIC)
    left, top = (small.width - 16) // 2, (small.height - 16) // 2
    wanted = np.asarray(small.crop((left, top, left + 16, top + 16)), int)
    assert np.abs(pixels(open_image(encoded(image)), 16, 3) - wanted).max() <= 1  # level


def test_large_jpeg_is_shrunk_well() -> None:
    """Reading a large photograph at reduced size changes it by less than two levels on average."""
    image = noise((100, 80)).resize((400, 320), Image.Resampling.BICUBIC)
    data = encoded(image, "JPEG", quality=95)
    exact = ImageOps.fit(Image.open(io.BytesIO(data)), (48, 48), Image.Resampling.BICUBIC)
    assert np.abs(pixels(open_image(data), 48, 3).astype(int) - np.asarray(exact)).mean() < 2


def test_photograph_is_turned_upright() -> None:
    """An image whose camera noted a rotation comes out as people see it."""
    image = noise((20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    turned = pixels(open_image(encoded(image, exif=exif)), 20, 3)
    assert np.array_equal(turned, np.asarray(image.transpose(Image.Transpose.ROTATE_270)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_usual_mode(mode: str) -> None:
    """Palette, transparency, print colours and bitmaps give grey and RGB as Pillow converts them."""
    image = noise((12, 12)).convert(mode)
    data = encoded(image, "TIFF" if mode == "CMYK" else "PNG")
    for channels, target in ((1, "L"), (3, "RGB")):
        wanted = np.asarray(image.convert(target)).reshape(12, 12, channels)
        assert np.array_equal(pixels(open_image(data), 12, channels), wanted)


def test_sixteen_bits_keep_their_range() -> None:
    """16-bit grey is scaled, where a plain conversion would turn most of it white."""
    levels = np.linspace(0, 65535, 144).astype(np.uint16).reshape(12, 12)
    data = encoded(Image.fromarray(levels))
    for channels in (1, 3):
        decoded = decode(data, Decoding(12, channels, found_range=(0, 65535))).pixels
        assert decoded is not None
        assert np.array_equal(decoded[..., -1], levels >> 8)


def test_unknown_range_is_refused() -> None:
    """Pixels that could mean anything are not guessed at."""
    data = encoded(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF")
    with pytest.raises(ValueError, match="mode F"):
        pixels(open_image(data), 8, 1)
