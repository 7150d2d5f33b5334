"""Images kept as JPEGs are the same pictures, cut alike, as images kept decoded."""

import io
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nas.data import storage
from nas.data.augment import augment
from nas.data.batches import Batches
from nas.data.crops import random_boxes
from nas.data.cut_jpegs import boxes_ahead, pool_of
from nas.data.jpegs import DamagedRecord, Jpegs
from nas.data.prepare import JpegSplit, Prepared, load_jpegs, load_split, prepare
from nas.data.settings import READERS, AugmentSettings, DataSettings
from nas.data.sources.records import Encoded, Images, Source
from nas.training.device import threads_limited

CPU = torch.device("cpu")
SIZE = 32
CROPS = AugmentSettings(crop="resized", flip=True)
ALL = replace(CROPS, randaugment_magnitude=9.0, randaugment_policy="official", erasing=0.5, mixup_alpha=0.2,
              cutmix_alpha=1.0)  # fmt: skip


def photograph(width: int, height: int, seed: int) -> Image.Image:
    """Smooth colours: what JPEG keeps."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataSettings:
    """Photographs of several shapes and kinds, one turned by its camera, one grey."""
    turned, large = Image.Exif(), photograph(700, 460, 40)
    turned[0x0112] = 6
    contents: list[Encoded] = [encoded(photograph(120 + 3 * i, 90 + i, i), "PNG") for i in range(20)]
    contents += [encoded(photograph(90, 150, 30 + i), "JPEG", quality=92) for i in range(8)]
    contents += [encoded(large, "JPEG", quality=90), encoded(large, "JPEG", quality=90, exif=turned)]
    contents += [encoded(photograph(90, 90, 50).convert("L"), "JPEG"), np.asarray(photograph(100, 110, 60))]
    labels = np.arange(32) % 2

    class Reader:
        def identity(self, settings: DataSettings) -> dict[str, Any]:
            return {}

        def read(self, settings: DataSettings, scratch: Path, progress: bool) -> Source:
            def part(some: list[Encoded]) -> Images:
                return Images(labels[: len(some)], lambda start, stop: some[start:stop], lambda i: f"picture {i}")

            return Source(2, None, part(contents), part(contents[:6]))

    monkeypatch.setitem(READERS, "mine", Reader())
    return DataSettings("mine", cache_dir=str(tmp_path / "cache"), minival=6)


def both(data: DataSettings, frame_size: int | None, **settings: Any) -> tuple[Prepared, Prepared]:
    settings = {"jpeg_quality": 95} | settings
    as_arrays = prepare(replace(data, storage="arrays"), SIZE, frame_size=frame_size)
    return as_arrays, prepare(replace(data, storage="jpeg", **settings), SIZE, frame_size=frame_size)


def stacked(batches: Iterator[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    images, labels = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(labels)


def made(prepared: Prepared, split: Any, augment: AugmentSettings | None, **how: Any) -> tuple[Tensor, Tensor]:
    batches = Batches(prepared, split, **{"batch_size": 8, "device": CPU, "augment": augment, "seed": 3} | how)
    return stacked(batches.epoch(1))


@pytest.mark.parametrize("augment", [CROPS, AugmentSettings(crop="pad", flip=True), ALL], ids=["crops", "pad", "all"])
@pytest.mark.parametrize("frame", [80, None], ids=["whole", "centres"])
@pytest.mark.parametrize("image_size", [SIZE, 24])
def test_batches_are_the_same_pictures(
    data: DataSettings, frame: int | None, augment: AugmentSettings, image_size: int
) -> None:
    """The same seed gives the same crops, labels and augmentation of the same images, whichever way they are kept."""
    of_arrays, of_jpegs = both(data, frame)
    assert (of_arrays.frame_size, of_jpegs.frame_size) == (frame, frame)
    assert (of_arrays.train, of_arrays.test) == (of_jpegs.train, of_jpegs.test)
    ours, theirs = (made(each, "train", augment, image_size=image_size) for each in (of_jpegs, of_arrays))
    assert torch.equal(ours[1], theirs[1])
    assert ours[0].shape == theirs[0].shape == (24, 3, image_size, image_size)
    difference = (ours[0] - theirs[0]).abs().flatten(1).mean(1)  # in deviations of the images
    if augment is not ALL:  # which raises the contrast of some, and so of what is left of their noise
        assert difference.max() < 0.2
    assert difference.median() < 0.08
    other = made(of_jpegs, "train", augment, image_size=image_size, seed=4)[0]
    assert (other - ours[0]).abs().mean() > 0.5


@pytest.mark.parametrize("frame", [80, None])
def test_evaluation_sees_the_same_centres(data: DataSettings, frame: int | None) -> None:
    """minival and test are the same centres, in the same order; mean and deviation are the same."""
    of_arrays, of_jpegs = both(data, frame)
    assert of_jpegs.mean == pytest.approx(of_arrays.mean, abs=0.005)
    assert of_jpegs.std == pytest.approx(of_arrays.std, abs=0.005)
    for split in ("minival", "test"):
        ours, theirs = (made(each, split, None) for each in (of_jpegs, of_arrays))
        assert torch.equal(ours[1], theirs[1])
        assert (ours[0] - theirs[0]).abs().flatten(1).mean(1).max() < 0.2


def test_shapes_are_those_of_arrays_whatever_size_is_kept(data: DataSettings) -> None:
    """Crops are drawn by the same shapes, to the last bit, also where JPEGs are kept larger, smaller or as they are."""
    wanted = load_split(prepare(replace(data, storage="arrays"), SIZE, frame_size=80), "train").aspects
    for change in ({}, {"jpeg_size": 40}, {"jpeg_size": 400}, {"jpeg_quality": None}):
        found = load_jpegs(prepare(replace(data, storage="jpeg", **change), SIZE, frame_size=80), "train").aspects
        assert wanted is not None
        assert found is not None
        assert np.array_equal(found, wanted)


def kept(split: JpegSplit) -> list[Image.Image]:
    return [Image.open(io.BytesIO(split.images.read(i))) for i in range(len(split.images))]


def test_what_is_kept(data: DataSettings) -> None:
    """The shorter side is what was asked for, or the image's own; JPEG files stay as they are if asked to."""
    source = READERS["mine"].read(data, Path(), False).train.read(0, 32)
    small = kept(load_jpegs(prepare(replace(data, storage="jpeg", jpeg_size=64), SIZE, frame_size=80), "train"))
    assert {min(image.size) for image in small} == {64}
    assert [image.size for image in small[28:30]] == [(97, 64), (64, 97)]  # the other turned upright
    assert max(image.size[0] for image in small[:20]) < 120
    large = kept(load_jpegs(prepare(replace(data, storage="jpeg", jpeg_size=9999), SIZE, frame_size=80), "train"))
    assert [image.size for image in large[:3]] == [(120, 90), (123, 91), (126, 92)]
    own = load_jpegs(prepare(replace(data, storage="jpeg", jpeg_quality=None), SIZE, frame_size=80), "train").images
    assert [own.read(i) == source[i] for i in range(20, 31)] == [True] * 9 + [False, True]  # one has to be turned


