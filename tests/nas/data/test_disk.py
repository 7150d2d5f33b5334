"""A dry run says what decoded images will take."""

import doctest
from dataclasses import replace

import pytest

from nas.cli import main
from nas.data import disk, storage
from nas.data.disk import disk_use, short_bytes
from nas.data.settings import AugmentSettings, DataSettings

IMAGENET = DataSettings("hf", "ILSVRC/imagenet-1k", storage="arrays")


def test_bytes_of_whole_images_and_of_centres() -> None:
    """Whole images for resized crops, 5/2 of the training size; else centres; times the images where they are known."""
    frames = AugmentSettings(crop="resized").frame_size(96)
    assert frames == 240
    assert AugmentSettings(crop="pad").frame_size(96) is None
    assert disk_use(IMAGENET, 128, frames) == "whole images at 240 px or less: 173 kB each, 221 GB for 1,281,167"
    assert disk_use(IMAGENET, 128, None) == "centres at 128 px: 49.2 kB each, 63 GB for 1,281,167"
    assert disk_use(IMAGENET, 384, frames).startswith("whole images at 384 px or less: ")
    assert disk_use(replace(IMAGENET, decode_size=500), 128, None).startswith(
        "whole images at 500 px or less: 750 kB each"
    )
    assert disk_use(DataSettings("folder", "x", channels=1), 100, None) == "centres at 100 px: 10 kB each"


def test_large_sets_are_jpegs(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` says why it is JPEGs, and about how much they take; of an unknown number of images it says arrays."""
    monkeypatch.setattr(disk, "free_bytes", lambda _: 10**12)
    imagenet = replace(IMAGENET, storage="auto")
    said = disk_use(imagenet, 128, 240)
    assert said.startswith("JPEGs, for whole images at 240 px or less, quality 90: about 27.6 kB each, 35.4 GB for 1,2")
    assert said.endswith("; decoded they would take 221 GB, more than 50 GB")
    assert "centres at 32 px: 3.07 kB each, 3.94 GB" in disk_use(imagenet, 32, None)
    assert disk_use(DataSettings("folder", "x"), 384, 960).startswith("whole images at 960 px or less: 2.76 MB each")
    chosen = replace(imagenet, storage="jpeg", jpeg_size=256, jpeg_quality=None)
    assert disk_use(chosen, 128, 240) == (
        "JPEGs, for whole images at 240 px or less, shorter side 256 px or less, JPEG files as they are: about 43.7 kB "
        "each, 56 GB for 1,281,167"
    )
    half = disk_use(replace(chosen, jpeg_quality=70, channels=1), 128, 240)
    assert "about 13.4 kB each" in half  # three quarters of 87,381 pixels at 0.204 bytes


def test_what_is_chosen() -> None:
    """The doctests."""
    assert doctest.testmod(storage).failed == 0


def test_units() -> None:
    """Three digits and the unit that suits them."""
    assert [short_bytes(n) for n in (64, 6400, 5e8, 2e9, 3e12)] == ["64 B", "6.4 kB", "500 MB", "2 GB", "3 TB"]


@pytest.mark.parametrize("command", [
    ["search", "experiments/configs/efficientnetv2_s.yaml"],
    ["train", "efficientnetv2_s", "experiments/configs/train/train_efficientnetv2_s.yaml"],
])  # fmt: skip
def test_dry_runs_print_it(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is decoded, `nas search` and `nas train` say how much room it takes."""
    assert main([*command, "--dry-run"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "whole images at 480 px or less" in said or "whole images at 750 px or less" in said
    assert " for 1,281,167" in said
