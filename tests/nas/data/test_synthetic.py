"""Made-up images are a data set like any other, without files."""

from pathlib import Path

import numpy as np
import pytest

from nas.data.prepare import load_split, prepare
from nas.data.settings import DataSettings


def test_as_many_as_asked_for(tmp_path: Path) -> None:
    """Images, classes, size and test split are what the options say; the same again, and classes can be told apart."""
    options = {"images": 60, "test": 12, "classes": 3, "size": 20}
    settings = DataSettings("synthetic", options=options, minival=6, cache_dir=str(tmp_path))
    prepared = prepare(settings, 20)
    assert (prepared.train, prepared.minival, prepared.test, prepared.num_classes) == (54, 6, 12, 3)
    train, test = load_split(prepared, "train"), load_split(prepared, "test")
    assert train.images.shape == (60, 20, 20, 3)
    assert len({image.tobytes() for part in (train, test) for image in part.images}) == 72
    means = [train.images[train.indices][train.labels == label].mean((0, 1, 2)) for label in range(3)]
    guessed = [np.argmin([np.abs(image.mean((0, 1)) - mean).sum() for mean in means]) for image in test.images]
    assert guessed == test.labels.tolist()
    elsewhere = DataSettings("synthetic", options=options, minival=6, cache_dir=str(tmp_path / "other"))
    assert prepare(elsewhere, 20).fingerprint == prepared.fingerprint


@pytest.mark.parametrize(("options", "message"), [
    ({"image": 5}, "unknown option of source synthetic: 'image'.*did you mean 'images'"),
    ({"classes": 1}, r"data\.options\.classes must be a whole number of at least 2, got 1"),
    ({"size": 2.5}, r"data\.options\.size must be a whole number of at least 1, got 2.5"),
])  # fmt: skip
def test_wrong_options(options: dict[str, float], message: str, tmp_path: Path) -> None:
    """An option that is not known or out of range is refused, and what is known said."""
    with pytest.raises(ValueError, match=message):
        prepare(DataSettings("synthetic", options=options, cache_dir=str(tmp_path)), 8)
    with pytest.raises(ValueError, match="source synthetic has no path, got 'x'"):
        DataSettings("synthetic", "x")
