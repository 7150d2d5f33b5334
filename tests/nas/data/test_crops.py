"""Crops lie where the standard pipeline's do in the images as they were, and are as sharp as if cut out of the file."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torch import Tensor

from nas.data import crops
from nas.data.augment import augment, centres
from nas.data.batches import Batches
from nas.data.prepare import load_split, prepare
from nas.data.settings import AugmentSettings, DataSettings

RESIZED = AugmentSettings(crop="resized")
SHAPES = [(400, 300), (200, 300), (300, 300), (900, 150), (150, 900)]  # width, height
N = 20_000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def standard_box(
    rng: np.random.Generator, width: int, height: int, settings: AugmentSettings = RESIZED
) -> tuple[int, int, int, int]:
    """Top, left, height and width as the usual RandomResizedCrop draws them, image by image."""
    low, high = (math.log(bound) for bound in settings.crop_ratio)
    for _ in range(10):
        area = rng.uniform(*settings.crop_scale) * width * height
        ratio = math.exp(rng.uniform(low, high))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    ratio = min(max(width / height, settings.crop_ratio[0]), settings.crop_ratio[1])
    w, h = (width, round(width / ratio)) if width / height < ratio else (round(height * ratio), height)
    return (height - h) // 2, (width - w) // 2, h, w


def drawn_boxes(width: int, height: int, size: int, settings: AugmentSettings = RESIZED, n: int = N) -> Tensor:
    """(4, n) top, left, height and width in the image as it was, float64."""
    boxes = crops.random_boxes(torch.full((n,), width / height), size, settings, generator())
    return boxes.double() * torch.tensor([height, width, height, width])[:, None] / size


@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_boxes_are_those_of_the_standard_pipeline(width: int, height: int) -> None:
    """Area, ratio and place have the standard pipeline's distribution in images of every shape, long ones included."""
    rng = np.random.default_rng(0)
    theirs = np.array([standard_box(rng, width, height) for _ in range(N)], dtype=float).T
    ours = drawn_boxes(width, height, 3000).numpy()
    for mine, usual in zip(facts(ours, width, height), facts(theirs, width, height), strict=True):
        assert stats.wasserstein_distance(mine, usual) < 0.01


def facts(boxes: Any, width: int, height: int) -> tuple[Any, ...]:
    """Share of the area, ratio and where the centre is, each from 0 to about 1."""
    top, left, tall, wide = boxes
    return tall * wide / (width * height), wide / tall, (top + tall / 2) / height, (left + wide / 2) / width


@pytest.mark.parametrize("size", [8, 500])
@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_boxes_lie_in_the_image_with_the_asked_shares(width: int, height: int, size: int) -> None:
    """Boxes are whole pixels inside the square, never empty; areas and ratios keep to what is asked, to a pixel."""
    settings = AugmentSettings(crop="resized", crop_scale=(0.1, 0.6), crop_ratio=(0.5, 2.0))
    top, left, tall, wide = crops.random_boxes(torch.full((N,), width / height), size, settings, generator())
    assert min(top.min(), left.min()) >= 0
    assert min(tall.min(), wide.min()) >= 1
    assert max((top + tall).max(), (left + wide).max()) <= size
    if size > 8:
        share, ratio = tall * wide / size**2, wide / tall * width / height
        assert share.min() > 0.098
        assert share.max() < 0.602
        assert ratio.min() > 0.48
        assert ratio.max() < 2.06


def test_an_image_too_long_for_any_box_gives_its_middle() -> None:
    """Where nothing fits, the largest part of an allowed ratio about the centre is taken, as usual."""
    settings = AugmentSettings(crop="resized", crop_scale=(0.9, 1.0))
    for width, height in ((900, 150), (150, 900)):
        top, left, tall, wide = drawn_boxes(width, height, 900, settings, 50)
        assert torch.allclose(tall, torch.tensor(150.0 if width > height else 200.0).double(), atol=1)
        assert torch.allclose(wide, torch.tensor(200.0 if width > height else 150.0).double(), atol=1)
        assert torch.allclose(top + tall / 2, torch.tensor(height / 2).double(), atol=1)
        assert torch.allclose(left + wide / 2, torch.tensor(width / 2).double(), atol=1)


def photograph(width: int, height: int, seed: int) -> Image.Image:
    """A picture as fine as photographs are: amplitudes that fall with frequency, down to the single pixel."""
    rng = np.random.default_rng(seed)
    down, along = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    falling = 1 / np.maximum(np.hypot(down, along), 1 / max(width, height))
    planes = [np.fft.ifft2(np.fft.fft2(rng.normal(size=(height, width))) * falling).real for _ in range(3)]
    scaled = [(plane - plane.mean()) / plane.std() * 50 + 128 for plane in planes]
    return Image.fromarray(np.stack(scaled, -1).clip(0, 255).astype(np.uint8))


def sharpness(images: Tensor) -> float:
    """Mean absolute Laplacian of images (N, H, W, C)."""
    x = images.double()
    around = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
    return (4 * x[:, 1:-1, 1:-1] - around).abs().mean().item()


@pytest.fixture
def folder(tmp_path: Path) -> DataSettings:
    """Photographs of three shapes, each a class."""
    for name, shape in (("wide", (400, 300)), ("tall", (200, 300)), ("square", (250, 250))):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(12):
            photograph(*shape, seed=i).save(tmp_path / "images" / name / f"{i:02}.png")
    return DataSettings("folder", str(tmp_path / "images"), cache_dir=str(tmp_path / "cache"), minival=6)


