"""`nas train --seeds`: a folder a seed, one summary."""

import json
from statistics import mean, stdev

import pytest

from nas.cli import main
from search_space import yaml_text

ARCH = "r1_k3_s1_e1_i8_o8_c1,r1_k3_s2_e2_i8_o16"


@pytest.fixture
def recipe(tmp_path):
    """One epoch of 256 digits."""
    record = {
        "data": {"source": "digits", "minival": 0.2, "subset": 256, "cache_dir": str(tmp_path / "cache")},
        "training": {"epochs": 1, "batch_size": 64, "learning_rate": 0.1},
        "image_size": 8,
        "device": "cpu",
        "seed": 5,
    }
    (tmp_path / "recipe.yaml").write_text(yaml_text.dump(record))
    return str(tmp_path / "recipe.yaml")


def test_one_command_trains_a_folder_a_seed_and_sums_up(recipe, tmp_path, capsys, without_ray):
    """Seeds follow the configuration's; with more of them those that are new are trained; mean and error are plain."""
    out = tmp_path / "out"
    assert main(["train", ARCH, recipe, "--seeds", "2", "--out", str(out)]) == 0
    without_ray.clear()
    assert main(["train", ARCH, recipe, "--seeds", "3", "--out", str(out), "--test"]) == 0
    assert len(without_ray) == 3  # two are tested, one is trained
    summary = json.loads((out / "seeds.json").read_text())
    results = [json.loads((out / f"seed-{seed}" / "result.json").read_text()) for seed in (5, 6, 7)]
    accuracies = [result["test"]["accuracy"] for result in results]
    assert (summary["seeds"], summary["accuracies"], summary["metric"]) == ([5, 6, 7], accuracies, "test")
    assert summary["mean"] == pytest.approx(mean(accuracies))
    assert summary["se"] == pytest.approx(stdev(accuracies) / 3**0.5)
    assert f"mean test accuracy {mean(accuracies):.4f} ±" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "2", "--workers", "2"], "--seeds trains several side by side, --workers one by several"),
        (["--parallel", "2"], "--parallel says how many of --seeds are trained at once"),
    ],
)
def test_what_does_not_go_together_is_one_line(recipe, tmp_path, capsys, arguments, message):
    """Exit status 2, nothing written."""
    assert main(["train", ARCH, recipe, "--out", str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
