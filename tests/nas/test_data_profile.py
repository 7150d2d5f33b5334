"""What loading gives beside what training takes, and what is said of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import nas
from nas.cli import main
from nas.data_profile import DataProfile

ARCH = "r1_k3_s1_e1_i8_o8_c1"
FOUND = DataProfile("jpeg", False, 128, 64, 2, 1000.0, 500.0, 4000.0, True, "a GPU")


def test_which_bounds_which() -> None:
    """Beside a GPU the slower of the two bounds; on a CPU the times add up; what to change has the numbers."""
    assert FOUND.wait_share == pytest.approx(0.75)
    assert FOUND.advice() == (
        "the data bound: waiting for data is 75% of a training; try search.cpus_per_trial: 8 or data.storage: arrays"
    )
    assert replace(FOUND, threads=8).advice().endswith("try a faster disk, or more memory for the images")
    quick = replace(FOUND, loader=5000.0)
    assert (quick.wait_share, quick.advice()) == (0.0, "the step bounds: waiting for data is 0% of a training")
    cpu = replace(FOUND, ahead=False, step=250.0)
    assert cpu.wait_share == pytest.approx(0.2)
    assert cpu.threads_needed == 1
    assert cpu.advice().endswith("try data.storage: arrays, if it fits")


def test_the_command_measures_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`nas profile --data CONFIG` measures both rates of a real training; there is one of it."""
    monkeypatch.setenv("NAS_CACHE", str(tmp_path))
    found = nas.profile_data(nas.load_config("digits"), seconds=1.0)
    assert found.storage == "arrays"
    assert found.loader > found.step > 0
    assert main(["profile", "--data", "digits", "efficientnet_b0", "efficientnet_b1"]) == 2
    assert main(["profile"]) == 2
    assert "an architecture is needed, or --data CONFIG" in capsys.readouterr().err


def test_a_training_is_measured_at_every_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Progressive learning has three sizes here, and each row names the setting that gives a training threads."""
    monkeypatch.setenv("NAS_CACHE", str(tmp_path))
    assert main(["profile", ARCH, "--data", "train_digits", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["image_size"] for row in rows] == [12, 18, 24]
    assert all(row["loader"] > 0 and row["step"] > 0 for row in rows)
    assert {row["threads_setting"] for row in rows} == {"execution.threads"}
    found = nas.profile_training_data(ARCH, "train_digits", seconds=3.0)
    assert [each.batch_size for each in found] == [64, 64, 64]
