"""Settings of the data and of its augmentation. No torch here, so that the command line starts fast."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from nas.comparable import LOCATES, locates, may_change
from nas.data.policies import POLICIES, beyond
from search_space.lookup import with_hint

# Name of a source in a configuration -> its Reader (see nas/data/source.py), or the module that is one: each imports a
# heavy library that the others do not need. A plug-in adds its own: READERS["mine"] = Reader().
READERS: dict[str, Any] = {
    "digits": "nas.data.sources.digits",
    "hf": "nas.data.sources.tables",
    "folder": "nas.data.sources.folder",
    "idx": "nas.data.sources.idx",
    "parquet": "nas.data.sources.tables",
    "synthetic": "nas.data.sources.synthetic",
}
_WITHOUT_OPTIONS = tuple(name for name in READERS if name != "synthetic")
CROPS = ("none", "pad", "resized")
# A frame's side over the training size, for `crop: resized`. A crop then is as sharp as one cut out of the file within
# a few per cent (experiments/benchmarks/reference.py); at the training size itself it would have half the sharpness.
FRAME_FACTOR = 5 / 2


class Known(NamedTuple):
    """What is known of a data set without reading it."""

    num_classes: int
    channels: int
    images: int  # of its train part, before any are held out


_KNOWN = {
    "digits": Known(10, 1, 1438),
    "ILSVRC/imagenet-1k": Known(1000, 3, 1_281_167),
    "imagenet-1k": Known(1000, 3, 1_281_167),
    "uoft-cs/cifar10": Known(10, 3, 50_000),
}


@dataclass(frozen=True)
class DataSettings:
    """Which images, and how they are split.

    Minival is held out of train first, so it stays the same whatever `subset` is; `subset` is drawn from what is left.

    Raises: ValueError if a value is outside what its comment allows.
    """

    source: str = locates("digits")  # a key of READERS, or module:Reader; digits: scikit-learn's, needs no file
    path: str = locates(
        ""
    )  # of train: hub name, folder with one folder a class, parquet file or glob, IDX file or folder
    test_path: str = locates(
        ""
    )  # of test (folder, parquet, idx); empty = no test split, but for what an IDX folder holds
    image_column: str = locates("image")  # hf, parquet
    label_column: str = locates("label")  # hf, parquet
    train_split: str = locates("train")  # hf
    test_split: str = locates("test")  # hf; empty = no test split
    subset: int | None = None  # training images used, stratified; None = all
    channels: Literal[1, 3] | None = None  # None = as the images are
    # The values of black and white in every image. None = 0 and 255; where images have more than 8 bits, 0 and the
    # largest number of 8, 10, 12, 14 or 16 bits, whichever are the fewest that hold all training images.
    value_range: tuple[float, float] | None = None
    unreadable: Literal["refuse", "leave_out"] = (
        "refuse"  # images that are broken; a disk that fails is always an error
    )
    minival: float = 0.1  # held out of train, stratified: a share below 1, or a number of images; 0 = none
    seed: int = 0  # of the split
    # What a source of your own wants to be told besides; of synthetic: images, test (images), classes, size (pixels).
    options: dict[str, Any] = field(default_factory=dict, metadata=LOCATES)
    # Pixels of the squares that whole images are squashed to and kept as; less where images are smaller. None = 5/2 of
    # the largest training size for `crop: resized`; else only centres are kept, at the largest size wanted.
    decode_size: int | None = None
    # How images are kept: decoded (arrays: quick to read, large), or as JPEGs that are decoded for each batch (jpeg:
    # about a tenth of the room). auto: as they were kept before; else arrays, unless these would take more than
    # 50 GB or half of the room on the disk.
    storage: Literal["auto", "arrays", "jpeg"] = locates("auto")
    # jpeg: pixels of the shorter side kept; no image is enlarged. None = as large as whole images in arrays are.
    jpeg_size: int | None = locates(None)
    # jpeg: 1..95. None = JPEG files stay as they are, in their own size; others become JPEGs of 95.
    jpeg_quality: int | None = locates(90)
    cache_dir: str = may_change("")  # decoded images; empty = $NAS_CACHE or ~/.cache/training-aware-nas

    def __post_init__(self) -> None:
        if self.source not in READERS and ":" not in self.source:
            raise ValueError(f"unknown source {with_hint(self.source, READERS)}")
        if self.source == "digits" and (self.path or self.test_path):
            raise ValueError(f"source digits has no path, got {self.path or self.test_path!r}")
        if self.source == "synthetic" and (self.path or self.test_path):
            raise ValueError(f"source synthetic has no path, got {self.path or self.test_path!r}")
        if self.source in ("hf", "folder", "idx", "parquet") and not self.path:
            raise ValueError(f"source {self.source} needs a path")
        if self.source in _WITHOUT_OPTIONS and self.options:
            raise ValueError(f"source {self.source} has no options, got {', '.join(map(str, self.options))}")
        if self.source == "hf" and self.test_path:
            raise ValueError(f"source hf names its test split by test_split, not test_path ({self.test_path!r})")
        if self.channels not in (None, 1, 3):
            raise ValueError(f"channels must be 1, 3 or null, got {self.channels!r}")
        _one_of("unreadable", self.unreadable, ("refuse", "leave_out"))
        if self.value_range is not None:
            _ascending("value_range", self.value_range)
        if self.subset is not None and self.subset < 1:
            raise ValueError(f"subset must be at least 1 image or null, got {self.subset!r}")
        if not (0 <= self.minival < 1 or (self.minival >= 1 and float(self.minival).is_integer())):
            raise ValueError(f"minival must be a share below 1 or a whole number of images, got {self.minival!r}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed!r}")
        if self.decode_size is not None and self.decode_size < 1:
            raise ValueError(f"decode_size must be at least 1 pixel or null, got {self.decode_size!r}")
        _one_of("storage", self.storage, ("auto", "arrays", "jpeg"))
        if self.jpeg_size is not None and self.jpeg_size < 1:
            raise ValueError(f"jpeg_size must be at least 1 pixel or null, got {self.jpeg_size!r}")
        if self.jpeg_quality is not None and not 1 <= self.jpeg_quality <= 95:
            raise ValueError(f"jpeg_quality must be in [1, 95] or null, got {self.jpeg_quality!r}")

    @property
    def known(self) -> Known | None:
        """What is known of the data without reading them: costs are counted and compute is estimated with it."""
        return _KNOWN.get(self.path or self.source)

    @property
    def cache(self) -> Path:
        """The folder that holds decoded images, absolute, so that workers elsewhere find it."""
        given = self.cache_dir or os.environ.get("NAS_CACHE") or "~/.cache/training-aware-nas"
        try:
            return Path(given).expanduser().absolute()
        except RuntimeError:
            raise ValueError(f"{given}: this user has no home folder; set HOME, NAS_CACHE or data.cache_dir") from None


@dataclass(frozen=True)
class AugmentSettings:
    """What is done to a training batch, in this order; every strength of 0 turns its step off.

    Raises: ValueError if a value is outside what its comment allows.
    """

    crop: Literal["none", "pad", "resized"] = "none"  # pad: shifted by some pixels; resized: a part, drawn and enlarged
    crop_padding: int = 4  # pad: pixels on each side of a 32-pixel image; grows with the image
    crop_scale: tuple[float, float] = (0.08, 1.0)  # resized: share of the area kept
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)  # resized: width over height
    flip: bool = False  # mirror left-right half of the images; wrong for digits
    randaugment_layers: int = 2  # operations an image gets
    randaugment_magnitude: float = 0.0  # 10 = AutoAugment's full range; up to 30, but increasing ends at 10
    randaugment_policy: Literal["increasing", "official"] = "increasing"  # timm's, or the paper's: nas/data/policies.py
    erasing: float = 0.0  # share of the images of which a rectangle becomes noise
    mixup_alpha: float = 0.0  # of the beta distribution that says how much of another image is blended in
    cutmix_alpha: float = 0.0  # of the one that says how large a rectangle of another image is pasted

    def __post_init__(self) -> None:
        _one_of("crop", self.crop, CROPS)
        _one_of("randaugment_policy", self.randaugment_policy, tuple(POLICIES))
        _between("crop_padding", self.crop_padding, 0, 32)
        _between("randaugment_layers", self.randaugment_layers, 0, 16)
        _between("randaugment_magnitude", self.randaugment_magnitude, 0, 30)
        _between("erasing", self.erasing, 0, 1)
        _between("mixup_alpha", self.mixup_alpha, 0, math.inf)
        _between("cutmix_alpha", self.cutmix_alpha, 0, math.inf)
        _ordered("crop_scale", self.crop_scale, 1.0)
        _ordered("crop_ratio", self.crop_ratio, math.inf)

    @property
    def mixes(self) -> bool:
        """Whether labels come out soft: one weight a class instead of one class."""
        return self.mixup_alpha > 0 or self.cutmix_alpha > 0

    def frame_size(self, train_size: int) -> int | None:
        """Pixels that crops need whole images decoded at, for the largest training size; None = the centre will do."""
        return math.ceil(FRAME_FACTOR * train_size) if self.crop == "resized" else None

    @property
    def clamped(self) -> str | None:
        """One line if the policy does not define the magnitude and does as at its largest; None if it does."""
        return beyond(self.randaugment_policy, self.randaugment_magnitude)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"unknown {name} {value!r}; known: {', '.join(known)}")


def _between(name: str, value: float, low: float, high: float) -> None:
    if not (low <= value <= high and math.isfinite(value)):
        raise ValueError(f"{name} must be in [{low:g}, {high:g}], got {value!r}")


def _ascending(name: str, pair: tuple[float, float]) -> None:
    if len(pair) != 2 or not pair[0] < pair[1] or not all(math.isfinite(value) for value in pair):
        raise ValueError(f"{name} must be two numbers, black < white, or null, got {pair!r}")


def _ordered(name: str, pair: tuple[float, float], high: float) -> None:
    if len(pair) != 2 or not 0 < pair[0] <= pair[1] <= high or not math.isfinite(pair[1]):
        raise ValueError(
            f"{name} must be two numbers, 0 < low <= high{f' <= {high:g}' * (high < math.inf)}, got {pair!r}"
        )
