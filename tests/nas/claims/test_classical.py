"""Classifiers without a network see what candidates see, and say what they come to."""

import json
from pathlib import Path

import numpy as np
import pytest

import nas
from nas.cli import main
from nas.data.prepare import load_split, prepare
from rewards.uncertainty import accuracy_error

CONFIG = """
space: {name: small}
image_size: 8
data: {source: digits, minival: 0.2}
training: {epochs: 1, batch_size: 32}
device: cpu
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "search.yaml"
    file.write_text(CONFIG)
    return file


def test_each_learns_the_digits(config: Path) -> None:
    """All three come to what is published of them on the digits, well above a guess, and say how sure that is."""
    told = []
    found = nas.classical_baselines(nas.load_config(config), image_size=8, test=True, threads=1, say=told.append)
    assert found == told
    assert [each.method for each in found] == ["random_forest", "linear_svm", "gradient_boosting"]
    prepared = prepare(nas.load_config(config).data, 8)
    for each in found:
        assert 0.9 < each.accuracy <= 1
        assert 0.9 < (each.test_accuracy or 0) <= 1
        assert each.accuracy_se == accuracy_error(each.accuracy, prepared.minival)
        assert (each.train_images, each.features) == (prepared.train, 64)
        assert each.fit_s > 0


def test_the_search_s_minival_judges(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accuracy is of the images that candidates are judged on, learnt from those that they learn from."""
    seen = {}

    class Recording:
        def fit(self, pixels: np.ndarray, labels: np.ndarray) -> None:
            seen["fit"] = pixels, labels

        def predict(self, pixels: np.ndarray) -> np.ndarray:
            seen["predict"] = pixels
            return np.zeros(len(pixels), np.int64)

    monkeypatch.setitem(nas.claims.classical.CLASSICAL, "recording", lambda seed, threads: Recording())
    found = nas.classical_baselines(nas.load_config(config), ["recording"])
    prepared = prepare(nas.load_config(config).data, 8)
    train, minival = load_split(prepared, "train"), load_split(prepared, "minival")
    assert np.array_equal(seen["fit"][0], train.images[train.indices].reshape(-1, 64) / np.float32(255))
    assert np.array_equal(seen["fit"][1], train.labels)
    assert np.array_equal(seen["predict"], minival.images[minival.indices].reshape(-1, 64) / np.float32(255))
    assert found[0].accuracy == pytest.approx((minival.labels == 0).mean())
    assert found[0].test_accuracy is None


def test_the_command(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`nas baseline` prints a row a classifier, for people or for programs; equal seeds give equal accuracies."""
    assert main(["baseline", str(config), "--methods", "linear_svm", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert main(["baseline", str(config), "--methods", "linear_svm"]) == 0
    printed = capsys.readouterr().out
    assert f"{row['accuracy']:.4f}" in printed
    assert all(len(line) <= 80 for line in printed.splitlines())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "forest"], "unknown method 'forest'; known: random_forest, linear_svm, gradient_boosting"),
        (["--threads", "0"], "must be a whole number >= 1"),
    ],
)
def test_what_is_wrong_is_one_line(
    config: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that is none, or a number out of range, ends with status 2 before anything is decoded."""
    try:
        status = main(["baseline", str(config), *arguments])
    except SystemExit as end:
        status = end.code
    error = capsys.readouterr().err
    assert status == 2
    assert message in error
    assert len(error.splitlines()) == 1


def test_without_minival(config: Path) -> None:
    """A search that is judged on nothing cannot judge these."""
    config.write_text(CONFIG.replace("minival: 0.2", "minival: 0"))
    with pytest.raises(ValueError, match="no minival"):
        nas.classical_baselines(nas.load_config(config), ["linear_svm"])
