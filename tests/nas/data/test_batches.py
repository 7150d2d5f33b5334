"""Batches are the split's images, normalised, in an order that seed and epoch decide alone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.data.batches import Batches
from nas.data.prepare import Prepared, load_split, prepare
from nas.data.settings import AugmentSettings, DataSettings

CPU = torch.device("cpu")
AUGMENT = AugmentSettings(
    crop="pad", flip=True, randaugment_magnitude=8.0, erasing=0.3, mixup_alpha=0.2, cutmix_alpha=1.0
)


def make(prepared: Prepared, split: Any = "train", **settings: Any) -> Batches:
    return Batches(prepared, split, **{"batch_size": 100, "device": CPU, **settings})


def stacked(batches: Iterator[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(labels)


def test_evaluation_sees_every_image_once_in_order(digits: Prepared) -> None:
    """minival and test come whole and in order, the last batch smaller, pixels normalised by mean and deviation."""
    for name in ("minival", "test"):
        batches, split = make(digits, name), load_split(digits, name)
        images, labels = stacked(batches.epoch(0))
        wanted = (split.images[split.indices] / 255 - digits.mean) / digits.std
        assert len(batches) == len(list(batches.epoch(0))) == -(-len(split.labels) // 100)
        assert torch.allclose(images, torch.from_numpy(wanted).float().permute(0, 3, 1, 2), atol=1e-5)
        assert labels.tolist() == split.labels.tolist()
        assert labels.dtype == torch.int64


def test_training_sees_whole_batches_of_distinct_images(digits: Prepared) -> None:
    """An epoch of train is shuffled and drops what does not fill a batch; no image comes twice."""
    batches, split = make(digits), load_split(digits, "train")
    images, labels = stacked(batches.epoch(0))
    assert len(batches) == 12
    assert len(images) == 1200
    assert labels.tolist() != split.labels[:1200].tolist()
    drawn = {image.numpy().tobytes() for image in images}
    known = {image.numpy().tobytes() for image in stacked(make(digits, shuffle=False).epoch(0))[0]}
    assert drawn <= known
    assert len(drawn) == 1200


def test_images_keep_their_labels(digits: Prepared) -> None:
    """Shuffling moves an image and its label together."""
    ordered = stacked(make(digits, shuffle=False).epoch(0))
    label = {image.numpy().tobytes(): int(y) for image, y in zip(*ordered, strict=True)}
    for image, y in zip(*stacked(make(digits).epoch(3)), strict=True):
        assert label[image.numpy().tobytes()] == y


@pytest.mark.parametrize("augment", [None, AUGMENT])
def test_seed_and_epoch_decide(digits: Prepared, augment: AugmentSettings | None) -> None:
    """The same seed and epoch give the same batches, in any order of asking; another of either gives others."""
    first = stacked(make(digits, augment=augment).epoch(2))
    later = make(digits, augment=augment)
    list(later.epoch(5))
    for a, b in zip(first, stacked(later.epoch(2)), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first[0], stacked(make(digits, augment=augment).epoch(3))[0])
    assert not torch.equal(first[0], stacked(make(digits, augment=augment, seed=1).epoch(2))[0])


def test_batches_leave_the_global_generator_alone(digits: Prepared) -> None:
    """Data and weights have streams of their own: drawing batches does not change what a network would be made of."""
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(make(digits, augment=AUGMENT).epoch(0))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("split", ["train", "minival", "test"])
def test_resident_or_mapped_is_the_same(digits: Prepared, split: str) -> None:
    """Where the pixels are kept changes nothing in the batches."""
    augment = AUGMENT if split == "train" else None
    mapped, resident = (stacked(make(digits, split, augment=augment, resident=r).epoch(1)) for r in (False, True))
    assert make(digits).resident is False
    for a, b in zip(mapped, resident, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("augment", [None, AUGMENT])
def test_batches_made_ahead_are_the_same(digits: Prepared, augment: AugmentSettings | None) -> None:
    """A thread that draws, augments and normalises does so in the order of the batches, and no further than two."""
    ahead = make(digits, augment=augment, ahead=True)
    for number in (0, 3):
        for (images, labels), (wanted, wanted_labels) in zip(
            ahead.epoch(number), make(digits, augment=augment).epoch(number), strict=True
        ):
            assert torch.equal(images, wanted)
            assert torch.equal(labels, wanted_labels)


def test_soft_labels_only_where_images_are_mixed(digits: Prepared) -> None:
    """Mixup and CutMix give one weight a class, everything else a class."""
    _, labels = next(make(digits, augment=replace(AUGMENT, mixup_alpha=0, cutmix_alpha=0)).epoch(0))
    assert (labels.shape, labels.dtype) == ((100,), torch.int64)
    _, labels = next(make(digits, augment=AUGMENT).epoch(0))
    assert (labels.shape, labels.dtype) == ((100, 10), torch.float32)
    assert torch.allclose(labels.sum(1), torch.ones(100))


@pytest.mark.parametrize("augment", [None, AUGMENT])
@pytest.mark.parametrize("channels_last", [True, False])
def test_memory_format_and_type(digits: Prepared, channels_last: bool, augment: AugmentSettings | None) -> None:
    """Images are float32 in the memory format asked for, grey and colour."""
    wanted = torch.channels_last if channels_last else torch.contiguous_format
    in_colour = prepare(DataSettings(cache_dir=str(Path(digits.folder).parent), channels=3), 8)
    for prepared in (digits, in_colour):
        images, _ = next(make(prepared, augment=augment, channels_last=channels_last).epoch(0))
        assert images.dtype == torch.float32
        assert images.shape == (100, prepared.channels, 8, 8)
        assert images.is_contiguous(memory_format=wanted)


@pytest.mark.parametrize("augment", [None, AUGMENT])
def test_smaller_images_from_the_same_arrays(digits: Prepared, augment: AugmentSettings | None) -> None:
    """A size below the prepared one is reached on the device, about as bright as before."""
    images, _ = stacked(make(digits, image_size=5, augment=augment).epoch(0))
    assert images.shape == (1200, 1, 5, 5)
    whole, _ = stacked(make(digits, augment=augment).epoch(0))
    assert abs(images.mean() - whole.mean()) < 0.1


@pytest.mark.parametrize(("settings", "message"), [
    ({"image_size": 9}, "image_size 9 is not in 1..8, the size prepared"),
    ({"image_size": 0}, "image_size 0 is not in 1..8"),
    ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ({"batch_size": 1295}, "batch_size 1295 is larger than train, 1294 images"),
])  # fmt: skip
def test_what_cannot_be_batched(digits: Prepared, settings: dict[str, int], message: str) -> None:
    """Sizes that do not fit are refused before training starts."""
    with pytest.raises(ValueError, match=message):
        make(digits, **settings)


def test_wait_is_counted(digits: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the time between asking for a batch and having it counts as waiting for data."""
    now = iter(np.arange(0.0, 1000.0, 0.25))
    monkeypatch.setattr("nas.data.batches.time.perf_counter", lambda: next(now))
    batches = make(digits)
    for _ in batches.epoch(0):
        next(now)  # the consumer takes its time
    assert batches.data_wait_s == pytest.approx(12 * 0.25)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("augment", [None, AUGMENT])
@pytest.mark.parametrize("resident", [True, False])
def test_gpu_batches_are_the_cpus(digits: Prepared, resident: bool, augment: AugmentSettings | None) -> None:
    """Resident or streamed, augmented or not, a GPU gets the same images in the same order as a CPU."""
    on_gpu = make(digits, device=torch.device("cuda", 0), resident=resident, augment=augment)
    for (images, labels), (wanted, wanted_labels) in zip(
        on_gpu.epoch(1), make(digits, augment=augment).epoch(1), strict=True
    ):
        assert (images.cpu() - wanted).abs().max() < (1e-5 if augment is None else 0.02)  # a level, if it rounds so
        assert torch.allclose(labels.cpu(), wanted_labels)
