"""Plug-ins: a package of the user's brings one of everything, and no file of ours knows it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nas.runs.log import read_lines

PLUGINS = Path(__file__).parents[1] / "experiments" / "plugins"
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "OMP_NUM_THREADS": "1"}


def nas(*arguments, cwd, **environment):
    command = [sys.executable, "-m", "nas.cli", *map(str, arguments)]
    here = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | LOOPBACK | {"PYTHONPATH": here} | environment,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


@pytest.mark.timeout(600)
def test_a_search_of_which_everything_is_a_plug_ins(tmp_path):
    """Op with a hyperparameter, reward, algorithm, data, column and callback, in two worker processes; and read."""
    run = tmp_path / "run"
    done = nas("search", "gratings.yaml", "--out", run, cwd=PLUGINS, NAS_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert "the slowest of 8 trials was" in " ".join(done.stdout.split())
    trials = read_lines(run / "trials.jsonl")
    assert [trial["error"] for trial in trials] == [None] * 8
    assert {trial["proposed_by"].partition(".")[0] for trial in trials} == {"annealing"}
    stages = [stage for trial in trials for stage in trial["architecture"]["stages"]]
    assert any(stage["op"] == "grouped" for stage in stages)
    assert all("options" not in stage for stage in stages if stage["op"] == "mbconv")
    for trial in trials:
        assert trial["reward_name"] == "additive"
        assert trial["reward"] == pytest.approx(trial["accuracy"] - 0.05 * max(0, _log2(trial["s_normalised"] / 0.5)))
        assert 0 < trial["metrics"]["features_mb"] < 1
        assert trial["accuracy"] <= trial["metrics"]["top2"] <= 1
        assert trial["curve"][-1]["metrics"] == {"top2": trial["metrics"]["top2"]}
    # read from elsewhere, with no flag: the run knows its plug-ins
    found = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), str(PLUGINS)])}
    done = nas("pareto", run, "--columns", "accuracy,features_mb", "--format", "json", cwd=tmp_path, **found)
    assert done.returncode == 0, done.stderr
    assert {"features_mb", "stage1_group_width", "stage1_op"} <= json.loads(done.stdout)[0].keys()
    for command in (["best", run], ["report", run], ["scale", run, "--to", "m"], ["status", run]):
        done = nas(*command, cwd=tmp_path, **found)
        assert done.returncode == 0, done.stderr
    # and where the plug-in is not, that is said in one line
    done = nas("best", run, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"plugin 'mylab' of {run} cannot be imported: No module named 'mylab'" in done.stderr


def _log2(value):
    from math import log2

    return log2(value)


CONFIG = """
space: {name: small, image_size: 8}
image_size: 8
algorithm: random
search: {trials: 4, workers: 2, evaluator: "here:evaluate"}
device: cpu
"""


@pytest.mark.timeout(300)
def test_a_worker_that_cannot_import_a_plug_in_ends_the_search_at_once(tmp_path):
    """One line and status 2, not every candidate a failure: the search would silently lose a part of its space."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    (tmp_path / "here.py").write_text(
        "import sys\n"
        "if 'default_worker' in sys.argv[0]: raise ImportError('the library is not on this node')\n"
        "def evaluate(architecture, seed, task, report): return {'status': 'ok', 'accuracy': 0.5, 'reward': 0.5}\n"
    )
    done = nas("search", "c.yaml", "--plugin", "here", "--out", "run", cwd=tmp_path, NAS_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("nas: plugin 'here' cannot be imported: the library is not on this node (on ")
    assert not read_lines(tmp_path / "run" / "trials.jsonl")
    assert "plugins: [here]" in (tmp_path / "run" / "config.yaml").read_text()


def test_a_misspelt_plug_in_is_refused_before_anything_starts(tmp_path):
    """One line, status 2, nothing written."""
    (tmp_path / "c.yaml").write_text("plugins: [no_such_lab]\n" + CONFIG)
    done = nas("search", "c.yaml", "--out", "run", cwd=tmp_path)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith("nas: c.yaml: plugin 'no_such_lab' cannot be imported: No module named 'no_such_lab'")
    assert not (tmp_path / "run").exists()
