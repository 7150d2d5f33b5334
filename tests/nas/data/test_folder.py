"""Image folders as people have them: what is an image or a class is used, what is not is said, nothing is guessed."""

import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image

from nas.data.prepare import Prepared, load_split, prepare
from nas.data.settings import READERS, DataSettings
from nas.data.sources.folder import suffixes
from nas.data.sources.layout import is_held_out, is_train
from nas.data.sources.leftovers import is_leftover
from nas.data.sources.records import Images, Source

Pictures = Callable[..., list[Image.Image]]


@pytest.fixture
def put(tmp_path: Path, pictures: Pictures) -> Callable[..., Path]:
    """Write noise images, none like another, at these places; returns the folder around them."""
    made = iter(pictures(400))

    def write(*places: str) -> Path:
        for place in places:
            file = tmp_path / "data" / place
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix in (".png", ".jfif", ".jpe", ".avif", ".JPG", ".jp2", ".qoi"):
                next(made).save(file, format=Image.registered_extensions()[file.suffix.lower()])
            else:
                file.write_bytes(b"no image")
        return tmp_path / "data"

    return write


def each(folder: str, names: Iterable[str] = "123456") -> list[str]:
    return [f"{folder}/{name}.png" for name in names]


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Prepared]:
    def make(folder: Path, **settings: Any) -> Prepared:
        return prepare(DataSettings("folder", str(folder), cache_dir=str(tmp_path / "cache"), minival=0, **settings), 8)

    return make


def left_out(prepared: Prepared) -> list[str]:
    lines: list[str] = json.loads((Path(prepared.folder) / "info.json").read_text())["left_out"]
    return lines


LEFTOVERS = (
    *(".ipynb_checkpoints/1-checkpoint.png", "._1.png", ".DS_Store", "Thumbs.db", "desktop.ini", ".AppleDouble/1.png"),
    *("@eaDir/1.png/SYNOPHOTO_THUMB_M.png", "#recycle/1.png", "$RECYCLE.BIN/1.png", "lost+found/1.png", "1.png~"),
    *("__MACOSX/._1.png", ".Trash-1000/files/1.png", ".dropbox.cache/1.png", "1 (Ann's conflicted copy).png"),
    *(
        "1.sync-conflict-20240101-120000-ABC.png",
        "_vti_cnf/1.png",
        ".thumbnails/1.png",
        "System Volume Information/1.png",
    ),
)


@pytest.mark.parametrize("leftover", LEFTOVERS)
@pytest.mark.parametrize("place", ["", "cat/", "cat/wild/"])
def test_what_tools_leave_is_no_image_and_no_class(
    put: Callable[..., Path], prepared: Callable[..., Prepared], leftover: str, place: str
) -> None:
    """At any depth: neither classes nor images change, copies of images do not get into train beside minival."""
    folder = put(*each("cat"), *each("dog"), "cat/wild/7.png")
    clean = prepared(folder)
    put(place + leftover)
    assert prepared(folder) == clean
    assert (clean.train, clean.class_names) == (13, ("cat", "dog"))


def test_leftovers_are_counted(put: Callable[..., Path], prepared: Callable[..., Prepared]) -> None:
    """How many there were is said, with names."""
    folder = put(*each("cat"), *each("dog"), "__MACOSX/cat/._1.png", "cat/._1.png", "dog/.ipynb_checkpoints/1.png")
    assert left_out(prepared(folder)) == [
        "train: 3 files and folders that tools left: __MACOSX, ._1.png, .ipynb_checkpoints"
    ]


@pytest.mark.parametrize(
    "name", ["cat", "1.png", "train", "tmp", "_background_", "a.b", "partial", "recycled", "notes"]
)
def test_what_is_no_leftover(name: str) -> None:
    """Names that a class or an image may have are left alone."""
    assert not is_leftover(name)


SPLITS = [
    ("Train", "Test"), ("TRAINING", "TESTING"), ("train", "val"), ("training_set", "test_set"),
    ("seg_train", "seg_test"), ("TrainSet", "ValidationSet"), ("train2017", "val2017"), ("train-images", "dev-images"),
    ("Training", "Eval"),
]  # fmt: skip


@pytest.mark.parametrize(("train", "test"), SPLITS)
@pytest.mark.parametrize("around", ["", "archive/", "archive/photos/"])
def test_splits_are_no_classes(
    put: Callable[..., Path], prepared: Callable[..., Prepared], train: str, test: str, around: str
) -> None:
    """However they are spelt and wrapped: refused, with the paths to give, which then work."""
    folder = put(*each(f"{around}{train}/cat"), *each(f"{around}{train}/dog"), *each(f"{around}{test}/cat", "78"),
                 *each(f"{around}{test}/dog", "9"))  # fmt: skip
    with pytest.raises(ValueError, match=r"Set data\.path to ") as caught:
        prepared(folder)
    words = str(caught.value).split("Set data.path to ")[1].split(" and data.test_path to ")
    assert words == [str(folder / around / train), str(folder / around / test)]
    good = prepared(Path(words[0]), test_path=words[1])
    assert (good.train, good.test, good.class_names) == (12, 3, ("cat", "dog"))


