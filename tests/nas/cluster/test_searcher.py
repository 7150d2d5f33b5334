"""Ray's side of the ledger, without a running Ray: what Ray calls never raises, and whose answer is whose."""

from types import SimpleNamespace

import numpy as np
import pytest

from nas.algorithms import Proposal
from nas.cluster.scheduler import Scheduler
from nas.cluster.searcher import Callbacks, LedgerSearcher
from nas.runs.trial import Trial
from nas.trials.task import Candidate
from search_space.spaces import small

ARCHITECTURE = small().sample(np.random.default_rng(0))
PARTIAL = Trial(ARCHITECTURE, "pruned", curve=({"accuracy": 0.5},))


class RayTrial:
    error_file, status, config = None, "PENDING", {}

    def __init__(self, trial_id="a"):
        self.trial_id = trial_id
        self.temporary_state = SimpleNamespace(ray_actor=None)


class Ledger:
    """Hands out three candidates; raises where it is told to."""

    def __init__(self, raises=""):
        self.raises, self.next = raises, 0
        self.began_with, self.epochs, self.answers, self.lost = [], [], [], []
        self.done = False

    def act(self, name):
        if self.raises == name:
            raise KeyError(f"my bug in {name}")

    def next_candidate(self):
        self.act("next_candidate")
        self.next += 1
        return Candidate(self.next - 1, Proposal(ARCHITECTURE, "test"), 0, 1) if self.next <= 3 else None

    def began(self, trial_id):
        self.act("began")
        self.began_with.append(trial_id)

    def so_far(self, trial_id, trial):
        self.act("so_far")
        self.epochs.append((trial_id, len(trial.curve)))

    def finish(self, trial_id, outcome):
        self.act("finish")
        self.answers.append((trial_id, outcome.status, outcome.error))

    def died(self, trial_id, reason, *, timed_out, lost, out_of_memory):
        self.act("died")
        self.answers.append((trial_id, "died", reason))
        self.lost.append(lost)
        return False

    def stop(self):
        pass


def searcher(raises="", signalled=False, late=False):
    ledger = Ledger(raises)
    return ledger, LedgerSearcher(ledger, None, lambda: signalled, lambda: late)


def run(ledger, one):
    """What Ray calls for three trials: one finishes, one is stopped by the judge, one dies."""

    def judge(number, so_far):
        ledger.act("judge")
        return "hopeless" if number == 1 else None

    scheduler, callbacks, ray_trial = Scheduler(one, judge), Callbacks(one), RayTrial()
    for name in ("a", "b", "c"):
        if one.suggest(name) in (None, "FINISHED"):
            return
        ray_trial.trial_id = name
        callbacks.on_trial_start(1, [], ray_trial)
        report = {"epoch": 1, "partial": PARTIAL}
        decision = scheduler.on_trial_result(None, ray_trial, report)
        one.on_trial_result(name, report)
        if decision == scheduler.STOP:
            one.on_trial_complete(name, report)
        elif name == "c":
            callbacks.on_trial_error(1, [], ray_trial)
            one.on_trial_complete(name, error=True)
        else:
            one.on_trial_complete(name, {**report, "answer": Trial(ARCHITECTURE, "ok")})


def test_every_trial_is_answered_as_it_ended():
    """One that finished, one that was stopped, with the reason, and one whose process died."""
    ledger, one = searcher()
    run(ledger, one)
    assert one.fault is None
    assert ledger.answers == [(0, "ok", None), (1, "pruned", "hopeless"), (2, "died", "its process died")]
    assert ledger.began_with == [0, 1, 2]
    assert ledger.epochs == [(0, 1), (1, 1), (2, 1)]
    assert ledger.lost == [False]  # it had begun with the candidate
    assert not one.live


@pytest.mark.parametrize("where", ["next_candidate", "finish", "died", "judge", "began", "so_far"])
def test_an_error_of_ours_never_reaches_ray(where):
    """It is kept as the search's fault; nothing is started after it, and what runs is let go."""
    ledger, one = searcher(where)
    run(ledger, one)
    assert repr(one.fault) == repr(KeyError(f"my bug in {where}"))
    one.suggest("d")
    assert not one.live
    assert one.suggest("e") == "FINISHED"


def test_a_report_that_cannot_be_read_is_the_searchs_fault_and_the_trial_ends(tmp_path):
    """The file in which Ray says why a process died may be unreadable: the trial died all the same."""
    ledger, one = searcher()
    one.suggest("a")
    ray_trial = RayTrial()
    ray_trial.error_file = str(tmp_path)  # a folder
    Callbacks(one).on_trial_error(1, [], ray_trial)
    assert isinstance(one.fault, OSError)
    assert ledger.answers == [(0, "died", "its process died")]


