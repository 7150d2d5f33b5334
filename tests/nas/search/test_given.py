"""What may be given as the configuration of a search."""

from nas.config.search import parse
from nas.runs.folder import create
from nas.search.given import config_of, is_run

CONFIG = {"space": {"name": "small"}, "image_size": 32, "training": {"epochs": 7}}


def test_a_run_folder_is_told_from_a_file_and_from_settings(tmp_path):
    """By the configuration in it: a folder without one, a file and a mapping are no run."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "config.txt").write_text("")
    create(tmp_path / "run", parse(CONFIG).to_dict())
    assert is_run(tmp_path / "run")
    assert is_run(str(tmp_path / "run"))
    for given in (tmp_path / "empty", tmp_path / "config.txt", tmp_path / "missing", CONFIG, parse(CONFIG)):
        assert not is_run(given)


def test_the_same_configuration_from_python_a_file_and_a_run(tmp_path):
    """A Config, what a file would hold, the file, and the run folder that it was written to."""
    config = parse(CONFIG)
    (tmp_path / "c.yaml").write_text("space: {name: small}\nimage_size: 32\ntraining: {epochs: 7}\n")
    create(tmp_path / "run", config.to_dict())
    assert config_of(config) is config
    for given in (CONFIG, tmp_path / "c.yaml", str(tmp_path / "c.yaml"), tmp_path / "run"):
        assert config_of(given).to_dict() == config.to_dict()
