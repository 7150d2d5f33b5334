"""Three machines with a Ray cluster, and searches there: what experiments/cluster/machines.py makes, for tests.

`three` are the machines alone; `cluster` has Ray's daemons on them: a head without places for trials, where the search
runs, and two nodes. `search(trials, ...)` starts the command on the head and gives a `Search`; `join(head, nodes)` lets
machines join.
"""

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from experiments.cluster.machines import Machine, child, machines, why_not  # noqa: E402
from nas.runs.folder import PROPOSALS, TRIALS  # noqa: E402
from nas.runs.log import read_lines  # noqa: E402

EVALUATORS = Path(__file__).parent / "evaluators"
CONFIG = """
space: {name: small, image_size: 8}
image_size: 8
algorithm: {name: random, seed: 10}
search: {trials: TRIALS, evaluator: "cheap:evaluate"}
device: cpu
"""


@dataclass
class Search:
    """A search that runs on a machine."""

    machine: Machine
    process: object
    folder: Path  # of the run, as it is reached from outside

    @property
    def trials(self):
        return read_lines(self.folder / TRIALS)

    @property
    def events(self):
        return read_lines(self.folder / PROPOSALS)

    @property
    def output(self):
        """What it has printed so far."""
        return self.folder.with_suffix(".output").read_text()

    def started(self):
        return sum(event["event"] == "started" for event in self.events)

    def done_on(self, machine):
        return sum(trial["host"] == machine.name for trial in self.trials)

    def signal(self, number):
        os.kill(child(self.process.pid), number)

    def until(self, condition, seconds=90):
        """Wait for something that happens while the search runs; give the seconds it took."""
        begun = time.monotonic()
        while not condition():
            assert self.process.poll() is None, self.output
            assert time.monotonic() < begun + seconds, f"waited in vain: {self.output}"
            time.sleep(0.1)
        return time.monotonic() - begun

    def finish(self, seconds=120):
        """Wait for the end and give the exit status."""
        return self.process.wait(seconds)

    def end(self):
        """End it at once, whatever state it is in."""
        if self.process.poll() is None:
            os.killpg(child(self.process.pid), signal.SIGKILL)
            self.process.wait()


def made(count, **settings):
    """Give machines with nothing on them but the evaluators of these tests; they are gone at the end."""
    if reason := why_not():
        pytest.skip(reason)
    with machines(count, **settings) as all_of_them:
        for machine in all_of_them:
            machine.environment["PYTHONPATH"] += os.pathsep + str(EVALUATORS)
        yield all_of_them


@pytest.fixture(scope="module")
def three():
    """The head and two more machines."""
    yield from made(3)


@pytest.fixture(scope="module")
def six():
    """The head and five more machines, with small disks."""
    yield from made(6, disk_mb=500)


@pytest.fixture(scope="module")
def join():
    """Lets machines join the cluster of a head, side by side."""

    def joined(head, nodes):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda node: node.join(head), nodes))

    return joined


@pytest.fixture(scope="module")
def cluster(three, join):
    """Ray's daemons on the three: no trials on the head, one at a time on each of the others."""
    three[0].start_head()
    join(three[0], three[1:])
    return three


@pytest.fixture
def search(request):
    """Starts searches; what still runs at the end of a test is ended."""
    started = []

    def start(trials, *arguments, config=CONFIG, folder="run", on=None):
        head = on or request.getfixturevalue("three")[0]
        path = f"/tmp/{folder}.yaml"
        head.file(path).write_text(config.replace("TRIALS", str(trials)))
        words = ("-m", "nas.cli", "search", path, "--out", f"/tmp/{folder}", "--address", head.ray, *arguments)
        with head.file(f"/tmp/{folder}.output").open("wb") as output:
            process = head.start(sys.executable, *words, output=output.fileno())
        started.append(Search(head, process, head.file(f"/tmp/{folder}")))
        return started[-1]

    yield start
    for each in started:
        each.end()
