"""What tests of trainings that run in processes of their own share: their curves, and a kill on the way."""

import json
import signal
import subprocess
import sys
import time

import nas
from nas.config.search import parse
from nas.runs.folder import read_config

TIMES = ("seconds", "images_per_s")


def curve(folder):
    """The metrics of a training's folder without times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def kill_in_first_epochs(arguments, trainings, count):
    """Run a command that makes so many trainings, and SIGKILL it as soon as one of them has done an epoch."""
    command = [sys.executable, "-m", "nas.cli", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 200
    while not any(path.read_text() for path in trainings.glob("*/*/metrics.jsonl")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len([*trainings.glob("*/*/result.json")]) < count, "killed too late to prove anything"


def trained_alone(run, architecture, *, seed, epochs, folder):
    """Train an architecture as a run's search does, but for seed and epochs; give its curve."""
    config = parse(read_config(run)).to_dict()
    record = {name: config[name] for name in ("data", "augment", "training", "execution", "image_size", "device")}
    record |= {"seed": seed, "eval_image_size": 16, "training": config["training"] | {"epochs": epochs}}
    nas.train(architecture, record, folder=folder, progress=False)
    return curve(folder)
