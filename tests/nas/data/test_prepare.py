"""Images reach the arrays as they are, once, under a key that changes when they do."""

import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from nas import faults
from nas.data import arrays, making
from nas.data.prepare import Prepared, load_split, prepare
from nas.data.settings import DataSettings

Pictures = Callable[..., list[Image.Image]]
WriteFolder = Callable[..., Path]


@pytest.fixture
def folder(write_folder: WriteFolder, pictures: Pictures, tmp_path: Path) -> DataSettings:
    train = write_folder({"cat": pictures(12, seed=1), "dog": pictures(8, seed=2)}, "train")
    test = write_folder({"cat": pictures(3, seed=3), "dog": pictures(2, seed=4)}, "test")
    return DataSettings("folder", str(train), str(test), cache_dir=str(tmp_path / "cache"), minival=5)


def test_same_size_png_keeps_its_pixels(folder: DataSettings, pictures: Pictures) -> None:
    """An image that has the size wanted comes back bit for bit, with its class, in every split."""
    prepared = prepare(folder, 8)
    for name, seeds in (("train", ((1, 12), (2, 8))), ("test", ((3, 3), (4, 2)))):
        split = load_split(prepared, name)
        wanted = [np.asarray(image) for seed, n in seeds for image in pictures(n, seed=seed)]
        assert split.images.dtype == np.uint8
        assert np.array_equal(split.images, np.stack(wanted))
    assert prepared.class_names == ("cat", "dog")
    assert (prepared.train, prepared.minival, prepared.test, prepared.num_classes) == (15, 5, 5, 2)
    assert load_split(prepared, "test").labels.tolist() == [0, 0, 0, 1, 1]


def test_mean_and_deviation_are_those_of_the_training_images(folder: DataSettings) -> None:
    """Normalising by them gives mean 0 and deviation 1, per channel."""
    prepared = prepare(folder, 8)
    pixels = load_split(prepared, "train").images / 255
    assert prepared.mean == pytest.approx(pixels.mean((0, 1, 2)))
    assert prepared.std == pytest.approx(pixels.std((0, 1, 2)))


def test_search_never_reaches_test(digits: Prepared) -> None:
    """Train and minival index arrays that hold no test image, whatever seed, minival or subset is set."""
    test = {image.tobytes() for image in load_split(digits, "test").images}
    for change in ({}, {"seed": 3}, {"minival": 200}, {"subset": 100}):
        prepared = prepare(replace(DataSettings(cache_dir=str(Path(digits.folder).parent)), **change), 8)
        train, minival = load_split(prepared, "train"), load_split(prepared, "minival")
        assert not set(train.indices) & set(minival.indices)
        assert np.array_equal(load_split(prepared, "test").images, load_split(digits, "test").images)
        assert len(train.images) == 1797 - 359
        for split in (train, minival):
            assert np.array_equal(split.labels, np.load(Path(prepared.folder) / "train_labels.npy")[split.indices])
            assert not {image.tobytes() for image in split.images[split.indices]} & test


def test_digits_are_scikit_learns(digits: Prepared) -> None:
    """All 1,797 digits are there, grey, black 0 and white 255, each split with every class."""
    counts = [len(load_split(digits, name).labels) for name in ("train", "minival", "test")]
    assert counts == [digits.train, digits.minival, digits.test] == [1294, 144, 359]
    for name in ("train", "minival", "test"):
        split = load_split(digits, name)
        assert split.images.shape[1:] == (8, 8, 1)
        shares = np.bincount(load_digits().target) * len(split.labels) / 1797
        assert np.abs(np.bincount(split.labels) - shares).max() < 2
    assert (split.images.min(), split.images.max()) == (0, 255)


def test_fingerprints_are_those_of_earlier_versions(digits: Prepared) -> None:
    """A run on healthy data goes on: these were computed by the version 9b0a34b."""
    assert digits.fingerprint == "7659532bcc46111ec186"
    settings = DataSettings(cache_dir=str(Path(digits.folder).parent), minival=0.2, subset=256)
    assert prepare(settings, 16).fingerprint == "02050043369a1bc2b179"


def decoded_at(prepared: Prepared) -> int:
    return (Path(prepared.folder) / "train_images.npy").stat().st_mtime_ns


