"""A run folder as a search leaves it, written by the search's own ledger, for tests of what reads it."""

import random

import pytest

from search_space.cost import count

CONFIG = {"space": {"name": "small", "image_size": 16}, "image_size": 16, "search": {"trials": 12}}


def answer(architecture, rng):
    """Numbers such as a trial reports: the reward is the paper's, of a made-up accuracy and step time."""
    counts = count(architecture, 16, 10, 1)
    accuracy, s = 0.9 + 0.1 * rng.random(), 0.5 + rng.random()
    return {
        "status": "ok",
        **counts._asdict(),
        "accuracy": accuracy,
        "s_normalised": s,
        "step_time_ms": 20 * s,
        "step_time_p10_ms": 19 * s,
        "step_time_p90_ms": 22 * s,
        "p_normalised": counts.params / 1e5,
        "image_size": 16,
        "reward": accuracy * s**-0.07 * (counts.params / 1e5) ** -0.05,
        "curve": ({"epoch": 0, "accuracy": accuracy / 2}, {"epoch": 1, "accuracy": accuracy}),
        "wall_s": 3.0,
        "device_s": 3.0,
    }


@pytest.fixture
def run(tmp_path):
    """Twelve trials, of which one failed and one ran out of memory."""
    # Not above: on a machine that has a GPU and few packages the tests of the GPU still run.
    from nas.algorithms import ALGORITHMS
    from nas.config.search import parse
    from nas.runs.answered import trial_of
    from nas.search.continuation import open_run
    from nas.search.ledger import Ledger

    config, folder, rng = parse(CONFIG), tmp_path / "run", random.Random(0)
    run_id = open_run(folder, config)
    ledger = Ledger(folder, ALGORITHMS["random"](config.space, 0), run_id=run_id, seed=0, trials=12, max_attempts=1)
    while candidate := ledger.next_candidate():
        fields = {3: {"status": "failed", "error": "ValueError: x"}, 7: {"status": "oom", "error": "no memory"}}
        number = candidate.trial_id
        architecture = candidate.proposal.architecture
        ledger.finish(number, trial_of(architecture, fields.get(number) or answer(architecture, rng)))
    ledger.close()
    return folder


@pytest.fixture
def without_ray(monkeypatch):
    """Runs what would run on Ray in this process, one after the other: for tests of everything around it.

    Gives the list of what was evaluated: the numbers of candidates, as they were started.
    """
    import pickle

    from nas.cluster.protocol import Event
    from nas.trials.answer import answer, find_evaluator, so_far

    started = []

    class Process:
        address, running = None, False

        def __init__(self, address):
            self.resources = {"CPU": 2.0}

        def start(self):
            self.running = True

        def close(self):
            self.running = False

        def log_to(self, path):
            path.touch()

    def run(ray, candidates, job, engine, *, on_event=lambda event: None, on_message=lambda text: None):
        assert ray.running
        evaluator = find_evaluator(job.evaluator)
        while candidate := candidates.next_candidate():
            started.append(candidate.trial_id)
            architecture = candidate.proposal.architecture
            on_event(Event("started", candidate))

            def report(fields, candidate=candidate, architecture=architecture):
                on_event(Event("epoch", candidate, so_far(architecture, fields)))
                return True

            outcome = answer(architecture, candidate.seed, pickle.loads(job.task), evaluator, report)
            on_event(Event("finished", candidate, candidates.finish(candidate.trial_id, outcome)))

    for module in ("nas.full_training.study", "nas.claims.step_timing", "nas.search.run"):
        monkeypatch.setattr(f"{module}.run_on_ray", run)
    for module in ("nas.full_training.many", "nas.claims.compared", "nas.search.run"):
        monkeypatch.setattr(f"{module}.RayProcess", Process)
    return started
