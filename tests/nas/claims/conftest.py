"""A small search whose winners and baselines are really trained, in a second or so each."""

import pytest

from nas.config.search import parse
from nas.runs.folder import read_config, write_config


@pytest.fixture
def small(run, tmp_path):
    """The run folder of a search whose own training is one epoch of 256 digits."""
    cheap = {
        "data": {"source": "digits", "minival": 0.2, "subset": 256, "cache_dir": str(tmp_path / "cache")},
        "training": {"epochs": 1, "batch_size": 64, "learning_rate": 0.1},
        "step_time": {"min_pairs": 2, "max_pairs": 2, "warmup": 1, "block_pairs": 1, "turn": 1, "lock": False},
        "device": "cpu",
    }
    config = parse(read_config(run) | cheap)
    write_config(run, config.to_dict())
    return run
