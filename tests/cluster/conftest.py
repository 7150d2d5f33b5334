"""Three machines with a Ray cluster, and searches there: what experiments/cluster/machines.py makes, for tests.

`machines` are the machines alone; `cluster` has Ray's daemons on them: a head without places for trials, where the
search runs, and two nodes. `search(config, ...)` starts the command on the head and gives a `Search`.
"""

import os
import signal
import sys
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
search: {trials: TRIALS, evaluator: "EVALUATOR"}
device: cpu
"""


@dataclass
class Search:
    """A search that runs on a machine."""

    machine: Machine
    process: object
    folder: Path  # of the run, as it is reached from outside
    output: str = ""

    @property
    def trials(self):
        return read_lines(self.folder / TRIALS)

    @property
    def events(self):
        return read_lines(self.folder / PROPOSALS)

    def started(self):
        return sum(event["event"] == "started" for event in self.events)

    def signal(self, number):
        os.kill(child(self.process.pid), number)

    def finish(self, seconds=120):
        """Wait for the end and give the exit status; what was printed is in `output`."""
        self.output, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode

    def end(self):
        """End it at once, whatever state it is in."""
        if self.process.poll() is None:
            os.killpg(child(self.process.pid), signal.SIGKILL)
            self.process.communicate()


@pytest.fixture(scope="module")
def three():
    """The head and two more machines, with nothing on them."""
    if reason := why_not():
        pytest.skip(reason)
    with machines(3) as made:
        for machine in made:
            machine.environment["PYTHONPATH"] += os.pathsep + str(EVALUATORS)
        yield made


@pytest.fixture(scope="module")
def cluster(three):
    """Ray's daemons on the three: no trials on the head, one at a time on each of the others."""
    head, *nodes = three
    head.start_head()
    for node in nodes:
        node.join(head)
    return three


@pytest.fixture
def search(three):
    """Starts searches on the head; what still runs at the end of a test is ended."""
    started = []

    def start(trials, *arguments, evaluator="cheap:evaluate", config=CONFIG, folder="run", on=three[0]):
        path = f"/tmp/{folder}.yaml"
        on.file(path).write_text(config.replace("TRIALS", str(trials)).replace("EVALUATOR", evaluator))
        words = ("search", path, "--out", f"/tmp/{folder}", "--address", three[0].ray, *arguments)
        process = on.start(sys.executable, "-m", "nas.cli", *words)
        started.append(Search(on, process, on.file(f"/tmp/{folder}")))
        return started[-1]

    yield start
    for each in started:
        each.end()
