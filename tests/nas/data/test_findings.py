"""What preparing finds is said: unreadable images, copies in two splits, classes that nothing is learnt from."""

import io
import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from nas.cli import main
from nas.data import chunks, making, stores
from nas.data.prepare import Prepared, found, load_split, prepare
from nas.data.settings import READERS, DataSettings
from nas.data.sources.records import Encoded, Images, Source

Pictures = Callable[..., list[Image.Image]]
WriteFolder = Callable[..., Path]
Mine = Callable[..., DataSettings]


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mine:
    """A data set of these images and labels."""

    def make(
        train: list[Encoded], labels: list[int], test: list[Encoded] | None = None, test_labels: Any = (), **more: Any
    ) -> DataSettings:
        class Reader:
            def identity(self, settings: DataSettings) -> dict[str, Any]:
                return {"labels": labels}

            def read(self, settings: DataSettings, scratch: Path, progress: bool) -> Source:
                def part(images: list[Encoded], labels: Any, name: str) -> Images:
                    return Images(
                        np.array(labels, np.int64), lambda start, stop: images[start:stop], lambda i: f"{name} {i}"
                    )

                names = tuple("abcdefghij"[: max(labels) + 1])
                return Source(
                    len(names), names, part(train, labels, "picture"), part(test, test_labels, "exam") if test else None
                )

        monkeypatch.setitem(READERS, "mine", Reader())
        return DataSettings(**{"source": "mine", "minival": 0, "cache_dir": str(tmp_path / "cache")} | more)

    return make


def files(pictures: list[Image.Image], kind: str = "PNG") -> list[Encoded]:
    encoded: list[Encoded] = []
    for picture in pictures:
        buffer = io.BytesIO()
        picture.save(buffer, kind)
        encoded.append(buffer.getvalue())
    return encoded


@pytest.mark.parametrize("chunk", [4, 256])
def test_unreadable_images_are_left_out(
    mine: Mine, pictures: Pictures, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, chunk: int
) -> None:
    """Asked for, they are counted and named; the rest is as if they had never been there, but for the fingerprint."""
    for module in (chunks, making, stores):
        monkeypatch.setattr(module, "CHUNK", chunk)
    images, labels, bad = pictures(22), [0, 1] * 11, (3, 10, 11, 21)
    encoded = files(images)
    for i in bad:
        encoded[i] = encoded[i][:50]  # type: ignore[index]
    settings = mine(encoded, labels, encoded[:4], [0, 1, 0, 1])
    with pytest.raises(
        ValueError, match=r"cannot read picture 3: .*; picture 10: .*; picture 11: .*; picture 21: .*leave_out"
    ):
        prepare(settings, 8)
    prepared = prepare(replace(settings, unreadable="leave_out"), 8)
    kept = [i for i in range(22) if i not in bad]
    train = load_split(prepared, "train")
    assert np.array_equal(train.images[train.indices], np.stack([np.asarray(images[i]) for i in kept]))
    assert train.labels.tolist() == [labels[i] for i in kept]
    assert (prepared.train, prepared.test) == (18, 3)
    assert prepared.mean == pytest.approx(np.stack([np.asarray(images[i]) for i in kept]).mean((0, 1, 2)) / 255)
    assert found(prepared).left_out[0].startswith("train: 4 images that cannot be read: picture 3: ")
    assert found(prepared).left_out[1].startswith("test: 1 images that cannot be read: exam 3: ")
    assert "left out: train: 4 images that cannot be read" in caplog.text
    without = mine([encoded[i] for i in kept], [labels[i] for i in kept], encoded[:3], [0, 1, 0])
    assert prepare(without, 8).mean == prepared.mean
    assert prepare(without, 8).fingerprint != prepared.fingerprint


def test_leaving_out_nothing_changes_nothing(mine: Mine, pictures: Pictures) -> None:
    """Where all can be read the setting makes no other data set."""
    settings = mine(files(pictures(6)), [0, 1] * 3)
    left = prepare(replace(settings, unreadable="leave_out"), 8)
    assert left.fingerprint == prepare(settings, 8).fingerprint
    assert found(left).lines() == []