@pytest.mark.parametrize("ends", ["signalled", "late"])
def test_what_ends_with_the_search_is_no_answer_but_what_the_judge_stopped_is(ends):
    """Ray ends trials at a signal, with what they last reported; the judge's are answered, late or not."""
    ledger, one = searcher()
    one.suggest("a")
    one.suggest("b")
    setattr(one, ends, lambda: True)
    one.on_trial_complete("a", {"epoch": 1, "partial": PARTIAL})
    assert ledger.answers == []
    one.reasons["b"] = "hopeless"
    one.on_trial_complete("b", {"epoch": 1, "partial": PARTIAL})
    assert ledger.answers == [(1, "pruned", "hopeless")]


def test_what_dies_after_a_signal_to_stop_is_no_death_of_a_candidate():
    """The signal may have been sent to all processes of the search; the candidate is given back."""
    ledger, one = searcher(signalled=False)
    one.suggest("a")
    one.signalled = lambda: True
    Callbacks(one).on_trial_error(1, [], RayTrial())
    assert (ledger.answers, one.live) == ([], {})


class TwoNodes:
    """Nodes of which the first is taken, unless it is to be left out."""

    there = True

    def free(self, but=()):
        return "second" if "first" in but else "first"

    def look(self):
        pass

    def hopeless(self):
        return None

    def take(self, node):
        pass

    def leave(self, node, *, answered):
        pass

    def is_there_now(self, node):
        return self.there

    def memory_kills(self, node):
        return ()


UNAVAILABLE = "The actor is temporarily unavailable: UnavailableError"


def test_a_candidate_whose_connection_was_cut_runs_on_another_node():
    """Ray may know for half a minute yet that the node is gone; there the candidate would wait in vain."""
    _, one = searcher()
    one.nodes = TwoNodes()
    assert one.suggest("a")["node"] == "first"
    one.on_trial_died("a", UNAVAILABLE)
    assert one._place("b", 0) == {"node": "second"}


@pytest.fixture
def on_nodes(monkeypatch):
    """A searcher of a cluster, its ledger, and what lets time pass; the limit is 3 s, and processes end at 8 s."""
    now = [100.0]
    monkeypatch.setattr("nas.cluster.searcher.time", SimpleNamespace(monotonic=lambda: now[0]))
    ledger, one = searcher()
    one.nodes, one.time_limit_s = TwoNodes(), 3.0

    def wait(seconds):
        now[0] += seconds

    return ledger, one, wait


def test_on_a_cluster_the_time_of_a_trial_begins_when_its_process_says_so(on_nodes):
    """Ray may take ten seconds to bring what it needs to a node: a crash after one is no time limit."""
    ledger, one, wait = on_nodes
    one.suggest("a")
    Callbacks(one).on_trial_start(1, [], RayTrial("a"))
    wait(10)
    one.on_trial_result("a", {"memory_kills": ()})
    assert ledger.began_with == [0]
    wait(1)
    one.on_trial_died("a", "Worker unexpectedly exits")
    assert ledger.answers == [(0, "died", "Worker unexpectedly exits")]


def test_the_loss_of_a_node_that_is_heard_of_after_the_limit_is_no_timeout(on_nodes):
    """Nor is a connection that was cut, once: a process that ended itself by the limit may look like one."""
    ledger, one, wait = on_nodes

    def dies_late(trial_id, reason, there):
        one.suggest(trial_id)
        one.on_trial_result(trial_id, {"memory_kills": ()})
        one.nodes.there = there
        wait(9)
        one.on_trial_died(trial_id, reason)

    dies_late("a", "Worker unexpectedly exits", there=False)
    dies_late("b", UNAVAILABLE, there=True)
    dies_late("c", "Worker unexpectedly exits", there=True)
    assert ledger.lost == [True, True, False]
    assert ledger.answers[-1] == (2, "died", "did not end within 3 s and was killed")
    ledger.next = 1  # the candidate of b again
    dies_late("b again", UNAVAILABLE, there=True)
    assert ledger.answers[-1] == (1, "died", "did not end within 3 s and was killed")


def test_a_new_trial_gets_an_idle_process_before_those_that_wait_for_one_of_their_own():
    """Ray Tune ends a process that is starting when its trial gets another: none but the first would ever be there."""
    _, one = searcher()
    scheduler = Scheduler(one)

    def waits(trial_id):
        one.suggest(trial_id)
        scheduler.on_trial_add(None, RayTrial(trial_id))

    waits("a")
    waits("b")
    assert [scheduler.choose_trial_to_run(None).trial_id for _ in range(3)] == ["a", "b", "a"]
    waits("c")
    assert [scheduler.choose_trial_to_run(None).trial_id for _ in range(2)] == ["c", "a"]
