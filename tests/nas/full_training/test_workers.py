"""`nas train --workers 2`: two real processes under Ray Train, joined by torch.distributed, and really killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from nas.cli import main
from nas.full_training.train import train
from nas.training.checkpoint import load_checkpoint
from search_space import yaml_text
from tests.trainings import curve

ARCH = "r1_k3_s1_e1_i8_o8_c1,r1_k3_s2_e2_i8_o16_se0.25"
EPOCHS = 5


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """No dropout and no augmentation: their random numbers are each worker's own."""
    folder = tmp_path_factory.mktemp("workers")
    record = {
        "data": {"source": "digits", "minival": 0.2, "cache_dir": str(folder / "cache")},
        "training": {
            "epochs": EPOCHS,
            "batch_size": 64,
            "micro_batch": 32,
            "optimizer": "rmsprop",
            "learning_rate": 0.01,
            "ema_decay": 0.9,
            "drop_path": 0.0,
            "dropout": 0.0,
        },
        "image_size": 16,
        "eval_image_size": 16,
        "device": "cpu",
    }
    (folder / "config.yaml").write_text(yaml_text.dump(record))
    return folder / "config.yaml"


@pytest.fixture(scope="module")
def by_two(config):
    """The folder of a training by two workers that nothing disturbed."""
    folder = config.parent / "by_two"
    process = start(config, folder, "--test")
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    return folder


def start(config, folder, *arguments):
    command = [sys.executable, "-m", "nas.cli", "train", ARCH, config, "--out", folder, "--workers", "2", *arguments]
    return subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def told_steps(folder):
    """The steps that TensorBoard shows of a training: it is told by the command, not by the workers."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [event.step for event in events.Scalars("train_loss")]


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


def workers_of(process):
    """The processes that train below `process`."""
    parents, names = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            names[int(entry.name)] = (entry / "cmdline").read_text()
        except OSError:
            continue

    def below(pid):
        while pid in parents and pid != process.pid:
            pid = parents[pid]
        return pid == process.pid

    return sorted(pid for pid, name in names.items() if "RayTrainWorker" in name and below(pid))


@pytest.mark.timeout(500)
def test_two_workers_learn_what_one_does(config, by_two, tmp_path):
    """Two workers with half a batch each take the steps of one with the whole, in micro-batches of half.

    Their gradients differ by rounding alone. Batch norm's running statistics take one step where micro-batches take
    two: early accuracies may differ, later ones hardly.
    """
    assert main(["train", ARCH, str(config), "--out", str(tmp_path / "one"), "--test"]) == 0
    one, two = (load_checkpoint(folder / "last.pt")[0] for folder in (tmp_path / "one", by_two))
    for name, weight in one.network.items():
        if name.endswith((".weight", ".bias")):
            torch.testing.assert_close(
                two.network[name], weight, rtol=0.01, atol=0.002, msg=lambda m, n=name: f"{n}: {m}"
            )
    for mine, theirs in zip(curve(tmp_path / "one"), curve(by_two), strict=True):
        assert theirs["train_loss"] == pytest.approx(mine["train_loss"], rel=0.002)
        assert theirs["learning_rate"] == mine["learning_rate"]
    assert theirs["accuracy"] == pytest.approx(mine["accuracy"], abs=0.03)
    tests = [json.loads((folder / "result.json").read_text())["test"] for folder in (tmp_path / "one", by_two)]
    assert tests[0]["images"] == tests[1]["images"] == 359
    assert tests[1]["accuracy"] == pytest.approx(tests[0]["accuracy"], abs=0.03)
    about = load_checkpoint(by_two / "last.pt")[1]
    assert about["provenance"]["device_name"].startswith("2 x ")


@pytest.mark.timeout(500)
def test_a_killed_worker_and_a_killed_command_change_nothing(config, by_two, tmp_path):
    """Whoever of them dies, the training goes on from its checkpoint to the very numbers of an undisturbed one."""
    folder = tmp_path / "killed"
    process = start(config, folder)
    metrics = folder / "metrics.jsonl"
    wait_for(lambda: metrics.exists() and metrics.read_text().count("\n") >= 1)
    os.kill(workers_of(process)[-1], signal.SIGKILL)
    wait_for(lambda: metrics.read_text().count("\n") >= 3 or process.poll() is not None)
    assert process.poll() is None, process.communicate()[0]
    process.kill()
    process.communicate()
    done = metrics.read_text().count("\n")
    assert done < EPOCHS, "killed too late to prove anything"
    again = start(config, folder)
    output, _ = again.communicate(timeout=400)
    assert again.returncode == 0, output
    assert curve(folder) == curve(by_two)
    assert told_steps(folder) == list(range(1, EPOCHS + 1)), "callbacks heard of each epoch once"
    kept, undisturbed = (load_checkpoint(path / "last.pt")[0] for path in (folder, by_two))
    assert all(torch.equal(kept.weights[name], weight) for name, weight in undisturbed.weights.items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "3"], "a batch of 64 cannot be shared evenly by 3 workers"),
        (["--workers", "32"], "32 workers need 32 CPUs, but Ray has"),
        (["--workers", "64"], "training.batch_size must be at least 128 for 64 workers"),
    ],
)
def test_workers_that_cannot_be_had_are_one_line(config, tmp_path, capsys, arguments, message):
    """What the user can fix is one line and exit status 2."""
    try:
        status = main(["train", ARCH, str(config), "--out", str(tmp_path / "run"), *arguments])
    except SystemExit as stop:
        status = stop.code
    error = capsys.readouterr().err
    assert status == 2
    assert message in error
    assert "Traceback" not in error


@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore")  # of Ray's own modules
def test_workers_import_the_plug_ins_or_the_training_ends_at_once(config, tmp_path, monkeypatch):
    """A plug-in that can be imported here but not in the workers is one line that names it and the host."""
    (tmp_path / "driver_only.py").touch()
    monkeypatch.syspath_prepend(tmp_path)  # of this process alone
    with pytest.raises(ValueError) as caught:
        train(ARCH, config, folder=tmp_path / "run", workers=2, plugins=["driver_only"])
    assert str(caught.value).startswith("plugin 'driver_only' cannot be imported: No module named 'driver_only' (on ")
