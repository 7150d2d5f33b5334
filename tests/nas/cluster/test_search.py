"""What the search does while Ray fails and is started again; Ray's process is one that fails when the tests want it."""

import signal
import time

import pytest

from nas.cluster.nodes import Node, Nodes
from nas.cluster.protocol import Engine, Job, RayFailed, Stopped
from nas.cluster.search import run
from nas.cluster.share import Share
from nas.trials.task import Candidate

JOB = Job(b"", (), "module:function", epochs=1, time_limit_s=None, reports=False)
ENGINE = Engine(Share(1, 0))


class Candidates:
    """Hands out candidates that are nothing but a number."""

    done, number = False, -1

    def next_candidate(self):
        self.number += 1
        return Candidate(self.number, None, 0, 1)

    def finish(self, trial_id, outcome):
        return outcome

    def died(self, *about, **more):
        return None

    def stop(self):
        pass


class RayProcess:
    """Does, call by call, what it was made with."""

    def __init__(self, *acts, on_start=lambda: None):
        self.acts, self.on_start = list(acts), on_start
        self.running, self.engines = True, []

    def start(self):
        self.on_start()
        self.running = True

    def close(self):
        self.running = False

    def signal(self, number):
        pass

    def kill(self):
        pass

    def call(self, function, job, engine, judged, *, answers):
        self.engines.append(engine)
        self.acts.pop(0)(answers)


def fail(answers):
    raise RayFailed("as it was told")


def finish_and_fail(answers):
    answers["finish"](answers["next_candidate"]().trial_id, "an answer")
    raise RayFailed("as it was told")


def end(answers):
    pass


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("nas.cluster.search._pause", lambda seconds, caught: None)


def test_a_cluster_on_which_trials_finished_is_not_given_up():
    """Nodes that are all at fault end a search, but not one of which trials have finished, also before Ray failed."""
    ray = RayProcess(fail, finish_and_fail, end)
    run(ray, Candidates(), JOB, ENGINE)
    assert [engine.proven for engine in ray.engines] == [False, False, True]
    for engine in ray.engines:
        nodes = Nodes(ENGINE.share, None, JOB, print, proven=engine.proven)
        nodes.nodes["a"] = Node("a", "host", 1, faults=2, reason="no data", again_at=1.0)
        assert (nodes.hopeless() is None) == engine.proven


def test_only_failures_in_a_row_are_counted():
    """A search gives Ray up after twenty of which no trial finished; one that finished lets it fail as often again."""
    run(RayProcess(*[fail] * 20, finish_and_fail, *[fail] * 19, end), Candidates(), JOB, ENGINE)
    with pytest.raises(RayFailed):
        run(RayProcess(*[fail] * 21, end), Candidates(), JOB, ENGINE)


def test_who_listens_hears_of_a_trial_in_the_order_of_things():
    """One that begins, reports, dies, begins again and is answered."""

    def trial(answers):
        for ends in (("died", "its process died", False, False, False), ("finish", "an answer")):
            number = answers["next_candidate"]().trial_id
            answers["began"](number)
            answers["so_far"](number, "an epoch")
            answers[ends[0]](number, *ends[1:])

    heard = []
    run(RayProcess(trial), Candidates(), JOB, ENGINE, on_event=heard.append)
    assert [(event.kind, event.candidate.trial_id, event.trial) for event in heard] == [
        ("started", 0, None),
        ("epoch", 0, "an epoch"),
        ("died", 0, None),
        ("started", 1, None),
        ("epoch", 1, "an epoch"),
        ("finished", 1, "an answer"),
    ]


def test_nothing_is_started_after_what_was_told_raised():
    """Nobody waits for what becomes of an answer: whoever asks for the next candidate hears of it."""

    class Full(Candidates):
        def finish(self, trial_id, outcome):
            raise OSError("the disk is full")

    def trial(answers):
        with pytest.raises(OSError, match="full"):
            finish_and_fail(answers)
        with pytest.raises(OSError, match="full"):
            answers["next_candidate"]()

    candidates = Full()
    run(RayProcess(trial), candidates, JOB, ENGINE)
    assert candidates.number == 0


def record(node_id, host):
    """What Ray says of a node."""
    names = {"NodeManagerHostname": host, "NodeManagerAddress": host}
    return {"NodeID": node_id, "Alive": True, "Resources": {"CPU": 1.0}, **names}


def test_nodes_that_are_set_aside_stay_so_when_ray_is_started_again():
    """Their pauses go on and their reasons are not said again; one that joins anew is checked at once."""
    said, until = [], []

    def nodes(answers):
        engine = ray.engines[-1]
        return Nodes(engine.share, None, JOB, said.append, aside=engine.aside, keep=answers["aside"])

    def fail_with_two_aside(answers):
        there = nodes(answers)
        there.update([record("1", "a"), record("2", "b"), record("3", "c")])
        for node_id in ("1", "2"):
            there.set_aside(node_id, "no data")
        until.append(there.nodes["1"].again_at)
        raise RayFailed("as it was told")

    def see_them_again(answers):
        there = nodes(answers)
        there.update([record("1", "a"), record("4", "b"), record("3", "c")])
        assert [there.nodes[node_id].again_at for node_id in "143"] == [*until, 0, 0]
        there.set_aside("4", "no data")
        assert there.nodes["4"].again_at > time.monotonic() + 15
        there.update([record("1", "a")])
        there.update([record("1", "a"), record("5", "b")])
        there.set_aside("5", "no memory")

    ray = RayProcess(fail_with_two_aside, see_them_again)
    run(ray, Candidates(), JOB, ENGINE, on_message=lambda text: None)
    assert [line.partition(":")[0] for line in said] == [
        "node a is set aside and tried again in 10 s",
        "node b is set aside and tried again in 10 s",
        "node b is set aside and tried again in 40 s",
    ]


def test_a_signal_that_comes_while_ray_is_started_again_is_not_lost():
    """Nothing is run any more."""
    ray = RayProcess(fail, on_start=lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Stopped, match="signal 15"):
        run(ray, Candidates(), JOB, ENGINE)
    assert len(ray.engines) == 1
