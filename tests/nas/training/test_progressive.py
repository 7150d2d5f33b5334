"""Progressive learning: algorithm 1's arithmetic, the published presets, and a real training that progresses."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nas.data.batches import Batches
from nas.data.prepare import prepare
from nas.data.settings import AugmentSettings, DataSettings
from nas.training.progressive import PRESETS, Strengths, at, augmented, stage, stage_batch_size, stages
from nas.training.settings import ProgressiveSettings, TrainSettings
from nas.training.train import Progression, train

RAMPS = ("image_size", "randaugment_magnitude", "mixup_alpha", "cutmix_alpha", "dropout", "drop_path")

# arXiv:2104.00298, table 6: (image size, RandAugment magnitude, Mixup alpha, dropout), each from start to end.
TABLE_6 = {
    "s": ((128, 300), (5, 15), (0, 0), (0.1, 0.3)),
    "m": ((128, 380), (5, 20), (0, 0.2), (0.1, 0.4)),
    "l": ((128, 380), (5, 25), (0, 0.5), (0.1, 0.5)),
}


@pytest.mark.parametrize("model", TABLE_6)
def test_the_papers_presets_are_table_6(model: str) -> None:
    """First and last stage of each paper preset have the published values."""
    settings = PRESETS[f"paper_{model}"]
    for index, end in ((0, 0), (settings.stages - 1, 1)):
        given_ = stage(settings, index)
        size, magnitude, mixup, dropout = TABLE_6[model]
        assert given_.image_size == size[end]
        assert given_.randaugment_magnitude == magnitude[end]
        assert given_.mixup_alpha == mixup[end]
        assert given_.dropout == dropout[end]
        assert (given_.cutmix_alpha, given_.drop_path) == (0, 0.2)
    assert settings.stages == 4


@pytest.mark.parametrize(
    ("model", "size", "magnitude", "mix"), [("s", 300, 10, 0), ("m", 384, 15, 0.2), ("l", 384, 20, 0.5)]
)
def test_the_official_presets_follow_the_official_formula(model: str, size: int, magnitude: int, mix: float) -> None:
    """Every stage has the size the official loop computes, 128 + (end - 128) * (i + 1) / M cut to whole pixels."""
    settings = PRESETS[f"official_{model}"]
    for index in range(4):
        given_ = stage(settings, index)
        assert given_.image_size == int(128 + (size - 128) * float(index + 1) / 4.0)
        assert given_.randaugment_magnitude == pytest.approx(5 + (magnitude - 5) * index / 3)
        assert given_.mixup_alpha == given_.cutmix_alpha == pytest.approx(mix * index / 3)
        assert given_.dropout == {"s": 0.2, "m": 0.3, "l": 0.4}[model]


def test_a_stage_between_is_interpolated_linearly() -> None:
    """The second of four stages lies a third of the way, for every regularisation and for the image size."""
    settings = ProgressiveSettings(4, (100, 130), (5, 8), (0, 0.3), (0.3, 0), (0.1, 0.4), (0, 0.3))
    second = stage(settings, 1)
    assert second.image_size == 110
    values = [getattr(second, name) for name in RAMPS[1:]]
    assert values == pytest.approx([6, 0.1, 0.2, 0.2, 0.1])


def test_one_stage_is_plain_training_at_the_end_values() -> None:
    """A single stage trains at the final size and strength, as without progression."""
    only = stage(ProgressiveSettings(stages=1), 0)
    assert (only.image_size, only.dropout) == (300, 0.3)


@given(st.integers(1, 12), st.integers(1, 400))
def test_stages_share_the_epochs(count: int, epochs: int) -> None:
    """Stages begin in order from epoch 0, differ by at most one epoch in length, and agree with `at` in every epoch."""
    settings = ProgressiveSettings(stages=count, image_size=(100, 100 + 10 * count))
    plan = stages(settings, epochs)
    firsts = [epoch for epoch, _ in plan]
    assert firsts[0] == 0
    assert len(plan) == min(count, epochs)
    lengths = [b - a for a, b in zip(firsts, [*firsts[1:], epochs], strict=True)]
    assert max(lengths) - min(lengths) <= 1
    for epoch in range(epochs):
        current = [strengths for first, strengths in plan if first <= epoch][-1]
        assert at(settings, epoch / epochs) == current


@given(st.floats(0, 1, exclude_max=True))
def test_strength_never_falls_as_training_goes_on(progress: float) -> None:
    """With published presets a later stage is never smaller or less regularised than the first."""
    for settings in PRESETS.values():
        first, now = at(settings, 0), at(settings, progress)
        assert all(getattr(now, name) >= getattr(first, name) for name in RAMPS)


@pytest.mark.parametrize("progress", [-0.1, 1.0, float("nan")])
def test_progress_outside_of_the_training_is_refused(progress: float) -> None:
    """A loop that counts wrongly hears of it."""
    with pytest.raises(ValueError, match="progress"):
        at(ProgressiveSettings(), progress)


def test_batches_grow_while_images_are_small() -> None:
    """Pixels per batch stay within the last stage's, the factor within what was allowed, and 1 changes nothing."""
    settings = ProgressiveSettings(stages=3, image_size=(100, 200), batch_growth=3)
    sizes = [stage_batch_size(100, stage(settings, index)) for index in range(3)]
    assert sizes == [296, 176, 100]  # 3 (not 4) and (200 / 150)^2 = 1.78 times 100, in multiples of 8
    fixed = ProgressiveSettings(stages=3, image_size=(100, 200))
    assert [stage_batch_size(100, stage(fixed, index)) for index in range(3)] == [100, 100, 100]


