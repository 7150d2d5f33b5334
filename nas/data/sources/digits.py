"""scikit-learn's handwritten digits: 1,797 real images of 8 x 8 pixels that need no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from nas.data.settings import DataSettings
from nas.data.sources.records import Images, Source
from nas.data.splits import stratified

TEST_SHARE, TEST_SEED = 0.2, 0  # not the settings' seed: test is the same images whatever is searched


def identity(settings: DataSettings) -> dict[str, Any]:
    """Tell what the images depend on."""
    return {"test": [TEST_SHARE, TEST_SEED]}


def read(settings: DataSettings, scratch: Path, progress: bool) -> Source:
    """Split the digits into training and test part."""
    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # (N, 8, 8), of 0..16
    labels = digits.target.astype(np.int64)
    test = stratified(labels, round(TEST_SHARE * len(labels)), TEST_SEED)
    train = np.setdiff1d(np.arange(len(labels)), test)

    def part(rows: NDArray[np.int64]) -> Images:
        return Images(labels[rows], lambda start, stop: list(pixels[rows[start:stop]]), lambda i: f"digit {rows[i]}")

    return Source(10, tuple(str(name) for name in digits.target_names), part(train), part(test))
