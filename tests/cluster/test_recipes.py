"""What experiments/cluster/README.md says to do by hand, and its recipe for machines that ssh reaches."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from nas.runs.log import read_lines

RECIPES = Path(__file__).parents[2] / "experiments" / "cluster"
pytestmark = pytest.mark.skipif(not os.environ.get("NAS_TEST_FAULTS"), reason="takes minutes: set NAS_TEST_FAULTS=1")
CONFIG = """
space: {name: small, image_size: 8}
image_size: 8
algorithm: {name: random, seed: 10}
search: {trials: 12, evaluator: "cheap:evaluate"}
device: cpu
"""
# Stands in for ssh: what it reads goes to the bash that a server starts on the other machine.
SSH = f"""#!{sys.executable}
import os, socket, sys
there = socket.create_connection((sys.argv[-2], 2222))
while block := os.read(0, 65536):
    there.sendall(block)
"""
SERVER = """
import socket, subprocess
caller, _ = socket.create_server(("", 2222)).accept()
subprocess.run(["bash"], stdin=caller.fileno())
"""


@pytest.fixture
def two(three):
    """Two machines on which nothing runs, and of whose token nothing is known."""
    for machine in three[:2]:
        machine.stop_ray()
        for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE", "RAY_memory_monitor_refresh_ms"):
            machine.environment.pop(name, None)
    three[0].file("/tmp/c.yaml").write_text(CONFIG)
    return three[:2]


def hosts(head, folder):
    return {trial["host"] for trial in read_lines(head.file(folder) / "trials.jsonl")}


@pytest.mark.timeout(300)
def test_by_hand(two):
    """A token in a file that was copied, the environment sourced, Ray started on both: the search uses both."""
    head, node = two
    head.run("ray", "get-auth-token", "--generate")
    token = head.file("/tmp/home/.ray/auth_token")
    node.file("/tmp/home/.ray").mkdir()
    node.file("/tmp/home/.ray/auth_token").write_text(token.read_text())

    def by_hand(machine, command):
        words = f"source {shlex.quote(str(RECIPES))}/environment.sh; {command}"
        return machine.run("bash", "-c", words, timeout=200)

    own = "--object-store-memory=80000000 --num-cpus=1 --node-ip-address"
    by_hand(head, f"ray start --head {own}={head.address} --include-dashboard=false")
    by_hand(node, f"ray start --address={head.ray} {own}={node.address}")
    said = by_hand(head, f"python {RECIPES}/await_nodes.py {head.ray} 2")
    assert said.splitlines()[-1] == "2 of 2 nodes are there"
    by_hand(head, f"nas search /tmp/c.yaml --out /tmp/by-hand --address {head.ray}")
    assert hosts(head, "/tmp/by-hand") == {head.name, node.name}


@pytest.mark.timeout(300)
def test_machines_that_ssh_reaches(two):
    """The recipe starts Ray on both, with a token of its own, and the search; at its end nothing is left of Ray."""
    head, node = two
    head.file("/tmp/bin").mkdir()
    head.file("/tmp/bin/ssh").write_text(SSH)
    head.file("/tmp/bin/ssh").chmod(0o755)
    head.environment["PATH"] = "/tmp/bin:" + head.environment["PATH"]
    server = node.start(sys.executable, "-c", SERVER)
    script = str(RECIPES / "ssh.sh")
    recipe = head.start("bash", script, "/tmp/c.yaml", "/tmp/by-ssh", head.address, node.address)
    output, _ = recipe.communicate(timeout=200)
    assert recipe.returncode == 0, output
    assert hosts(head, "/tmp/by-ssh") == {head.name, node.name}
    server.communicate(timeout=30)
    assert not [*head.processes("/ray/"), *node.processes("/ray/")]