@pytest.mark.parametrize(("places", "message"), [
    ([*each("train"), *each("test")], "splits of a data set, no classes: test holds 6 images; train holds 6 images"),
    ([*each("images/cat"), *each("images/dog")], "two classes: images holds the folders cat, dog. Set data.path to"),
    ([*each("images")], "fewer than two classes: images holds 6 images. Two or more folders of images"),
    ([*each("fold1/a"), *each("fold1/b"), *each("fold2/a"), *each("fold2/b")], "splits of a data set"),
    ([*each("train/a"), *each("train/b"), *each("unlabeled/x")], "splits of a data set"),
    ([*each("train/train/a"), *each("train/train/b")], "Set data.path to .*/data/train/train$"),
    ([*each("cat"), "dog/1.heic", "dog/2.heic", "dog/x"], "dog has no image files, but 2 .heic, 1 without an ending"),
    (["1.png", "2.png"], "has no folders: one folder of images a class is expected"),
])  # fmt: skip
def test_a_folder_that_is_no_data_set_of_classes(
    put: Callable[..., Path], prepared: Callable[..., Prepared], places: list[str], message: str
) -> None:
    """One line says what lies where, and what to give."""
    with pytest.raises(ValueError, match=message) as caught:
        prepared(put(*places))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "names", [("train", "bus", "ship"), ("test tube", "beaker"), ("valid", "invalid"), ("part", "whole")]
)
def test_classes_with_names_of_splits(
    put: Callable[..., Path], prepared: Callable[..., Prepared], names: tuple[str, ...]
) -> None:
    """A class may be called as a split is."""
    folder = put(*(place for name in names for place in each(name)))
    assert prepared(folder).class_names == tuple(sorted(names))


def test_words_of_splits() -> None:
    """Words are whole words: a training is one, a trainer or a contest is not."""
    assert all(is_train(train) and is_held_out(test) for train, test in SPLITS)
    assert not any(
        is_train(name) or is_held_out(name) for name in ("trainer", "terrain", "contest", "devil", "evaluated")
    )


def test_links_in_a_class_are_followed(
    put: Callable[..., Path], prepared: Callable[..., Prepared], tmp_path: Path
) -> None:
    """A linked folder's images count, as a linked image's do; rings of links end, and no folder is read twice."""
    folder = put(*each("cat"), *each("dog"), "../elsewhere/7.png", "../elsewhere/deep/8.png", "../single/9.png")
    (folder / "cat" / "more").symlink_to(tmp_path / "elsewhere")
    (folder / "cat" / "again").symlink_to(tmp_path / "elsewhere")
    (folder / "cat" / "9.png").symlink_to(tmp_path / "single" / "9.png")
    (folder / "dog" / "ring").symlink_to(folder / "dog")
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path / "elsewhere")
    labels = load_split(prepared(folder), "train").labels
    assert np.bincount(labels).tolist() == [9, 6]


@pytest.mark.parametrize("ending", [".jfif", ".jpe", ".JPG", ".jp2", ".qoi", ".avif"])
def test_rare_endings_are_images(put: Callable[..., Path], prepared: Callable[..., Prepared], ending: str) -> None:
    """Whatever this machine's Pillow reads is an image."""
    Image.init()
    if ending.lower() not in suffixes():
        pytest.skip(f"this Pillow cannot read {ending}")
    assert prepared(put(*each("cat"), *each("dog"), f"cat/x{ending}")).train == 13


