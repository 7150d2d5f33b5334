"""Some neighbouring images of a source -> what is kept of them, in whatever process. No torch."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from nas.data.decode import Decoded, Decoding, Refused, decode, open_image
from nas.data.jpegs import ENTRY, entries
from nas.data.reencode import as_jpeg, levels_of
from nas.data.sources.records import Encoded, Images
from nas.data.wide import Held, all_of

CHUNK = 256  # images that are made in one go
_HASH = np.dtype(np.uint64)


@dataclass(frozen=True)
class Chunk:
    """What is known of some neighbouring images of a source."""

    aspects: NDArray[np.float32]  # (images,) width over height, as they were
    hashes: NDArray[np.uint64]  # (N,), of what is kept of each: equal images have equal ones
    levels: NDArray[np.int64]  # (channels, 256): how many values are of each level
    digest: bytes  # of all that is kept
    wide: Held | None = None  # what the images of more than 8 bits hold
    unreadable: dict[int, str] = field(default_factory=dict)  # number in the source -> name and reason
    several: int = 0  # images of more than one frame
    index: NDArray[np.void] = field(default_factory=lambda: np.empty(0, ENTRY))  # (N,) of JPEGs, from offset 0
    contents: tuple[bytes, ...] = ()  # (N,) JPEGs, until they are written
    pixels: NDArray[np.uint8] | None = None  # (images, H, W, C), until they are written; None: they were, or are JPEGs

    def without_images(self) -> Chunk:
        """Give the same once it is written."""
        return replace(self, contents=(), pixels=None)


@dataclass(frozen=True)
class EncodedChunk:
    """Some neighbouring images as a source gives them; can be sent to another process."""

    start: int  # number in the source of the first
    images: Sequence[Encoded | OSError]  # an error: of reading a file
    names: tuple[str, ...]  # for messages


def read_chunk(images: Images, start: int, *, files: bool = False) -> EncodedChunk:
    """Read the chunk of a source that begins at an image.

    Args:
        files: whether to read what is in files, for a process that may not see them.
    Raises: ValueError if the source gives fewer images than it said.
    """
    stop = min(start + CHUNK, len(images.labels))
    encoded = images.read(start, stop)
    if len(encoded) != stop - start:  # what the others are of would be black
        raise ValueError(f"{images.name(start)} to {images.name(stop - 1)}: {len(encoded)} of {stop - start} were read")
    names = tuple(images.name(i) for i in range(start, stop))
    return EncodedChunk(start, [_content(data) for data in encoded] if files else encoded, names)


def _content(data: Encoded) -> Encoded | OSError:
    try:
        return data.read_bytes() if isinstance(data, Path) else data
    except OSError as error:
        return error


class Form(Protocol):
    """What is kept of images; can be sent to another process."""

    def make(self, data: Encoded, how: Decoding) -> Decoded:
        """Make of an image what is kept of it."""

    def rows(self, count: int, how: Decoding) -> NDArray[np.uint8] | None:
        """Make room for pixels; None where none are kept."""

    def measured(self, made: Sequence[Decoded | None], rows: NDArray[np.uint8] | None) -> Chunk:
        """Measure what was made of a chunk's images; None: nothing."""


@dataclass(frozen=True)
class AsPixels:
    """Squares of pixels."""

    def make(self, data: Encoded, how: Decoding) -> Decoded:
        """Decode an image."""
        return decode(data, how)

    def rows(self, count: int, how: Decoding) -> NDArray[np.uint8]:
        """Make room for pixels: black ones."""
        return np.zeros((count, how.image_size, how.image_size, how.channels), np.uint8)

    def measured(self, made: Sequence[Decoded | None], rows: NDArray[np.uint8] | None) -> Chunk:
        """Measure the rows."""
        assert rows is not None
        return replace(measured(rows), aspects=_aspects(made))


