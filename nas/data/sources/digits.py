"""scikit-learn's handwritten digits: 1,797 real images of 8 x 8 pixels that need no file."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.settings import DataSettings
from nas.data.sources.records import Images, Source
from nas.data.splits import stratified

TEST_SHARE, TEST_SEED = 0.2, 0  # not the settings' seed: test is the same images whatever is searched


def identity(settings: DataSettings) -> dict[str, Any]:
    """Tell what the images depend on."""
    return {"test": [TEST_SHARE, TEST_SEED]}


def read(settings: DataSettings, scratch: Path, progress: bool) -> Source:
    """Split the digits into training and test part."""
    digits = _table()
    pixels = np.rint(digits[:, :64].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)  # (N, 8, 8), of 0..16
    labels = digits[:, 64]
    test = stratified(labels, round(TEST_SHARE * len(labels)), TEST_SEED)
    train = np.setdiff1d(np.arange(len(labels)), test)

    def part(rows: NDArray[np.int64]) -> Images:
        return Images(labels[rows], lambda start, stop: list(pixels[rows[start:stop]]), lambda i: f"digit {rows[i]}")

    return Source(10, tuple("0123456789"), part(train), part(test))


def _table() -> NDArray[np.int64]:
    """Read a line for each digit, its 64 pixels and its class, as `load_digits` does.

    Raises: ValueError if scikit-learn is not installed; it is not imported, for that takes longer than all the rest.
    """
    found = find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise ValueError("the digits are a file of scikit-learn's, which is not installed")
    file = Path(found.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    return np.loadtxt(file, dtype=np.int64, delimiter=",")
