"""What the tests of data share."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data.prepare import Prepared, prepare
from nas.data.settings import DataSettings


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)  # several threads on a busy machine wait for each other


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The digits at 8 pixels, with a tenth held out."""
    return prepare(DataSettings(cache_dir=str(tmp_path_factory.mktemp("cache"))), 8)


@pytest.fixture
def write_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write an image folder: class name -> images; returns its path."""

    def write(classes: Mapping[str, list[Image.Image]], name: str = "images", suffix: str = "png") -> Path:
        for label, images in classes.items():
            (tmp_path / name / label).mkdir(parents=True)
            for i, image in enumerate(images):
                image.save(tmp_path / name / label / f"{i:04}.{suffix}")
        return tmp_path / name

    return write


@pytest.fixture
def pictures() -> Callable[..., list[Image.Image]]:
    """Make `n` noise pictures of a size and mode, none like another."""

    def make(n: int, size: int = 8, mode: str = "RGB", seed: int = 0) -> list[Image.Image]:
        rng = np.random.default_rng(seed)
        shape = (n, size, size, 3) if mode == "RGB" else (n, size, size)
        return [Image.fromarray(pixels) for pixels in rng.integers(0, 256, shape, dtype=np.uint8)]

    return make
