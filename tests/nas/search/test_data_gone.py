"""A search whose prepared data set is removed: no candidate is blamed for it, and none prepares it in its own time."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from nas.runs.folder import read_trials

ROOT = Path(__file__).parents[3]


@pytest.mark.timeout(300)
def test_a_search_whose_data_are_removed_ends_and_goes_on(tmp_path):
    """It says what is gone and what to do; what had finished is in the log, and the same command prepares again."""
    config = {
        "space": {"name": "small", "image_size": 8},
        "image_size": 8,
        "data": {"minival": 0.2, "subset": 128, "cache_dir": "cache"},
        "training": {"epochs": 1, "batch_size": 64},
        "step_time": {"min_pairs": 2, "max_pairs": 2},
        "search": {"trials": 40, "workers": 1},
        "device": "cpu",
    }
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "nas.cli", "search", "search.yaml", "--out", "run"]
    at = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}, "text": True}
    log = tmp_path / "run" / "trials.jsonl"
    with subprocess.Popen(command, stderr=subprocess.PIPE, **at) as search:
        while search.poll() is None and not (log.exists() and log.read_bytes().count(b"\n")):
            time.sleep(0.05)
        shutil.rmtree(tmp_path / "cache")
        said = search.communicate(timeout=200)[1]
    assert search.returncode == 2, said
    last = said.splitlines()[-1]
    assert f"the data prepared for this are gone from {tmp_path}/cache; the same command prepares them again" in last
    before = read_trials(tmp_path / "run")
    assert {trial.status for trial in before} == {"ok"}
    done = subprocess.run([*command, "--trials", str(len(before) + 1)], capture_output=True, check=False, **at)
    assert done.returncode == 0, done.stderr
    after = read_trials(tmp_path / "run")
    assert after[: len(before)] == before
    assert [trial.status for trial in after] == ["ok"] * (len(before) + 1)
