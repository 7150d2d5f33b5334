"""MNIST's own files, and its successors', are read as they are; what is wrong with one is told in a line."""

import gzip
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from nas.data.description import describe_data
from nas.data.prepare import load_split, prepare
from nas.data.settings import DataSettings
from nas.data.sources.idx import _array

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # where Debian's dataset-fashion-mnist puts it
CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array: np.ndarray) -> bytes:
    """A file's content after the published format."""
    kind = array.dtype.str[1:]
    header = struct.pack(f">HBB{array.ndim}I", 0, CODES[kind], array.ndim, *array.shape)
    return header + array.astype(f">{kind}").tobytes()


def write(file: Path, array: Any) -> Path:
    content = idx(np.asarray(array))
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    return file


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)


def settings(path: Path, tmp_path: Path, **more: Any) -> DataSettings:
    return DataSettings("idx", str(path), minival=0, cache_dir=str(tmp_path / "cache"), **more)


@pytest.fixture
def folder(tmp_path: Path, pixels: np.ndarray) -> Path:
    """A folder as MNIST is laid out, with EMNIST's labels, which begin at 1."""
    data = tmp_path / "mnist"
    data.mkdir()
    write(data / "train-images-idx3-ubyte.gz", pixels)
    write(data / "train-labels-idx1-ubyte.gz", np.array([1, 2, 3] * 4, np.uint8))
    write(data / "t10k-images-idx3-ubyte", pixels[:3])
    write(data / "t10k-labels-idx1-ubyte", np.array([3, 2, 1], np.uint8))
    return data


def test_a_folder_as_mnist_comes(folder: Path, pixels: np.ndarray, tmp_path: Path) -> None:
    """Train and t10k are found, gzipped or not, pixels come exact, and classes count from 0 under their own names."""
    prepared = prepare(settings(folder, tmp_path), 8)
    train, test = load_split(prepared, "train"), load_split(prepared, "test")
    assert np.array_equal(train.images[..., 0], pixels)
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1, 2] * 4, [2, 1, 0])
    assert (prepared.num_classes, prepared.class_names, prepared.channels) == (3, ("1", "2", "3"), 1)


def test_a_file_of_many_sets(folder: Path, tmp_path: Path, pixels: np.ndarray) -> None:
    """EMNIST's six sets lie in one folder: files are named, and those of another set are not taken."""
    write(folder / "emnist-letters-train-images-idx3-ubyte.gz", pixels[:6])
    write(folder / "emnist-letters-train-labels-idx1-ubyte.gz", np.array([7, 9] * 3, np.uint8))
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz: give one file of images as data\.path"):
        prepare(settings(folder, tmp_path), 8)
    chosen = settings(folder / "emnist-letters-train-images-idx3-ubyte.gz", tmp_path)
    assert prepare(chosen, 8).class_names == ("7", "9")
    assert prepare(chosen, 8).test == 0


def test_another_content_is_another_data_set(folder: Path, tmp_path: Path, pixels: np.ndarray) -> None:
    """Who writes other pixels under the same name is not given the old ones out of the cache."""
    before = prepare(settings(folder, tmp_path), 8).fingerprint
    write(folder / "train-images-idx3-ubyte.gz", pixels[::-1])
    assert prepare(settings(folder, tmp_path), 8).fingerprint != before


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "train-images-idx3-ubyte.gz",
            gzip.compress(idx(np.zeros((12, 8, 8), np.uint8)), mtime=0)[:-30],
            "cut off or damaged",
        ),
        ("t10k-images-idx3-ubyte", idx(np.zeros((3, 8, 8), np.uint8))[:-1], "cut off or damaged: 207 bytes where"),
        ("t10k-images-idx3-ubyte", b"P5 8 8 255 ", "no IDX file: it begins with 50352038"),
        ("t10k-images-idx3-ubyte", b"", "no IDX file: it begins with nothing"),
        ("t10k-images-idx3-ubyte", idx(np.zeros((3, 64), np.uint8)), r"shape \(3, 64\): images are \(N, H, W\)"),
        ("t10k-labels-idx1-ubyte", idx(np.array([1, 2], np.uint8)), "3 images, .* has 2 labels"),
        ("t10k-labels-idx1-ubyte", idx(np.array([1, 2, 4], np.uint8)), "has labels that .* has not: 4"),
        ("t10k-labels-idx1-ubyte", idx(np.zeros(3)), "float64: labels are needed"),
        ("t10k-labels-idx1-ubyte", None, "no file of labels beside it: t10k-labels-idx1-ubyte is expected"),
        ("train-images-idx3-ubyte.gz", None, r"give one file of images as data\.path"),
    ],
)
def test_what_is_wrong_is_told(folder: Path, tmp_path: Path, file: str, content: bytes | None, message: str) -> None:
    """A file that is cut off, of another format, or missing its partner is one line, and nothing is prepared."""
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        prepare(settings(folder, tmp_path), 8)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "cache").glob("*/info.json"))


def test_a_missing_file(tmp_path: Path) -> None:
    """A path that is not there is told with what is."""
    write(tmp_path / "train-labels-idx1-ubyte", np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match=r"no file .*has: train-labels-idx1-ubyte"):
        prepare(settings(tmp_path / "train-images-idx3-ubyte", tmp_path), 8)


@given(st.sampled_from(list(CODES)).flatmap(lambda kind: arrays(kind, array_shapes(max_dims=4, max_side=5))))
def test_every_kind_of_array_comes_back(array: np.ndarray) -> None:
    """Each of the format's six types of numbers and any number of dimensions are read as they were written."""
    with tempfile.TemporaryDirectory() as scratch:
        found = _array(write(Path(scratch, "array"), array), Path(scratch))
        assert found.shape == array.shape
        assert np.array_equal(found, array, equal_nan=array.dtype.kind == "f")


@pytest.mark.skipif(not FASHION_MNIST.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_fashion_mnist(tmp_path: Path) -> None:
    """The published files are 60,000 and 10,000 images of ten classes."""
    prepared = prepare(settings(FASHION_MNIST, tmp_path), 28)
    assert (prepared.train, prepared.test, prepared.num_classes) == (60_000, 10_000, 10)
    assert np.bincount(load_split(prepared, "test").labels).tolist() == [1000] * 10


def test_they_are_found_by_looking(folder: Path) -> None:
    """A folder of them, or the training split's file alone: `nas init` is told no source, and finds the test split."""
    for plain in list(folder.glob("t10k-*-ubyte")):  # a split is found beside one of the same ending
        plain.with_name(f"{plain.name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    for named in (folder, folder / "train-images-idx3-ubyte.gz"):
        found = describe_data(named)
        assert (found.settings.source, found.settings.path) == ("idx", str(named))
        assert (found.counts, found.test, found.channels, found.sizes) == ((4, 4, 4), 3, 1, (8, 8, 8))