def test_augmentation_takes_the_stages_strengths() -> None:
    """A stage changes RandAugment, Mixup and CutMix and leaves the crop and flip of the recipe."""
    recipe = AugmentSettings(crop="pad", flip=True, randaugment_magnitude=9, mixup_alpha=1.0)
    changed = augmented(recipe, stage(PRESETS["official_m"], 3))
    assert (changed.crop, changed.flip) == ("pad", True)
    assert (changed.randaugment_magnitude, changed.mixup_alpha, changed.cutmix_alpha) == (15, 0.2, 0.2)


def test_a_network_learns_while_sizes_grow(make_network: Callable[[], nn.Module], digits: Callable) -> None:
    """Digits from 5 to 8 pixels: each stage has its size, batch, rate and dropout; weights carry over, so it learns."""
    settings = ProgressiveSettings(3, (5, 8), dropout=(0.0, 0.2), drop_path=(0.0, 0.0), batch_growth=2)
    _, eval_batches = digits(64)
    network = make_network()
    seen: list[tuple[int, float]] = []

    def batches(strengths: Strengths) -> object:
        made, _ = digits(stage_batch_size(64, strengths))
        made.images = nn.functional.interpolate(made.images, strengths.image_size, mode="bilinear", antialias=True)
        seen.append((made.batch_size, network.dropout.p))
        return made

    progression = Progression(lambda progress: at(settings, progress), batches)  # type: ignore[arg-type]
    plain = TrainSettings(epochs=6, batch_size=64, learning_rate=0.4, warmup_epochs=0, schedule="constant")
    result = train(network, progression, eval_batches, plain)
    assert result.status == "ok"
    assert [epoch["image_size"] for epoch in result.curve] == [5, 5, 6, 6, 8, 8]
    assert [size for size, _ in seen] == [128, 112, 64]
    assert [epoch["learning_rate"] for epoch in result.curve] == pytest.approx([0.2, 0.2, 0.175, 0.175, 0.1, 0.1])
    assert network.dropout.p == 0.2
    assert result.accuracy is not None
    assert result.accuracy > 0.8


def test_the_learning_rate_goes_on_over_a_change_of_batch(digits: Callable) -> None:
    """With growing batches the cosine is that of the epochs: half of the (scaled) peak half-way."""
    settings = ProgressiveSettings(2, (4, 8), dropout=(0, 0), drop_path=(0, 0), batch_growth=4)
    _, eval_batches = digits(64)
    network = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4, 10))
    progression = Progression(
        lambda progress: at(settings, progress),
        lambda strengths: digits(stage_batch_size(56, strengths))[0],
    )
    plain = TrainSettings(epochs=4, batch_size=56, warmup_epochs=0, learning_rate=1.0)
    result = train(network, progression, eval_batches, plain)
    last_of_epoch_1 = (
        0.5 * (1 + torch.cos(torch.tensor(torch.pi * (12 - 1) / 24)).item()) * 224 / 256
    )  # 6 steps an epoch
    last_of_epoch_2 = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * (75 - 1) / 100)).item()) * 56 / 256  # 25 steps
    rates = [epoch["learning_rate"] for epoch in result.curve]
    assert rates[1:3] == pytest.approx([last_of_epoch_1, last_of_epoch_2], rel=1e-5)


def test_prepared_data_progresses(make_network: Callable[[], nn.Module], tmp_path: Path) -> None:
    """The toolkit's own batches give each stage its image size and augmentation, mixed (soft) labels included."""
    prepared = prepare(DataSettings(cache_dir=str(tmp_path)), 8)
    settings = ProgressiveSettings(2, (4, 8), (0, 3), (0, 0.5), (0, 0), (0, 0), (0, 0))
    recipe = AugmentSettings(crop="pad")
    device = torch.device("cpu")
    label_shapes = []

    def batches(strengths: Strengths) -> Batches:
        made = Batches(
            prepared,
            "train",
            batch_size=400,
            device=device,
            augment=augmented(recipe, strengths),
            image_size=strengths.image_size,
        )
        label_shapes.append(next(made.epoch(0))[1].shape)
        return made

    progression = Progression(lambda progress: at(settings, progress), batches)
    evaluation = Batches(prepared, "minival", batch_size=400, device=device)
    result = train(make_network(), progression, evaluation, TrainSettings(epochs=2, batch_size=400))
    assert result.status == "ok"
    assert [epoch["image_size"] for epoch in result.curve] == [4, 8]
    assert label_shapes == [(400,), (400, 10)]
