"""Configurations that come along go by their names, wherever the toolkit is installed."""

from pathlib import Path

import pytest

import nas
from nas.cli import main
from nas.config.examples import example_configs, find_config
from nas.config.search import load_config
from nas.config.train import load_training
from search_space.families import published

CONFIGS = Path(__file__).parents[3] / "experiments" / "configs"


@pytest.mark.parametrize("name", sorted(example_configs("search")))
def test_each_configuration_of_a_search_is_read_by_its_name(name, tmp_path, monkeypatch):
    """From any folder, and it is the one of experiments/configs."""
    monkeypatch.chdir(tmp_path)
    assert load_config(name).space == load_config(CONFIGS / f"{name}.yaml").space


@pytest.mark.parametrize("name", sorted(example_configs("train")))
def test_each_configuration_of_a_training_is_read_by_its_name(name, tmp_path, monkeypatch):
    """As `nas train` reads it."""
    monkeypatch.chdir(tmp_path)
    architecture = published("efficientnet_b0")
    assert (
        load_training(name, architecture, {}).training
        == load_training(CONFIGS / "train" / f"{name}.yaml", architecture, {}).training
    )


def test_a_path_goes_before_a_name(tmp_path, monkeypatch):
    """A file of that name is what is meant; a folder is none, and does not hide the name."""
    monkeypatch.chdir(tmp_path)
    Path("cifar10_cpu").mkdir()
    assert find_config("cifar10_cpu", "search") == example_configs()["cifar10_cpu"]
    Path("digits").write_text("mine")
    assert find_config("digits", "search") == Path("digits")
    assert find_config("lacking.yaml", "search") == Path("lacking.yaml"), "who reads it says that it is not there"
    assert find_config("train_digits", "train").read_text() == (CONFIGS / "train" / "train_digits.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["search", "digitz"],
            "nas: no configuration 'digitz': neither a file nor one that comes along: "
            "cifar10_cpu, cifar10_search, cifar10_table, digits, efficientnetv2_s, fashion_mnist (docs: start)\n",
        ),
        (
            ["train", "efficientnet_b0", "digits"],
            "nas: no configuration 'digits': it is of a search; of a training come along: "
            "train_cifar10_cpu, train_digits, train_efficientnetv2_s, train_fashion_mnist, train_imagenet_sgd "
            "(docs: start)\n",
        ),
        (["configs", "digitz"], "nas: no configuration 'digitz'; did you mean 'digits'? (docs: start)\n"),
    ],
)
def test_an_unknown_name_is_one_line_with_those_there_are(arguments, message, tmp_path, monkeypatch, capsys):
    """Status 2, and no run folder is made."""
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert capsys.readouterr() == ("", message)
    assert list(tmp_path.iterdir()) == []


def test_they_are_listed_and_printed(capsys):
    """In 80 columns, each with what it is; one that is printed is the file, to be changed."""
    assert main(["configs"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert all(f"\n  {name}\n      " in out for name in nas.example_configs())
    assert "scikit-learn's handwritten" in out
    assert main(["configs", "digits"]) == 0
    assert capsys.readouterr().out == (CONFIGS / "digits.yaml").read_text()
