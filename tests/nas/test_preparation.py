"""Data prepared ahead are those that a search, or a training, asks for."""

import nas
from nas.architectures import find_architecture
from nas.cli import main
from nas.config.search import load_config
from nas.config.train import load_training
from nas.data import chunks
from nas.data.prepare import prepare_for_search
from nas.full_training.data import prepare_for_training

ARCH = "r1_k3_s1_e1_i8_o8_c1"


def born(folder):
    return folder.stat().st_mtime_ns


def test_a_search_and_a_training_find_what_was_prepared_for_them(tmp_path, monkeypatch):
    """The sizes of a training follow from its schedule, those of a search from its configuration."""
    monkeypatch.setenv("NAS_CACHE", str(tmp_path))
    assert main(["data", "prepare", "digits"]) == 0
    assert main(["data", "prepare", "train_digits", "--arch", ARCH]) == 0
    first, second = (folder.name for folder in sorted(tmp_path.iterdir(), key=born) if folder.is_dir())
    assert first != second
    monkeypatch.setattr(chunks, "make_chunk", lambda *_: 1 / 0)
    assert prepare_for_search(load_config("digits")).folder.endswith(first)
    assert prepare_for_training(load_training("train_digits", find_architecture(ARCH), {})).folder.endswith(second)
    assert nas.prepare_data("digits").folder.endswith(first)


def test_a_configuration_of_a_training_needs_an_architecture(tmp_path, monkeypatch, capsys):
    """Without one it is no configuration of a search: one line."""
    monkeypatch.setenv("NAS_CACHE", str(tmp_path))
    assert main(["data", "prepare", "train_digits"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
