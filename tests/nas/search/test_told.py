"""What listeners hear of a search, and which judge its configuration asks for."""

import numpy as np
import pytest

from nas.algorithms import Proposal
from nas.cluster.protocol import Event
from nas.config.search import parse
from nas.runs.trial import Trial
from nas.search.pruning import make_judge
from nas.search.run import _teller
from nas.trackers.callback import Callback, Callbacks
from nas.trials.task import Candidate
from search_space.families import published

ARCHITECTURE = published("efficientnet_b0")
CONFIG = {"space": {"name": "small"}, "image_size": 32, "training": {"epochs": 10}}


class Heard(Callback):
    """Writes down what it is told."""

    live = True

    def __init__(self):
        self.heard = []

    def on_trial_begin(self, trial_id, proposal):
        self.heard.append(("begin", trial_id, proposal.proposed_by))

    def on_epoch(self, epoch, trial_id=None):
        self.heard.append(("epoch", trial_id, epoch["accuracy"]))

    def on_trial_lost(self, trial_id):
        self.heard.append(("lost", trial_id))

    def on_trial_end(self, trial):
        self.heard.append(("end", trial.trial_id))


def test_each_epoch_is_told_once_and_in_order():
    """Also those that came in between two reports, the last that comes with the answer, and after a process died."""
    heard = Heard()
    tell = _teller(Callbacks([heard]))
    candidate = Candidate(4, Proposal(ARCHITECTURE, "random"), 0, 1)

    def trial(*accuracies):
        return Trial(ARCHITECTURE, "ok", trial_id=4, curve=tuple({"accuracy": a} for a in accuracies))

    for kind, told in (("started", None), ("epoch", trial(0.1)), ("died", None), ("started", None)):
        tell(Event(kind, candidate, told))
    for kind, told in (("epoch", trial(0.2)), ("epoch", trial(0.2, 0.3, 0.4)), ("finished", trial(0.2, 0.3, 0.4, 0.5))):
        tell(Event(kind, candidate, told))
    begin = ("begin", 4, "random")
    epochs = [("epoch", 4, accuracy) for accuracy in (0.2, 0.3, 0.4, 0.5)]
    assert heard.heard == [begin, ("epoch", 4, 0.1), ("lost", 4), begin, *epochs, ("end", 4)]


def test_the_judge_is_the_one_that_is_asked_for():
    """None, halving, or a bound of the confidence and for the best that the configuration names."""
    assert make_judge(parse(CONFIG).search, 10, []) is None
    search = {"prune": "bound", "prune_top": 3, "prune_confidence": 0.8}
    judge = make_judge(parse(CONFIG | {"search": search}).search, 10, [])
    assert (judge.k, judge.curves.confidence) == (3, 0.8)
    halving = make_judge(parse(CONFIG | {"search": {"prune": "asha"}}).search, 10, [])
    so_far = [Trial(ARCHITECTURE, "ok", curve=({"reward": reward},)) for reward in (0.9, 0.8, 0.7, 0.1)]
    verdicts = [halving(number, trial) is None for number, trial in enumerate(so_far)]
    assert verdicts[0]
    assert not verdicts[3]


def test_a_bound_is_judged_by_the_trials_own_exponents_and_size():
    """A candidate of middling accuracy is hopeless, unless it is as fast or as small as the reward pays for."""
    rng = np.random.default_rng(0)
    finals = rng.uniform(0.5, 0.9, 30)

    def trial(final, epochs, **more):
        noise = rng.normal(0, 0.002, epochs)
        curve = tuple({"accuracy": final * (i + 1) / 8 + noise[i], "epoch": i} for i in range(epochs))
        known = {"s_normalised": 1.0, "p_normalised": 1.0, "w": -0.07, "v": -0.05, "accuracy": final, "reward": final}
        return Trial(ARCHITECTURE, "ok", curve=curve, **known | more)

    search = {"prune": "bound", "prune_top": 3, "prune_confidence": 0.8}
    finished = [trial(final, 8) for final in finals[:-1]]
    judge = make_judge(parse(CONFIG | {"search": search}).search, 8, finished)
    assert "is needed for the best 3" in judge(1, trial(0.7, 3))
    third = sorted(finals[:-1])[-3]
    assert f"but {third:.4f} is needed" in judge(1, trial(0.7, 3))
    assert judge(1, trial(0.7, 3, s_normalised=0.25)), "by the paper's exponent four times as fast is worth 10 %"
    assert judge(1, trial(0.7, 3, s_normalised=0.25, w=-0.5)) is None
    assert judge(1, trial(0.7, 3, p_normalised=0.25)), "and a fourth of the size 7 %"
    assert judge(1, trial(0.7, 3, p_normalised=0.25, v=-0.5)) is None
    finished += [trial(0.99, 8)] * 3  # the judge learns of trials that finish meanwhile
    assert "but 0.9900 is needed" in judge(1, trial(0.7, 3))
    with pytest.raises(ValueError, match="but no v is reported"):
        judge(1, trial(0.7, 3, v=None))
