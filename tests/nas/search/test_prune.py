"""Trials that can no longer win are stopped, and the log says which and why."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nas.runs.folder import TRIALS
from nas.runs.log import read_lines

CONFIG = """
space: {name: small, image_size: 8}
image_size: 8
training: {epochs: 9}
algorithm: random
search: {trials: 40, workers: 2, prune: PRUNE, prune_top: 5, evaluator: "learning:evaluate"}
device: cpu
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("prune", ["asha", "bound"])
def test_pruned_trials_are_the_worse_ones(tmp_path, prune):
    """Both ways spare epochs, never stop the best trial, and leave every trial with an answer."""
    (tmp_path / "c.yaml").write_text(CONFIG.replace("PRUNE", prune))
    path = os.pathsep.join([str(Path(__file__).parent / "evaluators"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    command = [sys.executable, "-m", "nas.cli", "search", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    trials = read_lines(tmp_path / "run" / TRIALS)
    assert sorted(t["trial_id"] for t in trials) == list(range(40))
    pruned = [t for t in trials if t["status"] == "pruned"]
    finished = [t for t in trials if t["status"] == "ok"]
    assert pruned
    assert all(len(t["curve"]) == 9 for t in finished)
    assert all(len(t["curve"]) < 9 and t["reward"] is None for t in pruned)
    assert all(t["error"].startswith(f"stopped after epoch {len(t['curve'])}") for t in pruned)

    def slope(trial):  # the final accuracy, by which these candidates differ
        return trial["curve"][-1]["accuracy"] / len(trial["curve"])

    assert max(map(slope, finished)) >= max(map(slope, pruned))
