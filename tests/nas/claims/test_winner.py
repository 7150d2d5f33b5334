"""A run's winner is trained in full without a recipe: as the search trained, three times as long."""

import json
import re

import pytest

import nas
from nas.architectures import find_architecture
from nas.cli import main
from search_space import yaml_text


def test_the_winner_is_trained_on_the_runs_data(small, tmp_path, monkeypatch, capsys):
    """What the run says holds; the command line goes before it. The same call in Python goes on with it."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(small)]) == 0
    [folder] = (tmp_path / "runs").iterdir()
    winner = find_architecture(small)
    assert folder.name == f"{small.name}-{winner.arch_id}"
    trained = yaml_text.load((folder / "train.yaml").read_text())
    assert trained["training"]["epochs"] == 3
    assert trained["training"]["batch_size"] == 64
    assert (trained["data"]["source"], trained["data"]["subset"]) == ("digits", 256)
    assert trained["image_size"] == trained["eval_image_size"] == 16
    accuracy = json.loads((folder / "result.json").read_text())["accuracy"]
    assert nas.train(small, folder=folder, progress=False).accuracy == accuracy
    capsys.readouterr()
    assert main(["train", str(small), "--epochs", "7", "--dry-run"]) == 0
    assert re.search(r"\b7 epochs", capsys.readouterr().out)
    assert main(["train", str(small), "--epochs", "4", "--progressive", "s", "--dry-run"]) == 0
    assert re.search(r"^evaluation +300 px$", capsys.readouterr().out, re.MULTILINE), "where the training ends"


@pytest.mark.parametrize("arch", ["efficientnet_b0", "r1_k3_s1_e1_i8_o8_c1"])
def test_what_is_no_run_needs_a_recipe(tmp_path, monkeypatch, capsys, arch):
    """One line that says so; nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", arch]) == 2
    assert "Give a training's configuration; only a run has one" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]
