"""Images whose values use less than their container are scaled by one range for the data set, found or given."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from nas.data.prepare import load_split, prepare
from nas.data.settings import READERS, DataSettings
from nas.data.sources.records import Images, Source

Values = NDArray[Any]
SIZE = 8


def png(values: Values) -> bytes:
    """A 16-bit PNG of grey, grey and alpha, RGB or RGBA, which Pillow can read but not write."""
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[values.shape[2]]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"sBIT", bytes([10] * values.shape[2])),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def tiff(
    values: Values, kind: str = "<u2", photometric: int | None = None, sample_format: int = 1, deflate: bool = False
) -> bytes:
    """A TIFF in one strip."""
    order, (height, width, samples) = kind[0], values.shape
    data, bits = values.astype(kind).tobytes(), 8 * np.dtype(kind).itemsize
    data = zlib.compress(data) if deflate else data
    photometric = {1: 1, 3: 2, 4: 5}[samples] if photometric is None else photometric
    tags = {
        256: width,
        257: height,
        259: 8 if deflate else 1,
        262: photometric,
        277: samples,
        278: height,
        279: len(data),
        339: sample_format,
    }
    offset = 8 + 2 + 12 * (len(tags) + 2) + 4
    tags |= {258: bits if samples == 1 else offset, 273: offset + 8}
    entries = b"".join(
        struct.pack(f"{order}HHI", tag, 3 if tag == 258 else 4, samples if tag == 258 else 1)
        + (struct.pack(f"{order}HH", bits, 0) if tag == 258 and samples == 1 else struct.pack(f"{order}I", tags[tag]))
        for tag in sorted(tags)
    )
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(tags))
    return head + entries + bytes(4) + struct.pack(f"{order}4H", *[bits] * 4) + data


def planes(values: Values, order: str) -> bytes:
    """A TIFF that has each channel in a strip of its own."""
    height, width, samples = values.shape
    size, offset = 2 * height * width, 8 + 2 + 12 * 10 + 4
    tags = {256: width, 257: height, 258: offset, 259: 1, 262: 2, 273: offset + 8, 277: samples, 278: height}
    tags |= {279: offset + 8 + 4 * samples, 284: 2}
    several = {258: 3, 273: 4, 279: 4}  # tags of a number for each channel, and their type
    entries = b"".join(
        struct.pack(f"{order}HHII", tag, several.get(tag, 4), samples if tag in several else 1, value)
        for tag, value in sorted(tags.items())
    )
    places = [offset + 8 + 8 * samples + i * size for i in range(samples)]
    lists = struct.pack(f"{order}4H{2 * samples}I", 16, 16, 16, 16, *places, *[size] * samples)
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(tags))
    return head + entries + bytes(4) + lists + values.transpose(2, 0, 1).astype(f"{order}u2").tobytes()


def packed(values: Values, white: int, plain: bool = False) -> bytes:
    """A PGM or PPM of two bytes a value, or of numbers in words."""
    if plain:
        return f"P3 {values.shape[1]} {values.shape[0]} {white}\n{' '.join(map(str, values.ravel()))}\n".encode()
    letter = {1: 5, 3: 6}[values.shape[2]]
    return f"P{letter} {values.shape[1]} {values.shape[0]} {white}\n".encode() + values.astype(">u2").tobytes()


def saved(values: Values, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values[..., 0].astype(np.uint16)).save(buffer, kind, **options)
    return buffer.getvalue()


ENCODERS: dict[str, tuple[int, Callable[[Values], bytes]]] = {
    "png grey": (1, png),
    "png grey and alpha": (2, png),
    "png colour": (3, png),
    "png colour and alpha": (4, png),
    "tiff grey": (1, tiff),
    "tiff grey, big-endian": (1, lambda values: tiff(values, ">u2")),
    "tiff grey of 32 bits": (1, lambda values: tiff(values, "<u4")),
    "tiff grey, signed": (1, lambda values: tiff(values, "<i2", sample_format=2)),
    "tiff grey, compressed": (1, lambda values: saved(values, "TIFF", compression="tiff_lzw")),
    "tiff colour": (3, tiff),
    "tiff colour, big-endian": (3, lambda values: tiff(values, ">u2")),
    "tiff colour in planes": (3, lambda values: planes(values, "<")),
    "tiff colour in planes, big-endian": (3, lambda values: planes(values, ">")),
    "tiff colour, deflated": (3, lambda values: tiff(values, deflate=True)),
    "tiff colour, deflated, big-endian": (3, lambda values: tiff(values, ">u2", deflate=True)),
    "jpeg 2000 grey": (1, lambda values: saved(values, "JPEG2000", irreversible=False)),
    "pgm": (1, lambda values: packed(values, 65535)),
    "ppm in words": (3, lambda values: packed(values, 65535, plain=True)),
    "ppm": (3, lambda values: packed(values, 65535)),
}


def values_of(bits: int, channels: int, seed: int = 0, n: int = 12) -> Values:
    """Noise that uses all of so many bits, the largest number, too."""
    values = np.random.default_rng(seed).integers(0, 2**bits, (n, SIZE, SIZE, channels))
    values[0, 0, 0] = 2**bits - 1
    return values


def write(folder: Path, contents: list[bytes]) -> str:
    for i, content in enumerate(contents):
        file = folder / "ab"[i % 2] / f"{i:03}.png"  # what it is is told by content
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return str(folder)


def in_order(values: Values) -> Values:
    return np.concatenate([values[0::2], values[1::2]])  # class a first


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., DataSettings]:
    def make(train: list[bytes], test: list[bytes] | None = None, **more: Any) -> DataSettings:
        test_path = write(tmp_path / "test", test) if test else ""
        path = write(tmp_path / "train", train)
        return DataSettings("folder", path, test_path, minival=0, cache_dir=str(tmp_path / "cache"), **more)

    return make


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_the_range_of_the_data_set_is_found(settings: Callable[..., DataSettings], kind: str, bits: int) -> None:
    """Values of 8, 10, 12 or 16 bits in a container of 16 keep their upper 8 bits: none turns black or white."""
    channels, encode = ENCODERS[kind]
    if kind == "tiff grey, signed":
        bits = min(bits, 14)
    values = values_of(bits, channels)
    values[..., 1 if channels == 2 else 3 :] = 2**bits - 1  # opaque
    prepared = prepare(settings([encode(image) for image in values]), SIZE)
    shown = values[..., :1] if channels < 3 else values[..., :3]
    assert prepared.channels == shown.shape[3]
    assert np.array_equal(load_split(prepared, "train").images, in_order(shown) >> (bits - 8))


def test_brightness_is_kept(settings: Callable[..., DataSettings]) -> None:
    """The range is the data set's, not each image's: an image half as bright stays so, in test as in train."""
    train = np.full((8, SIZE, SIZE, 1), 4000)
    train[1::2] = 2000
    dark = np.full((2, SIZE, SIZE, 1), 1000)
    prepared = prepare(settings([png(image) for image in train], [png(image) for image in dark]), SIZE)
    assert np.unique(load_split(prepared, "train").images).tolist() == [2000 >> 4, 4000 >> 4]
    assert np.unique(load_split(prepared, "test").images).tolist() == [1000 >> 4]


@pytest.mark.parametrize("white", [1000, 4095, 65535])
def test_a_pgm_says_what_is_white(settings: Callable[..., DataSettings], white: int) -> None:
    """The largest value that the header names is 255, whatever it is."""
    values = np.random.default_rng(0).integers(0, white + 1, (12, SIZE, SIZE, 1))
    values[0, 0, 0] = white
    images = load_split(prepare(settings([packed(image, white) for image in values]), SIZE), "train").images
    assert np.abs(images - in_order(values) * (255 / white)).max() <= 1


def test_an_image_of_8_bits_among_wide_ones_is_left_as_it_is(settings: Callable[..., DataSettings]) -> None:
    """Only what has more bits is scaled."""
    values = values_of(12, 1)
    narrow = values_of(8, 1, seed=1).astype(np.uint8)
    contents = [png(image) for image in values[:6]] + [saved8(image) for image in narrow[6:]]
    wanted = np.concatenate([values[:6] >> 4, narrow[6:]])
    assert np.array_equal(load_split(prepare(settings(contents), SIZE), "train").images, in_order(wanted))


def saved8(values: Values) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values[..., 0]).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_given_range(settings: Callable[..., DataSettings]) -> None:
    """`value_range` says what is black and white: for numbers with fractions, below 0, and in 8 bits; another cache."""
    shares = np.linspace(-1, 1, 12 * SIZE * SIZE, dtype=np.float32).reshape(12, SIZE, SIZE, 1)
    data = settings([tiff(image, "<f4", sample_format=3) for image in shares])
    with pytest.raises(ValueError, match=r"hold values from -1 to 1, .*: set data.value_range to \[black, white\]"):
        prepare(data, SIZE)
    images = load_split(prepare(replace(data, value_range=(-1, 1)), SIZE), "train").images
    assert np.abs(images - in_order((shares + 1) * 127.5)).max() <= 1
    clipped = load_split(prepare(replace(data, value_range=(0, 0.5)), SIZE), "train").images
    assert (clipped == 0).mean() == pytest.approx(0.5, abs=0.01)
    assert (clipped == 255).mean() == pytest.approx(0.25, abs=0.01)


def test_few_levels_are_told(settings: Callable[..., DataSettings], caplog: pytest.LogCaptureFixture) -> None:
    """0..15 in 8 bits gives a line that names levels and setting, each time somebody looks on; the setting mends it."""
    values = np.random.default_rng(0).integers(0, 16, (12, SIZE, SIZE, 1), dtype=np.uint8)
    data = settings([saved8(image) for image in values])
    for progress, times in ((False, 1), (False, 0), (True, 1)):
        caplog.clear()
        prepare(data, SIZE, progress)
        assert (
            caplog.messages
            == [
                "the training images have 16 levels, within 0..15: if white is another value, set data.value_range to "
                "[black, white]"
            ]
            * times
        )
    images = load_split(prepare(replace(data, value_range=(0, 15)), SIZE), "train").images
    assert np.array_equal(images, in_order(values) * 16)


def test_a_stray_value_is_told(settings: Callable[..., DataSettings], caplog: pytest.LogCaptureFixture) -> None:
    """One broken pixel would make all others black: said, with the range that was found."""
    values = values_of(10, 1)
    values[3, 2, 2] = 65535
    prepare(settings([png(image) for image in values]), SIZE)
    assert "have 5 levels, within 0..255 (0..65535 became 0..255)" in caplog.text


@pytest.mark.parametrize("encode", [lambda image: saved8(image.astype(np.uint8)), png])
def test_one_level_is_refused(settings: Callable[..., DataSettings], encode: Callable[[Values], bytes]) -> None:
    """Images that are all black teach nothing."""
    contents = [encode(np.zeros((SIZE, SIZE, 1), int)) for _ in range(4)]
    with pytest.raises(ValueError, match=r"training images are all of one level, 0 of 0\.\.255"):
        prepare(settings(contents), SIZE)


def test_a_drawing_is_no_mistake(settings: Callable[..., DataSettings], caplog: pytest.LogCaptureFixture) -> None:
    """Black and white alone, from 0 to 255, is what the files say."""
    values = 255 * np.random.default_rng(0).integers(0, 2, (12, SIZE, SIZE, 1), dtype=np.uint8)
    prepare(settings([saved8(image) for image in values]), SIZE)
    assert caplog.messages == []


def test_brighter_test_images_are_told(settings: Callable[..., DataSettings], caplog: pytest.LogCaptureFixture) -> None:
    """What is brighter than any training image is cut off, and said."""
    train, test = values_of(10, 1), values_of(12, 1, seed=1)
    prepare(settings([png(image) for image in train], [png(image) for image in test]), SIZE)
    assert caplog.messages == [
        "test images hold 11..4095, cut off at what the training images hold (0..1023 became 0..255)"
    ]


def test_white_is_zero(settings: Callable[..., DataSettings]) -> None:
    """A TIFF in which 0 is white is as bright with 16 bits as with 8."""
    values = values_of(16, 1)
    images = load_split(prepare(settings([tiff(image, photometric=0) for image in values]), SIZE), "train").images
    assert np.array_equal(images, 255 - (in_order(values) >> 8))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("dtype", "bits"), [("u1", 8), ("u2", 12), (">u2", 10), ("i4", 14), ("i8", 16)])
def test_arrays_of_a_reader(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, channels: int, dtype: str, bits: int
) -> None:
    """A source of one's own may give numbers of any width, grey with and without its axis."""
    values = values_of(bits, channels).astype(dtype)

    class Reader:
        def identity(self, settings: DataSettings) -> dict[str, Any]:
            return {}

        def read(self, settings: DataSettings, scratch: Path, progress: bool) -> Source:
            images = Images(np.arange(12) % 2, lambda start, stop: list(values[start:stop]), str)
            return Source(2, None, images, None)

    monkeypatch.setitem(READERS, "mine", Reader())
    prepared = prepare(DataSettings("mine", minival=0, cache_dir=str(tmp_path)), SIZE)
    assert prepared.channels == channels
    assert np.array_equal(load_split(prepared, "train").images, values >> (bits - 8))
