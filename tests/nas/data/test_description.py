"""What is found out of a data set by looking at it."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image
from PIL import Image as Pillow

from nas.data.description import describe_data
from nas.data.settings import DataSettings


def test_a_folder_of_classes(write_folder, pictures):
    """Classes, their images, sizes and colour; what tools left is no class."""
    folder = write_folder({"cat": pictures(3, 20), "dog": pictures(5, 40, seed=1)})
    (folder / ".DS_Store").touch()
    found = describe_data(folder)
    assert (found.class_names, found.counts, found.test) == (("cat", "dog"), (3, 5), 0)
    assert (found.channels, found.sizes) == (3, (20, 40, 40))
    assert (found.settings.source, found.settings.path) == ("folder", str(folder))
    assert found.lines()["classes"] == "2: from 3 (cat) to 5 (dog) each"


@pytest.mark.parametrize("given", ["", "seg_train", "seg_train/.."])
def test_splits_are_found(write_folder, pictures, given):
    """One folder around it all, or the training split alone: the test split is found beside it."""
    for split, n in (("seg_train", 4), ("seg_test", 2)):
        folder = write_folder({"a": pictures(n, mode="L"), "b": pictures(n, mode="L", seed=1)}, name=f"all/{split}")
    found = describe_data(folder.parent / given)
    assert (found.images, found.test, found.channels) == (8, 4, 1)
    assert ".." not in found.settings.path


def test_a_parquet_file_whose_columns_have_names_of_their_own(tmp_path, pictures):
    """Images and classes are found by what the columns hold; a test file lies beside."""
    features = Features({"id": ClassLabel(names=["x"]), "img": Image(), "fine_label": ClassLabel(names=["p", "q"])})
    features.pop("id")
    for split, n in (("train", 6), ("test", 4)):
        rows = {"img": pictures(n, 12), "fine_label": [i % 2 for i in range(n)]}
        Dataset.from_dict(rows, features=features).to_parquet(tmp_path / f"{split}-00000-of-00001.parquet")
    for given in (tmp_path, tmp_path / "train-00000-of-00001.parquet"):
        found = describe_data(given)
        assert (found.settings.image_column, found.settings.label_column) == ("img", "fine_label")
        assert (found.images, found.test, found.class_names, found.sizes[1]) == (6, 4, ("p", "q"), 12)


def test_settings_are_taken_as_they_are():
    """Whoever knows what reads the data says so."""
    assert describe_data(DataSettings()).settings == DataSettings()
    assert describe_data({"source": "digits", "minival": 0.2}).settings.minival == 0.2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("none", "no data set 'none'"),
        ("a.png", "a.png is no data set"),
        ("one", "fewer than two classes"),
        ("owner/none/deep", "no data set"),
    ],
)
def test_what_is_no_data_set_is_one_line(tmp_path, monkeypatch, given, message):
    """It says what is wrong."""
    (tmp_path / "one" / "class").mkdir(parents=True)
    Pillow.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    Pillow.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "one" / "class" / "a.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message) as refused:
        describe_data(given)
    assert "\n" not in str(refused.value)
