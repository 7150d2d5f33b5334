"""Settings refuse what cannot be meant, in one line that names the value."""

from pathlib import Path
from typing import Any

import pytest

from nas.data.settings import AugmentSettings, DataSettings


@pytest.mark.parametrize(("given", "message"), [
    ({"source": "imagenet"}, "unknown source 'imagenet'; known: digits, hf, folder, idx, parquet"),
    ({"source": "folder"}, "source folder needs a path"),
    ({"path": "x"}, "source digits has no path, got 'x'"),
    ({"source": "hf", "path": "cifar10", "test_path": "y"}, "test_split"),
    ({"channels": 2}, "channels must be 1, 3 or null, got 2"),
    ({"subset": 0}, "subset must be at least 1"),
    ({"minival": -0.1}, "minival must be a share below 1 or a whole number of images, got -0.1"),
    ({"minival": 1.5}, "got 1.5"),
    ({"minival": float("nan")}, "got nan"),
    ({"value_range": (255, 0)}, r"value_range must be two numbers, black < white, or null, got \(255, 0\)"),
    ({"value_range": (0, float("inf"))}, "value_range must be two numbers"),
    ({"seed": -1}, "seed must be at least 0"),
])  # fmt: skip
def test_bad_data_settings(given: dict[str, Any], message: str) -> None:
    """A wrong data setting is told at once, before anything is read."""
    with pytest.raises(ValueError, match=message):
        DataSettings(**given)


@pytest.mark.parametrize(("given", "message"), [
    ({"crop": "center"}, "unknown crop 'center'; known: none, pad, resized"),
    ({"randaugment_policy": "v1"}, "known: increasing, official"),
    ({"randaugment_magnitude": 31}, r"randaugment_magnitude must be in \[0, 30\], got 31"),
    ({"erasing": 1.2}, r"erasing must be in \[0, 1\], got 1.2"),
    ({"mixup_alpha": -1}, "mixup_alpha"),
    ({"cutmix_alpha": float("inf")}, "cutmix_alpha"),
    ({"crop_scale": (0.5, 0.2)}, "crop_scale must be two numbers"),
    ({"crop_scale": (0.5, 1.2)}, "high <= 1"),
    ({"crop_ratio": (0.0, 1.0)}, "crop_ratio"),
])  # fmt: skip
def test_bad_augment_settings(given: dict[str, Any], message: str) -> None:
    """A wrong augmentation setting is told at once, with what is allowed."""
    with pytest.raises(ValueError, match=message):
        AugmentSettings(**given)


def test_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting goes before the environment, and that before the home folder; workers elsewhere find it too."""
    monkeypatch.delenv("NAS_CACHE", raising=False)
    assert DataSettings().cache == Path.home() / ".cache/training-aware-nas"
    monkeypatch.setenv("NAS_CACHE", "/scratch/nas")
    assert DataSettings().cache == Path("/scratch/nas")
    assert DataSettings(cache_dir="/mine").cache == Path("/mine")
    assert DataSettings(cache_dir="here").cache == Path.cwd() / "here"