def test_twenty_are_named(mine: Mine) -> None:
    """In one line, and not all of a million."""
    with pytest.raises(ValueError, match="cannot read picture 0: ") as caught:
        prepare(mine([b"broken"] * 30, [0, 1] * 15), 8)
    assert "picture 19: " in str(caught.value)
    assert "picture 20" not in str(caught.value)
    assert "and maybe more" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_half_an_image_is_not_read(mine: Mine, pictures: Pictures, kind: str) -> None:
    """A file that was cut off is never half grey pixels."""
    encoded = files(pictures(4, size=64), kind)
    encoded[2] = encoded[2][: len(encoded[2]) // 2]  # type: ignore[index,arg-type]
    with pytest.raises(ValueError, match="cannot read picture 2: "):
        prepare(mine(encoded, [0, 1, 0, 1]), 8)


def test_all_unreadable_is_an_error(mine: Mine) -> None:
    """Whatever the setting says."""
    with pytest.raises(ValueError, match="cannot read picture 0"):
        prepare(mine([b"broken"] * 4, [0, 1, 0, 1], unreadable="leave_out"), 8)


def test_one_class_left_is_an_error(mine: Mine, pictures: Pictures) -> None:
    """Where leaving out leaves one class, every network would be right about every image."""
    settings = mine([b"", b"", *files(pictures(4))], [0, 0, 1, 1, 1, 1], unreadable="leave_out")
    with pytest.raises(ValueError, match="the images that can be read are all of one class, b"):
        prepare(settings, 8)
    assert not list(settings.cache.glob("*/info.json"))


@pytest.mark.parametrize(("wrong", "message"), [
    (np.zeros((8, 8, 4), np.uint16), r"picture 3: is an array of shape \(8, 8, 4\): \(H, W\), .* is needed"),
    (np.zeros((3, 8, 8), np.uint8), r"picture 3: is an array of shape \(3, 8, 8\): \(H, W\), .* is needed"),
    (np.zeros((0, 8), np.uint8), r"picture 3: is an array of shape \(0, 8\): \(H, W\), .* is needed"),
    ([[1, 2], [3, 4]], "picture 3: is a list: a Path, bytes or an array is needed"),
])  # fmt: skip
def test_what_a_reader_may_not_give(mine: Mine, pictures: Pictures, wrong: Any, message: str) -> None:
    """Refused, and not left out: it is a fault of the reader's."""
    settings = mine([*files(pictures(3)), wrong, *files(pictures(2))], [0, 1, 0, 1, 0, 1], unreadable="leave_out")
    with pytest.raises(ValueError, match=message):
        prepare(settings, 8)


def test_a_reader_that_gives_too_few_images(mine: Mine, pictures: Pictures) -> None:
    """Those it does not give were black."""
    with pytest.raises(ValueError, match="picture 0 to picture 5: 4 of 6 were read"):
        prepare(mine(files(pictures(4)), [0, 1, 0, 1, 0, 1]), 8)


@pytest.mark.parametrize("labels", [np.array([0.0, 1.0]), np.array([[0], [1]]), np.array([False, True])])
def test_labels_that_are_no_numbers_of_classes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pictures: Pictures, labels: Any
) -> None:
    """Refused in a line that says what they are, before anything is decoded."""

    class Reader:
        def identity(self, settings: DataSettings) -> dict[str, Any]:
            return {}

        def read(self, settings: DataSettings, scratch: Path, progress: bool) -> Source:
            return Source(2, None, Images(labels, lambda start, stop: files(pictures(2)), str), None)

    monkeypatch.setitem(READERS, "mine", Reader())
    with pytest.raises(ValueError, match=r"labels of shape \(2,.*: whole numbers \(N,\) are needed"):
        prepare(DataSettings("mine", minival=0, cache_dir=str(tmp_path)), 8)


