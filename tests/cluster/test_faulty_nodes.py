"""Nodes with faults of their own: none of them costs a candidate, and each is said once with its host."""

import os
import random

import pytest
from PIL import Image

CONFIG = """
plugins: [mine]
space: {name: small, image_size: 8}
image_size: 8
data: {source: folder, path: /tmp/images, minival: 0.25, cache_dir: /tmp/cache}
algorithm: {name: random, seed: 10}
search: {trials: TRIALS, evaluator: "pictures:evaluate", time_limit_s: 60}
training: {batch_size: 8}
device: cpu
"""
FAULTS = {
    "node1": "images",  # its folder of images is not there
    "node2": "fingerprint",  # other images in the same place
    "node3": "mine",  # no plug-in
    "node4": "/tmp",  # a disk that is nearly full
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


@pytest.mark.timeout(300)
def test_a_nodes_own_fault_costs_no_candidate(five, join, search):
    """No images, other images, no plug-in, a full disk: every trial is evaluated where nothing is lacking."""
    head, bare, other, poor, full = five
    for machine in (head, poor, full):
        give_images(machine, seed=1)
    give_images(other, seed=2)
    for machine in (head, bare, other, full):
        give_plugin(machine)
    head.start_head(cpus=1)
    join(head, five[1:])
    disk = os.statvfs(full.file("/tmp"))
    full.run("sh", "-c", f"head -c {disk.f_bavail * disk.f_frsize - 50 * 2**20} /dev/zero > /tmp/zeros")
    run = search(8, config=CONFIG, on=head)
    assert run.finish(200) == 0, run.output
    assert [(trial["status"], trial["host"]) for trial in run.trials] == [("ok", head.name)] * 8, run.output
    for name, reason in FAULTS.items():
        lines = [line for line in run.output.splitlines() if name in line]
        assert len(lines) == 1, run.output
        assert reason in lines[0]
