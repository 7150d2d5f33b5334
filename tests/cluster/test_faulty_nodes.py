"""Nodes with faults of their own: none of them costs a candidate, and each is said once with its host."""

import os
import random
import shutil
import signal
from pathlib import Path

import pytest
from PIL import Image

import rewards

CONFIG = """
plugins: [mine]
space: {name: small, image_size: 8}
image_size: 8
data: {source: folder, path: /tmp/images, minival: 0.25, cache_dir: /tmp/cache}
algorithm: {name: random, seed: 10}
search: {trials: TRIALS, evaluator: "pictures:evaluate", time_limit_s: 200}
training: {batch_size: 8}
device: cpu
"""
FAULTS = {
    "node1": "images",  # its folder of images is not there
    "node2": "fingerprint",  # other images in the same place
    "node3": "mine",  # no plug-in
    "node4": "/tmp",  # a disk that is nearly full
    "node5": "rewards's source is another",  # another version of the toolkit
}


def give_images(machine, seed):
    rng = random.Random(seed)
    for number in range(16):
        folder = machine.file(f"/tmp/images/class{number % 2}")
        folder.mkdir(parents=True, exist_ok=True)
        Image.frombytes("L", (8, 8), rng.randbytes(64)).save(folder / f"{number}.png")


def give_plugin(machine):
    machine.file("/tmp/plugins").mkdir()
    machine.file("/tmp/plugins/mine.py").write_text("")
    machine.environment["PYTHONPATH"] += os.pathsep + "/tmp/plugins"


def give_other_toolkit(machine):
    """The same but for a package that comes first on its path, with another line in it."""
    other = machine.file("/tmp/other/rewards")
    shutil.copytree(Path(rewards.__file__).parent, other)
    with (other / "__init__.py").open("a") as file:
        file.write("VERSION = 2\n")
    machine.environment["PYTHONPATH"] = os.pathsep.join(["/tmp/other", machine.environment["PYTHONPATH"]])


@pytest.mark.timeout(300)
def test_a_nodes_own_fault_costs_no_candidate(six, join, search):
    """No images, other images, no plug-in, a full disk, another toolkit: each is said once, and no trial fails of it.

    Nor is it said again when Ray had to be started again on the search's machine, for the nodes are the same.
    """
    head, bare, other, poor, full, old = six
    for machine in (head, poor, full, old):
        give_images(machine, seed=1)
    give_images(other, seed=2)
    for machine in (head, bare, other, full, old):
        give_plugin(machine)
    give_other_toolkit(old)
    head.start_head(cpus=1)
    join(head, six[1:])
    disk = os.statvfs(full.file("/tmp"))
    full.run("sh", "-c", f"head -c {disk.f_bavail * disk.f_frsize - 50 * 2**20} /dev/zero > /tmp/zeros")
    head.file("/tmp/pace").write_text("1000")
    run = search(8, config=CONFIG, on=head)
    run.until(lambda: run.started() and all(name in run.output for name in FAULTS), 150)
    head.file("/tmp/pace").write_text("0.5")
    (of_ray,) = head.processes("nas.cluster.driver")
    os.kill(of_ray, signal.SIGKILL)
    assert run.finish(200) == 0, run.output
    assert [(trial["status"], trial["host"]) for trial in run.trials] == [("ok", head.name)] * 8, run.output
    assert run.output.count("Ray failed and is started again") == 1, run.output
    for name, reason in FAULTS.items():
        lines = [line for line in run.output.splitlines() if name in line]
        assert len(lines) == 1, run.output
        assert reason in lines[0]