@dataclass(frozen=True)
class AsJpegs:
    """JPEGs.

    Args:
        size: of the shorter side, pixels.
        quality: 1..95; None = JPEG files stay as they are.
    """

    size: int
    quality: int | None

    def make(self, data: Encoded, how: Decoding) -> Decoded:
        """Make a JPEG. Raises: Refused for more than 8 bits, unless the range is given."""
        made = decode(data, how, partial(as_jpeg, size=self.size, quality=self.quality))
        if made.content is None:
            raise Refused(
                "has more than 8 bits: to be kept as JPEG it needs data.value_range, [black, white]; or set "
                "data.storage to arrays"
            )
        return made

    def rows(self, count: int, how: Decoding) -> None:
        """No pixels are kept."""

    def measured(self, made: Sequence[Decoded | None], rows: NDArray[np.uint8] | None) -> Chunk:
        """Measure JPEGs."""
        there = [each for each in made if each is not None]
        contents = [each.content for each in there if each.content is not None]
        levels = [each.levels for each in there if each.levels is not None]
        digest = hashlib.blake2b(digest_size=16)
        for content in contents:
            digest.update(content)
        return Chunk(
            aspects=_aspects(made), hashes=_hashes(contents), levels=np.asarray(sum(levels)),
            digest=digest.digest(), index=entries(contents, 0), contents=tuple(contents),
        )  # fmt: skip


def make_chunk(form: Form, how: Decoding, encoded: EncodedChunk, rows: NDArray[np.uint8] | None = None) -> Chunk:
    """Decode some images and measure what is kept of them.

    Args:
        rows: (images, H, W, C), where pixels go; None = the chunk has them.
    Raises: ValueError naming an image whose reading failed by the machine's fault, or that the settings refuse.
    """
    own = form.rows(len(encoded.images), how) if rows is None else None
    rows = own if rows is None else rows
    unreadable: dict[int, str] = {}
    made: list[Decoded | None] = []
    for i, (data, name) in enumerate(zip(encoded.images, encoded.names, strict=True)):
        try:
            if isinstance(data, OSError):
                raise data
            found = form.make(data, how)
        except Exception as error:  # Pillow raises a dozen kinds for a broken file
            reason = f"{name}: {_reason(error)}"
            if not _is_the_images(error):
                raise ValueError(f"cannot read {reason}") from error
            unreadable[encoded.start + i] = reason
            made.append(None)
            continue
        if found.pixels is not None and rows is not None:
            rows[i] = found.pixels
        made.append(found._replace(pixels=None))
    read = [each for each in made if each is not None]
    chunk = form.measured(made, rows)
    several, wide = sum(each.first_of_several for each in read), all_of(each.wide for each in read)
    return replace(chunk, wide=wide, unreadable=unreadable, several=several, pixels=own)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "no image of a kind that Pillow reads"  # its own words have an address in memory
    return (str(error) or type(error).__name__).splitlines()[0]


def _is_the_images(error: Exception) -> bool:
    """Whether an error is an image's own. A disk, network or memory that fails must not make another data set."""
    if isinstance(error, OSError):
        return error.errno in (None, errno.ENOENT)
    return not isinstance(error, MemoryError | Refused)


@contextmanager
def any_size() -> Iterator[None]:
    """Let Pillow read images of any size, for it takes large ones for attacks: these are the user's own."""
    limits = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
    Image.MAX_IMAGE_PIXELS = None
    PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 2**31 - 1
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = limits


def _aspects(made: Sequence[Decoded | None]) -> NDArray[np.float32]:
    return np.array([1.0 if each is None else each.aspect for each in made], np.float32)


def measured(block: NDArray[np.uint8]) -> Chunk:
    """Measure images (N, H, W, C) of which nothing else is known."""
    levels = sum(levels_of(open_image(image)) for image in block)  # NumPy would make eight bytes of each
    hashes = _hashes([image.data for image in np.ascontiguousarray(block)])
    return Chunk(np.ones(len(block), np.float32), hashes, np.asarray(levels), digest_of(block))


def _hashes(contents: Sequence[bytes | memoryview]) -> NDArray[np.uint64]:
    digests = [hashlib.blake2b(content, digest_size=_HASH.itemsize).digest() for content in contents]
    return np.frombuffer(b"".join(digests), _HASH)


def digest_of(block: NDArray[np.uint8]) -> bytes:
    """Give a digest of images (N, H, W, C)."""
    return hashlib.blake2b(np.ascontiguousarray(block).data, digest_size=16).digest()