def test_storage_is_part_of_the_fingerprint(data: DataSettings) -> None:
    """Arrays have the fingerprint they always had; each way of making JPEGs has its own."""
    ways = [{"storage": "arrays"}, {"storage": "jpeg"}, {"storage": "jpeg", "jpeg_quality": 50}]
    found = [prepare(replace(data, **way), SIZE).fingerprint for way in ways]  # type: ignore[arg-type]
    assert len(set(found)) == 3
    assert prepare(replace(data, jpeg_quality=50, storage="arrays"), SIZE).fingerprint == found[0]


def test_a_damaged_record_is_named(data: DataSettings) -> None:
    """One byte that changed on the disk is an error that names the image and its file, and no picture."""
    prepared = prepare(replace(data, storage="jpeg"), SIZE)
    split = load_jpegs(prepared, "train")
    number = int(split.indices[5])
    with split.images.file.open("r+b") as file:
        file.seek(int(split.images.index[number]["offset"]) + 200)
        byte = file.read(1)
        file.seek(-1, io.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    batches = Batches(prepared, "train", batch_size=26, device=CPU, threads=3)
    with pytest.raises(
        DamagedRecord, match=rf"image {number} of .*train_images.jpegs is damaged: its checksum is wrong"
    ):
        next(batches.epoch(0))


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing(data: DataSettings, threads: int) -> None:
    """However many threads decode, the batches are the same, also when the decoder is far ahead."""
    prepared = prepare(replace(data, storage="jpeg"), SIZE, frame_size=80)
    assert torch.equal(made(prepared, "train", ALL, threads=threads)[0], made(prepared, "train", ALL, threads=2)[0])


def test_each_thread_computes_alone() -> None:
    """Threads that decode have no team of threads each, and leave others with as many as they had."""
    with threads_limited(3):
        pool = pool_of(2)
        assert set(pool.map(lambda _: torch.get_num_threads(), range(8))) == {1}
        with ThreadPoolExecutor(1) as later:
            assert (torch.get_num_threads(), later.submit(torch.get_num_threads).result()) == (3, 3)


def test_boxes_ahead_are_those_that_augmentation_draws() -> None:
    """What is drawn before an augmentation is what it draws, batch after batch, at any size."""
    generator, ahead = (torch.Generator().manual_seed(5) for _ in range(2))
    shapes = [torch.rand(n) + 0.5 for n in (16, 16, 9)]
    states = []
    for _, aspects in zip(boxes_ahead(iter(shapes), ALL, 80, ahead), shapes, strict=True):
        states.append(ahead.get_state())
        images = torch.randint(0, 256, (len(aspects), 3, 48, 48), dtype=torch.uint8)
        probe = torch.Generator()
        probe.set_state(generator.get_state())
        random_boxes(aspects, 80, ALL, probe)
        assert torch.equal(states[-1], probe.get_state())
        augment(images, torch.zeros(len(aspects), dtype=torch.int64), ALL, generator, 10, 48, aspects)


def test_auto_is_arrays_as_long_as_there_is_room(
    data: DataSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Small sets are the arrays they always were; large ones JPEGs; what is there already is used."""
    caplog.set_level("INFO")
    as_arrays = prepare(data, SIZE)
    assert as_arrays == prepare(replace(data, storage="arrays"), SIZE)
    monkeypatch.setattr(storage, "ARRAYS_AT_MOST", 1000)
    assert prepare(data, SIZE) == as_arrays
    assert "JPEG" not in caplog.text
    as_jpegs = prepare(data, 24)
    assert as_jpegs.storage == "jpeg"
    assert "images are kept as JPEGs: decoded they would take 6.57e-05 GB, more than 1e-06 GB" in caplog.text
    monkeypatch.setattr(storage, "ARRAYS_AT_MOST", 1e9)
    assert prepare(data, 24) == as_jpegs == prepare(replace(data, storage="jpeg"), 24)


def test_a_small_disk_makes_it_jpegs(data: DataSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays that would take more than half of what is free are not made."""
    usage = shutil.disk_usage(data.cache.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=150_000))
    assert prepare(data, SIZE).storage == "jpeg"


def test_wide_images_need_a_range(data: DataSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is white must be known when a JPEG is made; with a range it is the one given."""
    values = [np.full((40, 40), value, np.uint16) for value in (0, 1000, 3000, 4000)]
    train = Images(np.array([0, 1, 0, 1]), lambda start, stop: values[start:stop], lambda i: f"picture {i}")
    monkeypatch.setattr(READERS["mine"], "read", lambda *_: Source(2, None, train, None))
    wide = replace(data, storage="jpeg", minival=0)
    with pytest.raises(ValueError, match=r"cannot read picture \d: has more than 8 bits: .* needs data.value_range"):
        prepare(wide, SIZE)
    split = load_jpegs(prepare(replace(wide, value_range=(0, 4095)), SIZE), "train")
    assert [int(np.asarray(image).mean()) >> 4 for image in kept(split)] == [0, 3, 11, 15]


def test_callers_that_need_arrays_say_so(data: DataSettings) -> None:
    """Whoever asks for decoded arrays of images kept as JPEGs is told what to set."""
    with pytest.raises(ValueError, match=r"kept as JPEGs; set data\.storage to arrays"):
        load_split(prepare(replace(data, storage="jpeg"), SIZE), "train")


@pytest.mark.parametrize(("change", "message"), [
    ({"storage": "tfrecord"}, "unknown storage 'tfrecord'; known: auto, arrays, jpeg"),
    ({"jpeg_size": 0}, "jpeg_size must be at least 1 pixel or null, got 0"),
    ({"jpeg_quality": 96}, r"jpeg_quality must be in \[1, 95\] or null, got 96"),
])  # fmt: skip
def test_wrong_settings(change: dict[str, Any], message: str) -> None:
    """A value outside what is allowed is refused with it."""
    with pytest.raises(ValueError, match=message):
        DataSettings(**change)


def test_files_are_closed_with_their_owner(data: DataSettings) -> None:
    """Opening a split again and again keeps no file open."""
    prepared = prepare(replace(data, storage="jpeg"), SIZE)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        assert len(Jpegs(load_jpegs(prepared, "train").images.file)) == 32
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2