@pytest.mark.parametrize("size", [48, 96])
def test_crops_are_as_sharp_as_if_cut_out_of_the_file(folder: DataSettings, size: int) -> None:
    """A training batch has the sharpness of the standard pipeline's, cut out of the files, within a few per cent."""
    prepared = prepare(folder, size, frame_size=RESIZED.frame_size(size))
    batches = Batches(prepared, "train", batch_size=30, device=torch.device("cpu"), augment=RESIZED, image_size=size)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (prepared.mean, prepared.std))
    ours = [(images * std + mean) * 255 for epoch in range(20) for images, _ in batches.epoch(epoch)]
    rng, files = np.random.default_rng(0), sorted(Path(folder.path).rglob("*.png"))
    theirs = []
    for i in range(600):
        with Image.open(files[i % len(files)]) as image:
            top, left, height, width = standard_box(rng, *image.size)
            part = image.crop((left, top, left + width, top + height)).resize((size, size), Image.Resampling.BILINEAR)
        theirs.append(torch.from_numpy(np.array(part)))
    ratio = sharpness(torch.cat(ours).permute(0, 2, 3, 1)) / sharpness(torch.stack(theirs))
    assert 0.93 < ratio < 1.05


def test_whole_images_are_kept_with_their_shape(folder: DataSettings) -> None:
    """The sides of an image are in its square, and its aspect beside it, in every split."""
    prepared = prepare(folder, 48, frame_size=RESIZED.frame_size(48))
    assert (prepared.image_size, prepared.frame_size) == (48, 120)
    for name in ("train", "minival"):
        split = load_split(prepared, name)
        assert split.images.shape[1:] == (120, 120, 3)
        wanted = np.array([1.0, 2 / 3, 4 / 3])[split.labels]  # square, tall, wide
        assert split.aspects == pytest.approx(wanted)
    with Image.open(Path(folder.path) / "wide" / "00.png") as image:
        wanted = np.asarray(image.resize((120, 120), Image.Resampling.LANCZOS))
    split = load_split(prepared, "train")
    assert any(np.array_equal(kept, wanted) for kept in split.images)


def test_evaluation_sees_the_centre(folder: DataSettings) -> None:
    """Evaluation and other crops get the middle square, as from arrays of centres, but for a second resize."""
    whole, middle = prepare(folder, 48, frame_size=120), prepare(folder, 48)
    assert (middle.frame_size, load_split(middle, "train").aspects) == (None, None)
    assert whole.fingerprint != middle.fingerprint
    splits = load_split(whole, "minival"), load_split(middle, "minival")
    ours = centres(torch.from_numpy(splits[0].images[splits[0].indices]), torch.from_numpy(splits[0].aspects), 48)
    theirs = torch.from_numpy(splits[1].images[splits[1].indices])
    assert (ours.double() - theirs).abs().mean() < 5  # levels, of 50 that the pictures deviate
    padded, _ = augment(
        torch.from_numpy(splits[0].images).permute(0, 3, 1, 2),
        torch.zeros(36),
        AugmentSettings(),
        None,
        3,
        48,
        torch.from_numpy(np.load(Path(whole.folder) / "train_aspects.npy")),
    )
    assert torch.equal(padded[splits[0].indices].permute(0, 2, 3, 1), ours)


def test_no_image_is_kept_larger_than_it_is(folder: DataSettings) -> None:
    """Squares end at what nine tenths of the images reach, unless more is wanted: more would hold nothing more."""
    assert prepare(folder, 48, frame_size=2000).frame_size == 400
    assert prepare(folder, 420, frame_size=2000).frame_size == 420
    assert prepare(folder, 16, frame_size=40).frame_size == 40


@pytest.mark.parametrize("resident", [False, True])
def test_batches_keep_images_and_shapes_together(folder: DataSettings, resident: bool) -> None:
    """Shuffled or shared, each image is cropped by its own shape: what lies outside of the file is never shown."""
    prepared = prepare(folder, 48, frame_size=120)
    settings: dict[str, Any] = {"device": torch.device("cpu"), "augment": RESIZED, "resident": resident}
    whole = Batches(prepared, "train", batch_size=10, **settings)
    seen = []
    original = crops.random_boxes

    def spy(aspects: Tensor, *rest: Any) -> Tensor:
        seen.append(aspects)
        return original(aspects, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crops, "random_boxes", spy)
        labels = [labels for _, labels in whole.epoch(0)]
    assert torch.allclose(torch.cat(seen), torch.tensor([1.0, 2 / 3, 4 / 3])[torch.cat(labels)])


def test_the_setting_goes_before(folder: DataSettings) -> None:
    """`decode_size` keeps whole images for any crop, at the size it says."""
    assert prepare(replace(folder, decode_size=64), 48).frame_size == 64
    assert prepare(replace(folder, decode_size=64), 48, frame_size=120).frame_size == 64
    with pytest.raises(ValueError, match="decode_size must be at least 1 pixel or null, got 0"):
        DataSettings(decode_size=0)


def test_command_and_trial_prepare_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`nas data prepare`, the driver and a trial's worker decode whole images for resized crops, once for all."""
    import nas
    from nas.cli import main

    record = {
        "space": {"name": "small", "image_size": 8, "stem_stride": 1}, "image_size": 8,
        "data": {"source": "digits", "subset": 64, "cache_dir": str(tmp_path / "cache")},
        "augment": {"crop": "resized"},
        "training": {"epochs": 1, "batch_size": 32}, "step_time": {"min_pairs": 2, "max_pairs": 2}, "device": "cpu",
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(json.dumps(record))
    assert main(["data", "prepare", str(tmp_path / "config.yaml")]) == 0
    said = capsys.readouterr().out
    config = nas.search_config(**record)
    trial = nas.evaluate(config.reference, config)
    assert "8 px, of whole images at 8" in said
    assert trial.status == "ok"
    assert f"fingerprint  {trial.data_fingerprint}" in said
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 1