def test_equal_indices_are_not_equal_splits(mine: Mine, pictures: Pictures) -> None:
    """Train of one image and minival of the next is another split than train of both."""
    settings = mine(files(pictures(2)), [0, 1], minival=1)
    one = next(p for p in (prepare(replace(settings, seed=seed), 8) for seed in range(20)) if 0 in train_of(p))
    both = prepare(replace(settings, minival=0), 8)
    assert (train_of(one), train_of(both)) == ([0], [0, 1])
    assert one.fingerprint != both.fingerprint


def train_of(prepared: Prepared) -> list[int]:
    indices: list[int] = load_split(prepared, "train").indices.tolist()
    return indices


def test_a_failing_disk_leaves_no_image_out(mine: Mine, pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the machine is no broken image: it would quietly make another data set."""
    settings = mine(files(pictures(4)), [0, 1, 0, 1], unreadable="leave_out")
    for error in (OSError(5, "Input/output error"), MemoryError()):

        def fail(*_: Any, error: Exception = error) -> Any:
            raise error

        monkeypatch.setattr(making, "decode", fail)
        with pytest.raises(ValueError, match=r"cannot read picture 0: .*rror"):
            prepare(settings, 8)


def test_large_images_are_no_attack(mine: Mine, pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    """One's own images may have any size, and any text in them; for other users of Pillow its limits stay."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "x" * 2_000_000, zip=True)
    encoded = files(pictures(3))
    buffer = io.BytesIO()
    pictures(1, seed=1)[0].save(buffer, "PNG", pnginfo=text)
    assert prepare(mine([*encoded, buffer.getvalue()], [0, 1, 0, 1]), 8).train == 4
    assert Image.MAX_IMAGE_PIXELS == 50
    assert PngImagePlugin.MAX_TEXT_CHUNK < 2_000_000


def test_a_palette_with_transparency_gives_no_warning(mine: Mine, pictures: Pictures) -> None:
    """Pillow would warn of each image."""
    encoded: list[Encoded] = []
    for picture in pictures(4):
        buffer = io.BytesIO()
        picture.quantize(4).save(buffer, "PNG", transparency=bytes([0, 255, 128, 255]))
        encoded.append(buffer.getvalue())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train = load_split(prepare(mine(encoded, [0, 1, 0, 1]), 8), "train")
    assert np.array_equal(train.images[1], np.asarray(pictures(4)[1].quantize(4).convert("RGB")))


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_further_frames_are_left_out_and_counted(mine: Mine, pictures: Pictures, kind: str) -> None:
    """Of a film or a stack the first picture is used, and it is said."""
    frames = pictures(6)
    buffer = io.BytesIO()
    frames[4].save(
        buffer, kind, save_all=True, append_images=frames[5:], **({"lossless": True} if kind == "WEBP" else {})
    )
    prepared = prepare(mine([*files(frames[:4]), buffer.getvalue()], [0, 1, 0, 1, 0]), 8)
    assert found(prepared).left_out == ("train: all frames but the first of 1 images",)
    if kind != "GIF":  # which has 256 colours
        assert np.array_equal(load_split(prepared, "train").images[4], np.asarray(frames[4]))


def test_copies_in_two_splits_are_counted(mine: Mine, pictures: Pictures, caplog: pytest.LogCaptureFixture) -> None:
    """Images that are trained on and judged by are said, each pair of splits in one line, with some names."""
    images = files(pictures(20))
    twice = images + images[:6]
    settings = mine(twice, [0, 1] * 13, [*images[:3], *files(pictures(2, seed=1))], [0, 1, 0, 1, 0], minival=8)
    prepared = prepare(settings, 8)
    train, minival = (set(load_split(prepared, name).indices) for name in ("train", "minival"))
    in_both = sum((i % 20 if i >= 20 else i + 20) in train for i in minival if i < 6 or i >= 20)
    assert in_both > 0
    assert f"{in_both} of 8 minival images are also in train, pixel by pixel" in caplog.messages
    assert any(line.endswith("of 5 test images are also in train, pixel by pixel") for line in caplog.messages)
    assert found(prepared).copies[0] == "picture 0 = picture 20 = ..."
    assert found(prepared).copies[3] == "picture 3 = picture 23"


def test_one_image_under_two_classes_is_told(mine: Mine, pictures: Pictures, caplog: pytest.LogCaptureFixture) -> None:
    """No network can have both right."""
    images = files(pictures(6))
    prepare(mine([*images, images[0], images[1]], [0, 1, 0, 1, 0, 1, 1, 1]), 8)
    assert caplog.messages == ["1 training images are there under several classes, the same pixel by pixel"]


def test_no_copies_no_word(mine: Mine, pictures: Pictures, caplog: pytest.LogCaptureFixture) -> None:
    """A healthy data set is prepared without a word."""
    images = files(pictures(20))
    prepare(mine(images[:15], [0, 1, 2] * 5, images[15:], [0, 1, 2, 0, 1], minival=3), 8, progress=True)
    assert caplog.messages == []


def test_classes_without_a_training_image_are_named(
    mine: Mine, pictures: Pictures, caplog: pytest.LogCaptureFixture
) -> None:
    """Where minival or subset must take a class's last image; and what can never be right then."""
    images, labels = files(pictures(12)), [0, 1, 2, 3, 4, 5] * 2
    settings = mine(images, labels, files(pictures(6, seed=1)), [0, 1, 2, 3, 4, 5])
    prepare(replace(settings, minival=6), 8)
    assert caplog.messages == []
    prepared = prepare(replace(settings, minival=6, subset=4), 8)
    assert len(set(load_split(prepared, "train").labels)) == 4
    (line,) = caplog.messages
    assert line.startswith("2 of 6 classes have no training image: ")
    assert line.endswith("; 2 of 6 minival images and 2 of 6 test images can never be right")


def test_what_prepare_prints(
    tmp_path: Path,
    write_folder: WriteFolder,
    pictures: Pictures,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Classes, images, range, what was left out, copies and warnings: each on its line, again from the cache."""
    monkeypatch.setenv("COLUMNS", "1000")
    first = pictures(12)
    train = write_folder({"cat": first[:6], "dog": [*first[6:], first[0]]}, "train")
    test = write_folder({"cat": first[:2]}, "test")
    (train / "dog" / "notes.txt").write_text("[bold]no image[/bold]")
    data = {"source": "folder", "path": str(train), "test_path": str(test), "cache_dir": str(tmp_path / "cache")}
    config = {"space": {"name": "small"}, "image_size": 8, "data": data | {"minival": 2}}
    (tmp_path / "c.yaml").write_text(json.dumps(config))
    for _ in range(2):
        assert main(["data", "prepare", str(tmp_path / "c.yaml")]) == 0
        out = capsys.readouterr().out
        lines = dict(line.split(maxsplit=1) for line in out.splitlines())
        assert lines["images"] == "train 11, minival 2, test 2"
        assert lines["classes"] == "2: cat, dog"
        assert lines["pixels"] == "8 px, RGB, black 0, white 255"
        assert lines["left"] == "out     train: 1 files of other kinds (1 .txt): notes.txt"
        assert lines["copies"].startswith(f"{train}/cat/")
        assert "of 2 test images are also in train, pixel by pixel" in out
        assert len(lines["fingerprint"]) == 20


def test_prepared_says_where_somebody_looks_on(
    mine: Mine, pictures: Pictures, caplog: pytest.LogCaptureFixture
) -> None:
    """A driver says it each time, the workers beside it do not."""
    images = files(pictures(6))
    settings = mine([*images, images[0]], [0, 1, 0, 1, 0, 1, 0], [images[1]], [1])
    said: list[list[str]] = []
    for progress in (False, False, True):
        caplog.clear()
        prepared: Prepared = prepare(settings, 8, progress)
        said.append([record.message for record in caplog.records if record.levelno >= logging.WARNING])
    assert said[0] == said[2] == ["1 of 1 test images are also in train, pixel by pixel"]
    assert said[1] == []
    assert prepared.train == 7
