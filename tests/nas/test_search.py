"""A real search, from the command to the table: real images, real training, real timing, real Ray processes."""

import os
import subprocess
import sys

import pytest

from nas.analysis import load, load_epochs
from search_space.architecture import Architecture
from search_space.cost import count

CONFIG = """
space: {name: small, image_size: 8, stem_stride: 1}
image_size: 8
data: {source: digits, minival: 0.2, cache_dir: CACHE}
training: {epochs: 2, batch_size: 64, learning_rate: 0.4}
step_time: {min_pairs: 8, max_pairs: 8}
algorithm: random
search: {trials: 2, workers: 2, fresh_process: FRESH}
device: cpu
"""


def search(tmp_path, *arguments, fresh=False):
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.replace("CACHE", str(tmp_path / "cache")).replace("FRESH", str(fresh).lower()))
    command = [sys.executable, "-m", "nas.cli", "search", str(config), "--out", str(tmp_path / "run"), *arguments]
    environment = os.environ | {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=170)


@pytest.mark.timeout(300)
def test_a_search_fills_the_log_and_the_same_command_extends_it(tmp_path):
    """Two trials in reused processes, then one more in a fresh one: everything a trial should say is in the table."""
    done = search(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "winner: trial" in done.stdout
    done = search(tmp_path, "--trials", "3", fresh=True)
    assert done.returncode == 0, done.stderr
    assert "2 done before" in done.stderr
    frame = load(tmp_path / "run")
    assert list(frame["trial_id"].sort_values()) == [0, 1, 2]
    assert set(frame["status"]) == {"ok"}
    never_missing = ["accuracy", "loss", "reward", "s_normalised", "s_low", "s_high", "step_time_ms", "forward_ms"]
    never_missing += ["backward_ms", "update_ms", "reference_step_time_ms", "p_normalised", "peak_memory_mb", "wall_s"]
    never_missing += ["started_at", "ended_at", "host", "device_name", "torch_version", "data_fingerprint", "w", "v"]
    assert not [name for name in never_missing if frame[name].isna().any()]
    for _, row in frame.iterrows():
        counts = count(Architecture.from_json(row["architecture"]), 8, num_classes=10, in_channels=1)
        assert (row["params"], row["macs"]) == (counts.params, counts.macs)
        paper = row["accuracy"] * row["s_normalised"] ** -0.07 * row["p_normalised"] ** -0.05
        assert row["reward"] == pytest.approx(paper)
        assert row["s_low"] <= row["s_normalised"] <= row["s_high"]
        assert 0.1 < row["accuracy"] <= 1, "it learned something in two epochs"
    epochs = load_epochs(tmp_path / "run")
    assert len(epochs) == 6
    last = epochs[epochs["epoch"] == 1].set_index("trial_id")["accuracy"]
    assert last.to_dict() == frame.set_index("trial_id")["accuracy"].to_dict()