def test_splits_need_no_decoding(folder: DataSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another seed, minival or subset uses the arrays that are there; the fingerprint tells them apart."""
    first = prepare(folder, 8)
    monkeypatch.setattr(making, "decode", lambda *_: pytest.fail("decoded again"))
    others = [prepare(replace(folder, **change), 8) for change in ({"seed": 1}, {"minival": 3}, {"subset": 4}, {})]
    assert {other.folder for other in others} == {first.folder}
    assert len({other.fingerprint for other in others}) == 4
    assert others[-1] == first


@pytest.mark.parametrize(
    ("change", "message"),
    [({"minival": 20}, "minival 20 leaves no image"), ({"subset": 16}, "more than the 15 training")],
)
def test_what_cannot_be_split_is_not_decoded(folder: DataSettings, change: dict[str, int], message: str) -> None:
    """It is said at once, not after hours of decoding, and keeps nothing."""
    with pytest.raises(ValueError, match=message):
        prepare(replace(folder, **change), 8)
    assert not [path for path in folder.cache.iterdir() if path.is_dir()]


def test_what_matters_decodes_again(folder: DataSettings) -> None:
    """Another image size, colour or file makes other arrays; the old ones stay."""
    first = prepare(folder, 8)
    assert prepare(folder, 6).folder != first.folder
    assert prepare(replace(folder, channels=1), 8).folder != first.folder
    assert prepare(replace(folder, test_path=""), 8).test == 0
    assert load_split(prepare(replace(folder, channels=1), 8), "train").images.shape == (20, 8, 8, 1)
    assert load_split(first, "train").images.shape == (20, 8, 8, 3)


def test_changed_file_is_noticed(folder: DataSettings, pictures: Pictures) -> None:
    """Replacing, adding or touching an image gives new arrays; equal pixels give an equal fingerprint."""
    first = prepare(folder, 8)
    file = Path(folder.path) / "cat" / "0003.png"
    pictures(1, seed=99)[0].save(file)
    os.utime(file, ns=(1, 1))
    replaced = prepare(folder, 8)
    assert replaced.folder != first.folder
    assert replaced.fingerprint != first.fingerprint
    assert np.array_equal(load_split(replaced, "train").images[3], np.asarray(Image.open(file)))
    os.utime(file, ns=(2, 2))
    touched = prepare(folder, 8)
    assert touched.folder != replaced.folder
    assert touched.fingerprint == replaced.fingerprint
    pictures(1, seed=98)[0].save(file.with_name("new.png"))
    assert prepare(folder, 8).train == first.train + 1


def test_the_same_files_by_another_path_are_the_same(folder: DataSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path finds what an absolute one decoded; swapping train and test does not."""
    first = prepare(folder, 8)
    monkeypatch.chdir(Path(folder.path).parent)
    assert prepare(replace(folder, path="train", test_path="test"), 8) == first
    assert prepare(replace(folder, path="test", test_path="train", minival=0), 8).folder != first.folder


def test_what_is_known_is_not_looked_for_again(folder: DataSettings) -> None:
    """Whoever is given it needs no source; where it is gone nothing is decoded; for anything else it is no answer."""
    first = prepare(folder, 8)
    moved = Path(folder.path).rename(Path(folder.path).with_name("moved"))
    assert prepare(folder, 8, known=pickle.loads(pickle.dumps(first))) == first
    for size, known in ((8, None), (6, first)):
        with pytest.raises(ValueError, match="not"):
            prepare(folder, size, known=known)
    moved.rename(folder.path)
    assert prepare(folder, 6, known=first).folder != first.folder
    elsewhere = replace(first, splits="/elsewhere/splits.npz")
    assert prepare(folder, 8, known=elsewhere) == first
    shutil.rmtree(first.folder)
    with pytest.raises(faults.Gone, match=r"the data prepared for this are gone from .*; the same command"):
        prepare(folder, 8, known=elsewhere)
    assert not Path(first.folder).exists()


def test_prepared_is_small_to_send(digits: Prepared) -> None:
    """What workers are sent is a few hundred bytes that survive pickling, never the images."""
    sent = pickle.dumps(digits)
    assert len(sent) < 2000
    assert pickle.loads(sent) == digits


def test_split_can_be_written_without_harm(digits: Prepared) -> None:
    """Mapped pixels are private copies: writing to them changes neither the file nor another process's view."""
    split = load_split(digits, "train")
    before = split.images[0].copy()
    split.images[0] = 255 - before
    assert np.array_equal(load_split(digits, "train").images[0], before)


def test_missing_split(folder: DataSettings) -> None:
    """Asking for a split that is not there names those that are."""
    prepared = prepare(replace(folder, test_path="", minival=0), 8)
    with pytest.raises(ValueError, match="no test images; it has: train"):
        load_split(prepared, "test")
    with pytest.raises(ValueError, match="no minival images"):
        load_split(prepared, "minival")
    with pytest.raises(ValueError, match="unknown split 'val'; known: train, minival, test"):
        load_split(prepared, "val")  # type: ignore[arg-type]


def test_bad_image_size(folder: DataSettings) -> None:
    """A size below one pixel is refused."""
    with pytest.raises(ValueError, match="image_size must be at least 1, got 0"):
        prepare(folder, 0)


def test_unreadable_image_is_named(folder: DataSettings) -> None:
    """A broken file stops the preparation with its name, and nothing half-done stays behind."""
    broken = Path(folder.path) / "dog" / "0004.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(ValueError, match=f"cannot read {broken}"):
        prepare(folder, 8)
    assert not [entry for entry in Path(folder.cache_dir).iterdir() if entry.suffix != ".lock"]


def test_colour_among_grey_is_told(write_folder: WriteFolder, pictures: Pictures, tmp_path: Path) -> None:
    """A colour image that the look at some images missed is not quietly made grey; asked for, it is."""
    images = pictures(200, mode="L")
    images[101] = pictures(1)[0]
    path = write_folder({"a": images, "b": pictures(2, mode="L")})
    settings = DataSettings("folder", str(path), cache_dir=str(tmp_path / "cache"))
    with pytest.raises(ValueError, match=r"0101.png: is in colour.*set channels to 3 or 1"):
        prepare(settings, 8)
    assert prepare(replace(settings, channels=1), 8).channels == 1
    assert prepare(replace(settings, channels=3), 8).channels == 3


def test_grey_stays_grey(write_folder: WriteFolder, pictures: Pictures, tmp_path: Path) -> None:
    """Greyscale images give one channel, bit for bit, without being asked."""
    images = pictures(6, mode="L")
    path = write_folder({"a": images[:3], "b": images[3:]})
    prepared = prepare(DataSettings("folder", str(path), cache_dir=str(tmp_path / "cache"), minival=0), 8)
    assert prepared.channels == 1
    assert np.array_equal(load_split(prepared, "train").images[..., 0], np.stack([np.asarray(i) for i in images]))


def test_no_room_is_told_before_decoding(folder: DataSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk too small for the arrays is told in gigabytes, not by a crash while writing them."""
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(arrays.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ValueError, match=r"need 0.0 GB in .*, which has 0.0 GB free"):
        prepare(folder, 8)
