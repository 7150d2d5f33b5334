"""Run folders and checkpoints of earlier versions are read, continued, extended, scored anew, scaled and exported.

`tests/data/9b0a34b` was written by that commit; so were the numbers here that are no arithmetic.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import nas
from nas.algorithms import ALGORITHMS
from nas.analysis import load, load_epochs
from nas.cli import main
from nas.config.search import parse
from nas.runs.folder import read_config
from nas.runs.log import read_lines
from nas.search.continuation import as_begun, check_run
from nas.search.ledger import Ledger
from nas.search.warm_start import earlier_trials
from nas.training.checkpoint import load_checkpoint
from search_space.architecture import Architecture

OLD = Path(__file__).parent / "data" / "9b0a34b"


@pytest.fixture
def old(tmp_path):
    """A copy of what the earlier version left, for it is written to."""
    shutil.copytree(OLD, tmp_path / "old")
    return tmp_path / "old"


def test_a_run_is_read_and_scored_anew(old, capsys):
    """Table, curves, best, front, winner, report and another reward's ranking come out of an old log."""
    run = nas.open_run(old / "finished")
    frame = load(old / "finished")
    assert (len(frame), len(load_epochs(old / "finished"))) == (10, 20)
    assert run.best_trial.reward == frame["reward"].max()
    assert run.winner.arch_id == frame.loc[frame["reward"].idxmax(), "arch_id"]
    again = run.best(10, reward="mnasnet_hard", settings={"beta": -1.0})
    row = again.iloc[0]
    assert row["reward"] == pytest.approx(row["accuracy"] * min(1.0, 1 / row["s_normalised"]))
    assert 0 < len(run.pareto()) <= 10
    assert "<svg" in (text := run.report(old / "r.html").read_text()) or "<img" in text
    for command in ("status", "trials", "best", "pareto", "pareto --hypervolume"):
        name, *options = command.split()
        assert main([name, str(old / "killed"), *options, "--format", "json"]) == 0
        assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "killed",
            [(6, "2e6148cce4b2", 11), (7, "d2b3650a59d4", 12), (8, "e34bf322f32f", 13), (9, "d1c824156e5a", 14)],
        ),
        ("finished", [(10, "f01f80389129", 10), (11, "1594e251f694", 11), (12, "0ba8f1413c95", 12)]),
    ],
)
def test_an_old_log_replayed_proposes_what_it_would_have_then(old, name, expected):
    """What was in flight runs again and the algorithm goes on where it was: the log is the search."""
    config = parse(read_config(old / name))
    check_run(old / name, config)
    settings = config.algorithm
    algorithm = ALGORITHMS[settings.name](config.space, settings.seed, **settings.settings)
    ledger = Ledger(
        old / name, algorithm, run_id="r", seed=config.seed, seeding=config.seeding, trials=14, max_attempts=3
    )
    next_ones = [ledger.next_candidate() for _ in expected]
    assert [(c.trial_id, c.proposal.architecture.arch_id, c.seed) for c in next_ones] == expected
    ledger.close()


def test_an_old_run_keeps_its_reference(old):
    """Its file names none, and today's for its space is another: S and P stay in the units of the trials it has."""
    recorded = read_config(old / "killed")
    left_open = parse({name: value for name, value in recorded.items() if name != "reference"})
    assert left_open.reference != Architecture.from_dict(recorded["reference"])
    with pytest.raises(ValueError, match="reference"):
        check_run(old / "killed", left_open)
    for config in (as_begun(old / "killed", left_open), as_begun(old / "new", left_open, [old / "killed"])):
        assert config.reference == Architecture.from_dict(recorded["reference"])
    check_run(old / "killed", as_begun(old / "killed", left_open))
    assert earlier_trials([old / "killed"], as_begun(old / "new", left_open, [old / "killed"]))
    named = parse({**recorded, "reference": "efficientnet_b0"})
    assert as_begun(old / "killed", named).reference == named.reference, "what a file names is compared, as ever"


@pytest.mark.timeout(300)
def test_a_killed_search_goes_on_and_is_extended(old, monkeypatch):
    """The same folder, with the configuration it has or with the file it was started from."""
    environment = os.environ | {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "OMP_NUM_THREADS": "1",
        "NAS_CACHE": str(old / "cache"),
    }
    command = [sys.executable, "-m", "nas.cli", "search", str(old / "killed" / "config.yaml")]
    command += ["--out", str(old / "killed"), "--trials", "13"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    trials = read_lines(old / "killed" / "trials.jsonl")
    assert sorted(trial["trial_id"] for trial in trials) == list(range(13))
    assert {trial["run_id"] for trial in trials} == {json.loads((OLD / "killed" / "run.json").read_text())["run_id"]}
    assert trials[:6] == read_lines(OLD / "killed" / "trials.jsonl")
    assert {trial["trial_id"]: trial["seed"] for trial in trials} == {number: 5 + number for number in range(13)}
    assert read_config(old / "killed")["seeding"] == 1, "its seeds are drawn as they were"


def test_a_changed_setting_is_still_refused(old, capsys):
    """What an old configuration did not write has its default; what differs from it is named."""
    text = (old / "killed" / "config.yaml").read_text().replace("ema_decay: 0.9,", "ema_decay: 0.8,")
    (old / "c.yaml").write_text(text)
    assert main(["search", str(old / "c.yaml"), "--out", str(old / "killed")]) == 2
    assert "training.ema_decay: 0.9 -> 0.8" in capsys.readouterr().err


def test_an_old_winner_is_scaled(old, capsys):
    """Step times are estimated from the old log."""
    assert main(["scale", str(old / "finished"), "--to", "m,l", "--out", str(old / "family"), "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["size"] for row in rows] == ["start", "m", "l"]
    assert rows[0]["step_time"] == pytest.approx(1)
    assert rows[1]["step_time"] < rows[2]["step_time"]
    assert (old / "family" / "m.yaml").exists()


def test_an_old_training_goes_on_to_the_weights_it_would_have_had(old, monkeypatch, capsys):
    """Two of four epochs were done: accuracy and loss after the fourth are those that the earlier version came to."""
    monkeypatch.setenv("NAS_CACHE", str(old / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        arguments = ["train", str(old / "arch.json"), str(old / "train.yaml"), "--out", str(old / "trained"), "--test"]
        assert main(arguments) == 0
    finally:
        torch.set_num_threads(threads)
    result = json.loads((old / "trained" / "result.json").read_text())
    assert (result["status"], result["epochs_done"]) == ("ok", 4)
    assert result["loss"] == pytest.approx(2.6258277893066406, rel=1e-3)
    assert result["accuracy"] == pytest.approx(0.10416666666666667, abs=0.011)
    assert result["test"]["loss"] == pytest.approx(2.622275094800009, rel=1e-3)
    assert len(read_lines(old / "trained" / "metrics.jsonl")) == 4
    assert load_checkpoint(old / "trained" / "last.pt")[1]["config"]["seeding"] == 1, "streams go on as they began"


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # loading what was exported
def test_an_old_checkpoint_is_exported(old, capsys):
    """Weights, architecture and recipe of the checkpoint."""
    assert main(["export", str(old / "trained"), "--to", "json,torchscript", "--out", str(old / "out")]) == 0
    record = json.loads((old / "out" / "model.json").read_text())
    assert record["recipe"]["training"]["epochs"] == 4
    images = torch.rand(2, record["in_channels"], 16, 16)
    assert torch.jit.load(old / "out" / "model.torchscript.pt")(images).shape == (2, 10)
