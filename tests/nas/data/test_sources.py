"""Every kind of data set is read, and what is wrong with one is told in a line that names what exists."""

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from nas.data.prepare import found, load_split, prepare
from nas.data.settings import DataSettings

Pictures = Callable[..., list[Image.Image]]
CIFAR10 = Path(__file__).parents[4] / "shared" / "data" / "cifar10"


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(file: Path, images: list[Image.Image | bytes | None], labels: list[Any], **columns: str) -> str:
    names = {"image": "image", "label": "label"} | columns
    rows = [None if i is None else {"bytes": i if isinstance(i, bytes) else png(i), "path": None} for i in images]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    file.parent.mkdir(exist_ok=True, parents=True)
    pq.write_table(pa.table({names["image"]: pa.array(rows, kind), names["label"]: labels}), file)
    return str(file)


@pytest.fixture
def images(pictures: Pictures) -> list[Image.Image]:
    return pictures(12)


@pytest.fixture
def parquet(tmp_path: Path, images: list[Image.Image]) -> DataSettings:
    train = write_parquet(tmp_path / "train.parquet", images, [0, 1, 2] * 4)
    test = write_parquet(tmp_path / "test.parquet", images[:3], [2, 1, 0])
    return DataSettings("parquet", train, test, minival=0, cache_dir=str(tmp_path / "cache"))


def test_parquet(parquet: DataSettings, images: list[Image.Image]) -> None:
    """Rows come back in order, pixels exact, classes counted; nothing of the reader's own stays in the cache."""
    prepared = prepare(parquet, 8)
    train, test = load_split(prepared, "train"), load_split(prepared, "test")
    assert np.array_equal(train.images, np.stack([np.asarray(image) for image in images]))
    assert train.labels.tolist() == [0, 1, 2] * 4
    assert test.labels.tolist() == [2, 1, 0]
    assert (prepared.num_classes, prepared.class_names) == (3, None)
    assert not list(Path(parquet.cache_dir).rglob("*.arrow"))


def test_a_pipe_gets_no_bars(parquet: DataSettings, capfd: pytest.CaptureFixture[str]) -> None:
    """Bars that the data set's reader draws, too, are for terminals: a log file would be full of them."""
    prepare(parquet, 8, progress=True)
    assert capfd.readouterr().err == ""