def test_what_is_no_picture() -> None:
    """Documents, films and tables of numbers that Pillow knows by their endings are none."""
    assert not suffixes() & {".pdf", ".mpg", ".mpeg", ".h5", ".hdf", ".eps", ".ps", ".wmf", ".txt", ""}
    assert suffixes() >= {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def test_what_is_left_out_is_counted_and_named(put: Callable[..., Path], prepared: Callable[..., Prepared]) -> None:
    """Images beside the classes and files of other kinds in them, in train and in test."""
    train = put(*(f"train/{place}" for place in (*each("cat"), *each("dog"), "stray.png", "cat/a.heic", "cat/b.txt")))
    put(*(f"test/{place}" for place in (*each("cat", "89"), *each("dog", "8"), "dog/noending")))
    found = prepared(train / "train", test_path=str(train / "test"))
    assert left_out(found) == [
        "train: 1 images beside the folders of classes: stray.png",
        "train: 2 files of other kinds (1 .heic, 1 .txt): a.heic, b.txt",
        "test: 1 files of other kinds (1 without an ending): noending",
    ]
    put("train/stray2.png")
    assert "2 images beside" in left_out(prepared(train / "train", test_path=str(train / "test")))[0]


def test_class_names_are_compared_as_read(put: Callable[..., Path], prepared: Callable[..., Prepared]) -> None:
    """macOS writes é as two letters, others as one: the same class."""
    name = "café"
    folder = put(*(f"train/{normalize('NFD', name)}/{i}.png" for i in range(4)), *each("train/tea"),
                 *(f"test/{normalize('NFC', name)}/{i}.png" for i in range(3)), *each("test/tea"))  # fmt: skip
    found = prepared(folder / "train", test_path=str(folder / "test"))
    assert found.class_names == (normalize("NFC", name), "tea")
    assert np.bincount(load_split(found, "test").labels).tolist() == [3, 6]


def test_names_that_are_no_text(put: Callable[..., Path], prepared: Callable[..., Prepared]) -> None:
    """A class whose name's bytes are no UTF-8 is refused by name; an image is used, and named when it is broken."""
    folder = put(*each("cat"), *each("dog"))
    odd = os.fsencode(folder / "cat") + b"/caf\xe9.png"
    shutil.copy(folder / "dog" / "1.png", odd)
    assert prepared(folder).train == 13
    with open(odd, "wb") as file:  # noqa: PTH123
        file.write(b"broken")
    with pytest.raises(ValueError, match=r"cannot read .*caf\\xe9.png"):
        prepared(folder)
    os.remove(odd)  # noqa: PTH107
    os.mkdir(os.fsencode(folder) + b"/caf\xe9")  # noqa: PTH102
    with pytest.raises(ValueError, match=r"the name of the folder .*caf\\xe9 is no UTF-8"):
        prepared(folder)


def test_a_link_to_nothing_is_named(put: Callable[..., Path], prepared: Callable[..., Prepared]) -> None:
    """One line, as for any image that cannot be read."""
    folder = put(*each("cat"), *each("dog"))
    (folder / "cat" / "gone.png").symlink_to(folder / "nowhere.png")
    with pytest.raises(ValueError, match=r"cannot read .*gone\.png"):
        prepared(folder)


@pytest.mark.parametrize(("labels", "classes", "message"), [
    ([0] * 6, 1, "the train part of mine has fewer than two classes: all its images are of class 0"),
    ([1] * 6, 3, "fewer than two classes: all its images are of class 1"),
    ([0, 1, 2, 0, 1, 2], 2, r"has labels that are none of its 2 classes, 0..1: 2"),
    ([0, 1, -1, 0, 1, 1], 2, r"has labels that are none of its 2 classes, 0..1: -1"),
    ([], 2, "the train part of mine has no images"),
])  # fmt: skip
def test_every_source_has_two_classes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pictures: Pictures, labels: list[int], classes: int, message: str
) -> None:
    """Also a reader of one's own: a search on one class would find every network perfect."""
    images = [np.asarray(image) for image in pictures(6)]

    class Reader:
        def identity(self, settings: DataSettings) -> dict[str, Any]:
            return {}

        def read(self, settings: DataSettings, scratch: Path, progress: bool) -> Source:
            part = Images(np.array(labels, np.int64), lambda start, stop: images[start:stop], str)
            return Source(classes, None, part, None)

    monkeypatch.setitem(READERS, "mine", Reader())
    with pytest.raises(ValueError, match=message):
        prepare(DataSettings("mine", minival=0, cache_dir=str(tmp_path)), 8)


def test_a_changed_link_is_noticed(put: Callable[..., Path], prepared: Callable[..., Prepared]) -> None:
    """A folder that is linked to is part of the data set: an image more in it makes other arrays."""
    folder = put(*each("cat"), *each("dog"), "../elsewhere/7.png")
    (folder / "cat" / "more").symlink_to(folder.parent / "elsewhere")
    first = prepared(folder)
    put("../elsewhere/8.png")
    assert prepared(folder).train == first.train + 1


@pytest.mark.parametrize("place", ["c", "a/more"])
def test_a_link_to_nothing_is_refused(
    put: Callable[..., Path], prepared: Callable[..., Prepared], tmp_path: Path, place: str
) -> None:
    """A class, or images of one, that lie on a disk that is not there would go missing without a word."""
    folder = put(*each("a"), *each("b"))
    (folder / place).symlink_to(tmp_path / "not mounted")
    with pytest.raises(ValueError, match=f"{place} is a link to nothing: mend it, or remove it"):
        prepared(folder)


@pytest.mark.parametrize("same", [("train", "test"), ("setosa", "virginica")])
def test_the_same_folders_in_every_class_are_told(
    put: Callable[..., Path],
    prepared: Callable[..., Prepared],
    caplog: pytest.LogCaptureFixture,
    same: tuple[str, str],
) -> None:
    """They may be splits of each class, or the classes in folders that are called like no split."""
    prepared(put(*(place for c in "ab" for name in same for place in each(f"{c}/{name}", "12"))))
    assert f"every class holds the folders {', '.join(sorted(same))}: their images are all taken" in caplog.text


def test_folders_below_some_classes_are_no_news(
    put: Callable[..., Path], prepared: Callable[..., Prepared], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither where one class has others, nor where each has one and the same, nor files of the same names."""
    prepared(put(*each("a/x"), *each("a/y"), *each("b/x"), *each("b/z")))
    assert caplog.messages == []


def test_names_that_break_a_line(put: Callable[..., Path], prepared: Callable[..., Prepared]) -> None:
    """A message stays one line, whatever a file is called."""
    folder = put(*each("a"), *each("b"))
    (folder / "a" / "x\ny.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a/x\\ny\.png: no image") as error:
        prepared(folder)
    assert "\n" not in str(error.value)