def test_parquet_glob_and_columns(tmp_path: Path, images: list[Image.Image]) -> None:
    """Several files by a pattern are one data set, in the order of their names; columns may have other names."""
    for k in range(3):
        write_parquet(
            tmp_path / f"part-{k}.parquet", images[4 * k : 4 * k + 4], [0, 1, 0, 1], image="img", label="fine"
        )
    settings = DataSettings(
        "parquet", str(tmp_path / "part-*.parquet"), image_column="img", label_column="fine", minival=0,
        cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    train = load_split(prepare(settings, 8), "train")
    assert np.array_equal(train.images, np.stack([np.asarray(image) for image in images]))


def test_parquet_takes_no_leftovers(tmp_path: Path, images: list[Image.Image]) -> None:
    """A pattern finds no copies that tools left; a file that is named itself may be called as it pleases."""
    file = write_parquet(tmp_path / ".hidden" / "part-0.parquet", images, [0, 1] * 6)
    write_parquet(tmp_path / ".hidden" / ".ipynb_checkpoints" / "part-0-checkpoint.parquet", images, [0, 1] * 6)
    (tmp_path / ".hidden" / "._part-0.parquet").write_bytes(b"no parquet")
    for path in (file, f"{tmp_path}/.hidden/*.parquet", f"{tmp_path}/.hidden/**/*.parquet"):
        assert prepare(DataSettings("parquet", path, minival=0, cache_dir=str(tmp_path / "cache")), 8).train == 12


def test_a_pattern_that_takes_in_the_test_images(tmp_path: Path, images: list[Image.Image]) -> None:
    """Train and test by one pattern would be trained on together."""
    for name in ("train-0", "validation-0"):
        write_parquet(tmp_path / f"{name}.parquet", images, [0, 1] * 6)
    with pytest.raises(
        ValueError, match=r"takes in splits of a data set, train-0.parquet and validation-0.parquet: give"
    ):
        prepare(DataSettings("parquet", str(tmp_path / "*.parquet"), cache_dir=str(tmp_path / "cache")), 8)


def test_one_class_is_refused(tmp_path: Path, images: list[Image.Image]) -> None:
    """A label column that says the same of every row teaches nothing."""
    train = write_parquet(tmp_path / "train.parquet", images, ["cat"] * 12)
    with pytest.raises(ValueError, match="has fewer than two classes: all its images are of class cat"):
        prepare(DataSettings("parquet", train, minival=0, cache_dir=str(tmp_path / "cache")), 8)


def test_class_names_are_compared_as_read(tmp_path: Path, images: list[Image.Image]) -> None:
    """The same letters, composed or not, are the same class."""
    train = write_parquet(tmp_path / "train.parquet", images[:4], ["cafe\u0301", "tea", "caf\u00e9", "tea"])
    test = write_parquet(tmp_path / "test.parquet", images[:2], ["caf\u00e9", "tea"])
    settings = DataSettings("parquet", train, test, minival=0, cache_dir=str(tmp_path / "cache"))
    assert prepare(settings, 8).class_names == ("caf\u00e9", "tea")
    assert load_split(prepare(settings, 8), "train").labels.tolist() == [0, 1, 0, 1]


def test_class_names_in_a_column(tmp_path: Path, images: list[Image.Image]) -> None:
    """Classes given by name are numbered in the alphabet's order, the same in test as in train."""
    train = write_parquet(tmp_path / "train.parquet", images[:4], ["owl", "cat", "owl", "ant"])
    test = write_parquet(tmp_path / "test.parquet", images[:2], ["owl", "cat"])
    settings = DataSettings("parquet", train, test, minival=0, cache_dir=str(tmp_path / "cache"))
    prepared = prepare(settings, 8)
    assert prepared.class_names == ("ant", "cat", "owl")
    assert load_split(prepared, "train").labels.tolist() == [2, 1, 2, 0]
    assert load_split(prepared, "test").labels.tolist() == [2, 1]


def test_hugging_face_data_set(tmp_path: Path, images: list[Image.Image], monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set with named splits is read by the names of its splits and columns, and read anew when it changes."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "hub"))
    place = tmp_path / "animals"
    write_parquet(place / "data" / "train-0.parquet", images, [0, 1] * 6)
    write_parquet(place / "data" / "validation-0.parquet", images[:5], [1, 1, 1, 0, 0])
    settings = DataSettings("hf", str(place), test_split="validation", minival=4, cache_dir=str(tmp_path / "cache"))
    prepared = prepare(settings, 8)
    assert (prepared.train, prepared.minival, prepared.test) == (8, 4, 5)
    assert np.array_equal(load_split(prepared, "train").images, np.stack([np.asarray(image) for image in images]))
    assert prepare(settings, 8) == prepared
    with pytest.raises(ValueError, match=r"it has no split 'test', but: train, validation"):
        prepare(replace(settings, test_split="test"), 8)
    assert prepare(replace(settings, test_split=""), 8).test == 0
    write_parquet(place / "data" / "train-0.parquet", images[::-1], [1, 0] * 6)
    assert np.array_equal(load_split(prepare(settings, 8), "train").images[0], np.asarray(images[-1]))


def test_splits_that_the_hubs_reader_does_not_know_are_not_one(
    tmp_path: Path, images: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders `Train` and `Test`, which the reader would lay together as its split train, are refused by name."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "hub"))
    for number, image in enumerate(images):
        place = tmp_path / "animals" / ("Test" if number % 3 == 0 else "Train") / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        image.save(place / f"{number}.png")
    settings = DataSettings("hf", str(tmp_path / "animals"), test_split="", minival=2, cache_dir=str(tmp_path / "c"))
    with pytest.raises(ValueError, match=r"the folders Test, Train would all be its split 'train'; take source folder"):
        prepare(settings, 8)


@pytest.mark.parametrize("leftover", ["@eaDir/train-0.parquet", "data/train-0 (conflicted copy).parquet"])
def test_a_folder_of_the_hubs_kind_takes_no_leftovers(
    tmp_path: Path, images: list[Image.Image], monkeypatch: pytest.MonkeyPatch, leftover: str
) -> None:
    """Copies that tools left in it are no rows, and are said."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "hub"))
    place = tmp_path / "animals"
    write_parquet(place / "data" / "train-0.parquet", images, [0, 1] * 6)
    write_parquet(place / leftover, images, [0, 1] * 6)
    settings = DataSettings("hf", str(place), test_split="", minival=0, cache_dir=str(tmp_path / "cache"))
    prepared = prepare(settings, 8)
    assert prepared.train == 12
    assert found(prepared).left_out == (f"1 files that tools left: {Path(leftover).name}",)


@pytest.mark.parametrize(("labels", "test_labels", "message"), [
    ([0, 1, 3], [0], "column 'label' counts to 3 but has no 2"),
    ([1, 2, 3], [1], "has no 0: count labels from 0"),
    ([0, 1, -1], [0], r"holds -1..1: labels must be 0 and up"),
    ([0, 1, 2], [3], "label 3 of .* is not among train's, 0..2"),
    ([0, 1, 2], [-1], r"holds -1..-1"),
    ([0.5, 1.0, 2.0], [0.0], "one whole number or name is needed"),
    ([0, 1, None], [0], "one whole number or name is needed"),
    ([[0], [1], [2]], [[0]], "one whole number or name is needed"),
    (["a", "b", "c"], ["d"], "are not among train's: d"),
    (["a", None, "c"], ["a"], "has rows without a label"),
    (["a", "b", "c"], [None], "are not among train's: None"),
])  # fmt: skip
def test_labels_that_do_not_fit(
    tmp_path: Path, images: list[Image.Image], labels: list[Any], test_labels: list[Any], message: str
) -> None:
    """Labels with gaps, below zero, unknown to train or of a wrong kind are refused, never shifted or clipped."""
    train = write_parquet(tmp_path / "train.parquet", images[:3], labels)
    test = write_parquet(tmp_path / "test.parquet", images[:1], test_labels)
    with pytest.raises(ValueError, match=message):
        prepare(DataSettings("parquet", train, test, cache_dir=str(tmp_path / "cache")), 8)


@pytest.mark.parametrize(("change", "message"), [
    ({"path": "no.parquet"}, "no parquet file 'no.parquet'; .* has: "),
    ({"test_path": "no.parquet"}, "no parquet file 'no.parquet'; .* has: "),
    ({"image_column": "img"}, "has no image_column 'img'; its columns are: image, label"),
    ({"label_column": "y"}, "has no label_column 'y'; its columns are: image, label"),
    ({"image_column": "label"}, "column 'label' of .* holds .*: encoded images are needed"),
])  # fmt: skip
def test_what_is_missing_is_named(parquet: DataSettings, change: Mapping[str, str], message: str) -> None:
    """A missing file or column is told with what is there instead."""
    with pytest.raises(ValueError, match=message) as caught:
        prepare(replace(parquet, **change), 8)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [b"not an image", None])
def test_bad_row_is_named(tmp_path: Path, images: list[Image.Image], bad: bytes | None) -> None:
    """A row without a readable image is named by number and file."""
    rows = [*images[:7], bad, *images[8:]]
    train = write_parquet(tmp_path / "train.parquet", rows, [0, 1] * 6)
    with pytest.raises(ValueError, match=f"cannot read row 7 of {train}: "):
        prepare(DataSettings("parquet", train, minival=0, cache_dir=str(tmp_path / "cache")), 8)


def test_not_parquet(tmp_path: Path) -> None:
    """A file of another kind is told in one line."""
    (tmp_path / "x.parquet").write_text("hello")
    with pytest.raises(ValueError, match="cannot read data set") as caught:
        prepare(DataSettings("parquet", str(tmp_path / "x.parquet"), cache_dir=str(tmp_path / "cache")), 8)
    assert "\n" not in str(caught.value)


def test_folder_layout(tmp_path: Path, write_folder: Callable[..., Path], pictures: Pictures) -> None:
    """A folder that is missing, holds no classes, the parts instead of the classes, or no images, is told apart."""
    cache = str(tmp_path / "cache")
    (tmp_path / "empty").mkdir()
    parts = tmp_path / "parts"
    write_folder({"a": pictures(2), "b": pictures(2)}, "parts/train")
    write_folder({"a": pictures(2), "c": pictures(2)}, "parts/test")
    write_folder({"a": pictures(2), "b": []}, "hollow")
    for path, test_path, message in (
        (tmp_path / "none", "", "no folder .*none'; .* has: empty, hollow, parts"),
        (tmp_path / "empty", "", "has no folders: one folder of images a class"),
        (
            parts,
            "",
            "splits .*: test holds the folders a, c; .* Set data.path to .*train and data.test_path to .*test$",
        ),
        (tmp_path / "hollow", "", "b has no image files"),
        (parts / "train", parts / "test", "has classes that .* has not: c"),
    ):
        with pytest.raises(ValueError, match=message):
            prepare(DataSettings("folder", str(path), str(test_path), cache_dir=cache), 8)


def test_unreachable_hub_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A name that is neither on the hub nor a folder gives one line with the name."""
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="cannot open data set 'nobody/nothing'") as caught:
        prepare(DataSettings("hf", "nobody/nothing", cache_dir=str(tmp_path)), 8)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not CIFAR10.is_dir(), reason="CIFAR-10's parquet files are not here")
def test_real_cifar10(tmp_path: Path) -> None:
    """The real files give the counts, class names and pixels everyone knows."""
    settings = DataSettings("parquet", str(CIFAR10 / "test.parquet"), cache_dir=str(tmp_path), minival=0.2)
    prepared = prepare(settings, 32)
    assert (prepared.train, prepared.minival, prepared.test, prepared.num_classes) == (8000, 2000, 0, 10)
    assert prepared.class_names is not None
    assert prepared.class_names[0] == "airplane"
    assert prepared.mean == pytest.approx((0.494, 0.485, 0.450), abs=0.005)  # of the test images
    assert np.array_equal(np.bincount(load_split(prepared, "minival").labels), [200] * 10)
